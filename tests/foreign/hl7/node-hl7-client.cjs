// Sends messages or batches with node-hl7-client, one after the other on one connection.
// Standard input: {"host", "port", "messages", "ca"}; standard output: what its handler was given, as JSON.
const { Batch, Client, FileBatch, Message } = require("node-hl7-client");

const order = JSON.parse(require("fs").readFileSync(0, "utf8"));
const waiting = order.messages.map(built);
const answers = [];
const tls = order.ca ? { ca: require("fs").readFileSync(order.ca), servername: "localhost" } : undefined;
const client = new Client({ host: order.host, tls });
const connection = client.createConnection({ port: order.port, waitAck: true }, async (answer) => {
  answers.push(answer.getMessage().toString().split("\r"));
});

function built(message) {
  if (typeof message === "string") return new Message({ text: message });
  const batch = message.file ? new FileBatch() : new Batch();
  batch.start();
  batch.set(message.file ? "FHS.3" : "BHS.3", "RIS");
  for (const text of message.batch) batch.add(new Message({ text }));
  batch.end();
  return batch;
}

// An answer may hold several acknowledgements; it is read whole before the handler has run for the last.
connection.on("data.raw", () => setImmediate(next));
for (const wrong of ["client.error", "connection.error", "data.error"]) {
  connection.on(wrong, (error) => {
    console.error(wrong, error);
    process.exit(1);
  });
}

async function next() {
  if (waiting.length) {
    await connection.sendMessage(waiting.shift());
  } else {
    await connection.close();
    console.log(JSON.stringify(answers));
  }
}

connection.once("connect", next);
