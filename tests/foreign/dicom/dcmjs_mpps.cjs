// Reports performed steps with dcmjs-dimse, each request in an association of its own: reads the requests
// as JSON, writes what came back as JSON.
const { Client, Dataset, log, requests } = require("dcmjs-dimse");

log.setLevel("silent");
const told = JSON.parse(require("fs").readFileSync(0, "utf8"));

function made(request) {
  const { operation, sop_class: uidOfClass, uid } = request;
  switch (operation) {
    case "N-CREATE":
      return new requests.NCreateRequest(uidOfClass, uid);
    case "N-SET":
      return new requests.NSetRequest(uidOfClass, uid);
    case "N-GET":
      return new requests.NGetRequest(uidOfClass, uid, request.tags);
    case "N-ACTION":
      return new requests.NActionRequest(uidOfClass, uid, 1);
    case "N-DELETE":
      return new requests.NDeleteRequest(uidOfClass, uid);
  }
  throw new Error(operation);
}

function report(told, request) {
  const answer = { status: null, command: {}, attributes: {}, error: null };
  const dimse = made(request);
  if (request.attributes) {
    dimse.setDataset(new Dataset(request.attributes, "1.2.840.10008.1.2.1"));
  }
  dimse.on("response", (response) => {
    answer.status = response.getStatus();
    answer.command = response.getCommandDataset().getElements();
    const dataset = response.getDataset();
    answer.attributes = dataset ? dataset.getElements() : {};
  });
  return new Promise((done) => {
    const client = new Client();
    client.addRequest(dimse);
    client.on("networkError", (error) => {
      answer.error = error.message;
      done(answer);
    });
    client.on("closed", () => done(answer));
    client.send(told.host, told.port, request.calling, told.called);
  });
}

(async () => {
  const answers = [];
  for (const request of told.requests) {
    answers.push(await report(told, request));
  }
  console.log(JSON.stringify(answers));
})();
