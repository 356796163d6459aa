// Queries a worklist with dcmjs-dimse, each query in an association of its own: reads the queries as
// JSON, writes what came back as JSON.
const { Client, log, requests } = require("dcmjs-dimse");

log.setLevel("silent");
const told = JSON.parse(require("fs").readFileSync(0, "utf8"));

function find(query) {
  const answer = { pending: [], identifiers: [], final: null, error: null };
  const request = requests.CFindRequest.createWorklistFindRequest(query);
  request.on("response", (response) => {
    if (!response.hasDataset()) {
      answer.final = response.getStatus();
      return;
    }
    answer.pending.push(response.getStatus());
    answer.identifiers.push(response.getDataset().getElements());
  });
  return new Promise((done) => {
    const client = new Client();
    client.addRequest(request);
    client.on("networkError", (error) => {
      answer.error = error.message;
      done(answer);
    });
    client.on("closed", () => done(answer));
    client.send(told.host, told.port, told.calling, told.called);
  });
}

(async () => {
  const answers = [];
  for (const query of told.queries) {
    answers.push(await find(query));
  }
  console.log(JSON.stringify(answers));
})();
