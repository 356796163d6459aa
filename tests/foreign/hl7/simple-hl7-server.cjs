// Receives messages with simple-hl7.
// Standard input: {"port", "answers"}; answers are codes of MSA-1, or none; the last one for ever.
// Standard output: a line of JSON when it listens, and one for each message.
const hl7 = require("simple-hl7");

const order = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = order.answers;
const app = hl7.tcp();
app.use((req, res) => {
  const answer = answers.length > 1 ? answers.shift() : answers[0];
  console.log(JSON.stringify({ message: req.raw.slice(1, -2), answer }));
  if (answer === "none") return;
  res.ack.getSegment("MSA").setField(1, answer);
  res.end();
});
app.use((error, _req, _res, _next) => console.error(error)); // four arguments: simple-hl7 counts them
app.start(order.port).server.on("listening", () => console.log(JSON.stringify({ listening: true })));
