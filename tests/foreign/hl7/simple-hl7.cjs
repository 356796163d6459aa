// Sends messages with simple-hl7, one after the other on one connection.
// Standard input: {"host", "port", "messages"}; standard output: the segments of each answer, as JSON.
const hl7 = require("simple-hl7");

const order = JSON.parse(require("fs").readFileSync(0, "utf8"));
const parser = new hl7.Parser({ segmentSeperator: "\r" });
const waiting = order.messages.map((text) => parser.parse(text));
const answers = [];
const client = hl7.Server.createTcpClient({ host: order.host, port: order.port, keepalive: true, callback });

function callback(error, answer) {
  if (error) {
    console.error(error);
    process.exit(1);
  }
  answers.push(answer.toString().split("\r"));
  next();
}

function next() {
  if (waiting.length) {
    // The client clears its state after the callback has returned.
    setImmediate(() => client.send(waiting.shift()));
  } else {
    client.close();
    console.log(JSON.stringify(answers));
  }
}

client.connect((error) => (error ? callback(error) : next()));
