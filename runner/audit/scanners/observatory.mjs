// Asks Mozilla's Observatory for one page of a hub. Standard input: {"module", "hostname", "path", "cookie"}; standard output:
// {"score", "grade", "tests": [{"name", "pass", "result", "modifier"}]}. The package's own command takes no path and no cookie.
import http from "node:http";
import https from "node:https";
import { pathToFileURL } from "node:url";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { module, hostname, path, cookie } = JSON.parse(Buffer.concat(chunks));

// The Observatory asks by plain HTTP too: the session's cookie must not go that way.
const plain = http.Agent.prototype.addRequest;
http.Agent.prototype.addRequest = function (request, ...rest) {
  if (!(this instanceof https.Agent)) request.removeHeader("cookie");
  return plain.call(this, request, ...rest);
};

const part = (name) => import(pathToFileURL(`${module}/src/${name}.js`).href);
const [{ retrieve }, { ALL_TESTS }, grader, charts] = await Promise.all(
  ["retriever/retriever", "constants", "grader/grader", "grader/charts"].map(part),
);

const headers = ["Accept: text/html,application/xhtml+xml,*/*;q=0.8", ...(cookie ? [`Cookie: ${cookie}`] : [])];
const answers = await retrieve(hostname, { path, headers });
if (!answers.responses.auto) throw new Error(`${hostname}${path} does not answer`);

const tests = ALL_TESTS.map((test) => test(answers)).map((one) => ({
  name: one.constructor.name,
  pass: one.pass,
  result: one.result,
  modifier: one.result ? grader.getScoreModifier(one.result) : 0,
}));
const sum = (chosen) => chosen.reduce((total, one) => total + one.modifier, 100);
const without = sum(tests.filter((one) => one.modifier < 0));
const score = without >= charts.MINIMUM_SCORE_FOR_EXTRA_CREDIT ? sum(tests) : without;
const final = grader.getGradeForScore(score);
const where = answers.responses.auto.request?.path ?? path;
console.log(JSON.stringify({ score: final.score, grade: final.grade, status: answers.responses.auto.status, where, tests }));
