// Receives messages with node-hl7-server, which hands over all messages of a connection again with each.
// Standard input: {"port", "answers", "cert", "key"}; answers are AA, AE, AR or none, the last one for ever.
// Standard output: a line of JSON when it listens, and one for each message.
const { Server } = require("node-hl7-server");
const fs = require("fs");

const order = JSON.parse(fs.readFileSync(0, "utf8"));
const answers = order.answers;
const tls = order.cert ? { cert: fs.readFileSync(order.cert), key: fs.readFileSync(order.key) } : undefined;
const inbound = new Server({ bindAddress: "127.0.0.1", tls }).createInbound({ port: order.port }, async (req, res) => {
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  console.log(JSON.stringify({ message: req.getMessage().toString(), answer }));
  if (answer !== "none") await res.sendResponse(answer);
});

inbound.on("listen", () => console.log(JSON.stringify({ listening: true })));
for (const wrong of ["error", "data.error"]) inbound.on(wrong, (error) => console.error(wrong, error));
inbound.on("client.error", () => {}); // a client that was killed
