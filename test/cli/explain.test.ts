import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { createWaitExplainer } from "../../src/client/explain-wait.ts";
import { Explanation } from "../../src/flowyard-api/explain.ts";
import { createDeployment, startTestPlane, type TestPlane } from "./test-plane.ts";

const NAME = "get-repo-info/my-deployment";
const NO_CONTROL_CHARACTERS = /^[\P{Cc}\n]*$/u;
let plane: TestPlane;

describe("explaining", () => {
  before(async () => {
    plane = await startTestPlane();
    await createDeployment(plane.client);
  });

  after(() => plane[Symbol.asyncDispose]());

  async function createRun(...flags: string[]): Promise<string> {
    return (await plane.cli(["deployment", "run", NAME, ...flags])).stdout.trim();
  }

  test("a run that waits is explained with the reason, the facts and what to do", async () => {
    const id = await createRun("--flow-run-name", "waiter");

    const { code, stdout } = await plane.cli(["flow-run", "explain", "waiter"]);

    assert.equal(code, 0);
    assert.match(
      stdout,
      /^Work pool "pool" of type "process" has never had a worker; the run .*\n {2}reason {7}NO_WORKER\n/,
    );
    assert.match(stdout, /\n {2}whose doing {2}whoever set it up or cancelled it\n/);
    assert.match(stdout, /\n {2}next step {4}Start one: flowyard worker start --pool pool\n$/);
    const json = await plane.cli(["flow-run", "explain", id, "--json"]);
    assert.equal(Explanation.parse(JSON.parse(json.stdout)).reason_code, "NO_WORKER");
  });

  test("every cause that holds is printed, the decisive one first", async () => {
    const id = await createRun("--start-in", "1 hour");

    const { stdout } = await plane.cli(["flow-run", "explain", id]);

    assert.match(stdout, /^The run is scheduled for [^\n]*\n[\s\S]*\nAnd besides:\nWork pool "pool"/);
  });

  test("what others wrote does not reach the terminal as control characters", async () => {
    const id = await createRun("--flow-run-name", "evil\u001b[2J\u0007name");
    await plane.client.logs.create([
      {
        name: "flow",
        level: 40,
        message: "a\u001b[31mb\u0008\r\nc\u202e",
        timestamp: new Date().toISOString(),
        flow_run_id: id,
      },
    ]);
    await plane.client.flowRuns.setState(id, {
      state: { type: "FAILED", message: "x\u001b]0;title\u0007\u009b2Jy" },
      force: true,
    });

    const { stdout } = await plane.cli(["flow-run", "explain", id]);
    const inspected = await plane.cli(["flow-run", "inspect", id]);

    assert.match(stdout, NO_CONTROL_CHARACTERS);
    assert.match(inspected.stdout, NO_CONTROL_CHARACTERS);
    assert.match(stdout, /Last lines of its log:\n\d\d:\d\d:\d\d \| ERROR {3}\| ab\nc\n$/);
    assert.match(inspected.stdout, /\nwhy +The run failed before its flow began: x/);
  });

  test("an unknown run, an ambiguous name and no name are told apart", async () => {
    await createRun("--flow-run-name", "twin");
    await createRun("--flow-run-name", "twin");

    const unknown = await plane.cli(["flow-run", "explain", "nobody"]);
    assert.deepEqual([unknown.code, /There is no flow run "nobody"/.test(unknown.stderr)], [1, true]);
    const gone = await plane.cli(["flow-run", "explain", randomUUID()]);
    assert.match(gone.stderr, /There is no flow run with id/);
    const twin = await plane.cli(["flow-run", "explain", "twin"]);
    assert.match(twin.stderr, /Several flow runs are named "twin"/);
    assert.notEqual((await plane.cli(["flow-run", "explain"])).code, 0);
  });

  test("a server that explains nothing is named as what it is, and inspect does without", async () => {
    const id = await createRun();
    // A stock Prefect server has none of our routes and answers 404 to them; all others are the plane's.
    const stock = createServer(async (request, response) => {
      if (request.url?.includes("/flowyard/") === true) {
        response.writeHead(404, { "content-type": "application/json" }).end('{"detail":"Not Found"}');
        return;
      }
      const answer = await fetch(new URL(request.url ?? "", plane.apiUrl));
      response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
    });
    await new Promise<void>((resolve) => stock.listen(0, "127.0.0.1", resolve));
    const address = stock.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const env = { PREFECT_API_URL: `http://127.0.0.1:${port}/api` };
    try {
      const { code, stderr } = await plane.cli(["flow-run", "explain", id], { env });
      assert.equal(code, 1);
      assert.match(stderr, /is a Prefect server, which cannot explain runs\.[\s\S]*CAPABILITY_MISSING/);
      const inspected = await plane.cli(["flow-run", "inspect", id], { env });
      assert.deepEqual([inspected.code, /^why /m.test(inspected.stdout)], [0, false]);
    } finally {
      stock.closeAllConnections();
      stock.close();
    }
  });

  test("watching a run that nobody takes says why, once, after ten seconds", async () => {
    const { stderr } = await plane.cli(["deployment", "run", NAME, "--watch", "--watch-timeout", "17"]);

    const said = [...stderr.matchAll(/^Waiting \((\w+)\): .*$/gm)];
    assert.deepEqual(
      said.map((match) => match[1]),
      ["NO_WORKER"],
    );
    assert.match(said[0]?.[0] ?? "", /Start one: flowyard worker start --pool pool$/);
  });

  test("a watcher tells again when the reason changes, not when only the time does", async () => {
    const id = await createRun();
    let time = 0;
    const told: string[] = [];
    const tell = ({ reason_code }: Explanation) => void told.push(reason_code);
    const explain = createWaitExplainer({ client: plane.client, flowRunId: id, tell, now: () => time });
    const look = async (seconds: number) => {
      time = seconds * 1000;
      await explain(await plane.client.flowRuns.get(id));
    };

    await look(1);
    await look(9);
    assert.deepEqual(told, []);
    for (const seconds of [11, 12, 20, 30]) {
      await look(seconds);
    }
    assert.deepEqual(told, ["NO_WORKER"]);
    await plane.client.workPools.update("pool", { is_paused: true });
    await look(31);
    await look(40);
    assert.deepEqual(told, ["NO_WORKER", "POOL_PAUSED"]);
    await plane.client.workPools.update("pool", { is_paused: false });
    await plane.client.flowRuns.setState(id, { state: { type: "RUNNING" }, force: true });
    await look(60);
    assert.deepEqual(told, ["NO_WORKER", "POOL_PAUSED"]);
  });

  test("an answer that does not come ends no watching, and a server without the route is asked once", async () => {
    let asked = 0;
    let time = 0;
    const answers: (() => Promise<undefined>)[] = [() => Promise.reject(new Error("away")), async () => undefined];
    const client = { explanations: { find: () => answers[Math.min(asked++, 1)]?.() ?? Promise.resolve(undefined) } };
    const explain = createWaitExplainer({
      client,
      flowRunId: randomUUID(),
      tell: () => assert.fail("nothing to tell"),
      now: () => time,
    });

    for (const seconds of [11, 20, 30, 40]) {
      time = seconds * 1000;
      await explain({ state_type: "SCHEDULED" });
    }

    assert.equal(asked, 2);
  });
});
