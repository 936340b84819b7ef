import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { after, describe, it } from "node:test";
import { isMapping } from "../../src/prefect-api/templating.ts";
import { parseTimestamp, timestampToMs } from "../../src/prefect-api/timestamp.ts";
import { type Actual, type Expected, FIXTURES, runCase } from "./fixture-case.ts";
import { REVIEWED_DIFFERENCES } from "./reviewed-differences.ts";

const entries = await readdir(FIXTURES, { withFileTypes: true });
const cases = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
let passed = 0;

/** Two requests that say the same in a row: Prefect deletes a deployment's automations twice. */
function dropRepeats(requests: Expected["requests"]): Expected["requests"] {
  return requests.filter((request, index) => {
    const before = requests[index - 1];
    return !(request.method === "DELETE" && before?.method === "DELETE" && before.path === request.path);
  });
}

/** Times of the run become `<now>`; the order of schedules is the server's own. */
function normalize(value: unknown, key = ""): unknown {
  if (key === "anchor_date" && typeof value === "string" && value !== "<now>") {
    const age = Math.abs(Date.now() - Date.parse(value));
    return age < 300_000 ? "<now>" : timestampToMs(parseTimestamp(value) ?? "");
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => normalize(item));
    return key === "schedules" ? items.map((item) => JSON.stringify(item)).sort() : items;
  }
  if (isMapping(value)) {
    const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted.map(([name, item]) => [name, normalize(item, name)]));
  }
  return value;
}

function compare(actual: Actual, expected: Expected): void {
  assert.equal(actual.exit_code, expected.exit_code, actual.output);
  for (const word of expected.words) {
    assert.ok(actual.output.includes(word), `${JSON.stringify(word)} is not in:\n${actual.output}`);
  }
  assert.deepEqual(normalize(actual.steps), normalize(expected.steps), "steps");
  assert.deepEqual(
    normalize(dropRepeats(actual.requests)),
    normalize(dropRepeats(expected.requests.map(({ method, path, status, body }) => ({ method, path, status, body })))),
    "requests",
  );
  const byName = (a: Record<string, unknown>, b: Record<string, unknown>) =>
    `${a["flow_name"]}/${a["name"]}` < `${b["flow_name"]}/${b["name"]}` ? -1 : 1;
  assert.deepEqual(
    normalize(actual.deployments.toSorted(byName)),
    normalize(expected.deployments.toSorted(byName)),
    "deployments",
  );
}

describe("a deploy does what Prefect's does", { concurrency: 4 }, () => {
  for (const name of cases) {
    const difference = REVIEWED_DIFFERENCES[name];
    it(difference === undefined ? name : `${name} (reviewed: ${difference.reason})`, async () => {
      const { expected, actual } = await runCase(name);

      compare(actual, difference === undefined ? expected : difference.change(expected));

      passed += 1;
    });
  }
  after(() => {
    process.stdout.write(`prefect.yaml cases: ${passed} of ${cases.length} as expected\n`);
  });
});
