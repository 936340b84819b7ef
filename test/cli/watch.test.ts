import assert from "node:assert/strict";
import { createServer, request as sendRequest } from "node:http";
import { after, before, describe, test } from "node:test";
import type { StateType } from "../../src/prefect-api/states.ts";
import { createDeployment, startTestPlane, type TestPlane } from "./test-plane.ts";

const NAME = "get-repo-info/my-deployment";
let plane: TestPlane;

describe("watching", () => {
  before(async () => {
    plane = await startTestPlane();
    await createDeployment(plane.client);
  });

  after(() => plane[Symbol.asyncDispose]());

  async function setState(id: string, type: StateType, message: string | null = null) {
    const { status } = await plane.client.flowRuns.setState(id, { state: { type, message }, force: true });
    assert.equal(status, "ACCEPT");
  }

  function log(id: string, message: string) {
    return plane.client.logs.create([
      { name: "flow", level: 20, message, timestamp: new Date().toISOString(), flow_run_id: id },
    ]);
  }

  async function createRun(): Promise<string> {
    return (await plane.cli(["deployment", "run", NAME])).stdout.trim();
  }

  /** Plays a worker and an engine: each step begins once the watcher has printed what the step before made. */
  async function play(id: string, apiUrl: string, final: StateType, message: string | null = null) {
    const steps: [RegExp, () => Promise<unknown>][] = [
      [/Scheduled/, () => setState(id, "PENDING")],
      [/Pending/, () => setState(id, "RUNNING")],
      [/Running/, () => log(id, "Stars: 17")],
      [/Stars: 17/, () => setState(id, final, message)],
    ];
    let played = Promise.resolve<unknown>(undefined);
    const printed = await plane.cli(["flow-run", "watch", id, "--timeout", "30"], {
      env: { PREFECT_API_URL: apiUrl },
      onOutput: (text) => {
        const next = steps[0];
        if (next?.[0].test(text) === true) {
          steps.shift();
          played = played.then(next[1]);
        }
      },
    });
    await played;
    return printed;
  }

  test("watching shows each state and log line once, as it comes, and exits 0 for COMPLETED", async () => {
    const { code, stdout, stderr } = await play(await createRun(), plane.apiUrl, "COMPLETED");

    assert.equal(code, 0);
    assert.match(stdout, /^\d\d:\d\d:\d\d \| INFO {4}\| Stars: 17\n$/);
    const states = [...stderr.matchAll(/\| STATE {3}\| (\w+)/g)].map((match) => match[1]);
    assert.deepEqual(states, ["Scheduled", "Pending", "Running", "Completed"]);
  });

  test("watching exits 1 for FAILED and says why", async () => {
    const { code, stderr } = await play(await createRun(), plane.apiUrl, "FAILED", "no such repo");

    assert.equal(code, 1);
    assert.match(stderr, /\| Failed: no such repo\nFlow run "[\w-]+" ended FAILED\.\n$/);
  });

  test("watching goes on by asking where the streams are refused", async () => {
    const { port } = new URL(plane.apiUrl);
    const front = createServer((request, response) => {
      const { method, url, headers } = request;
      const forwarded = sendRequest({ port, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      request.pipe(forwarded);
    });
    front.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"));
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    const address = front.address();
    assert.ok(address !== null && typeof address === "object");

    const { code, stdout, stderr } = await play(await createRun(), `http://127.0.0.1:${address.port}/api`, "COMPLETED");
    front.closeAllConnections();
    await new Promise((resolve) => front.close(resolve));

    assert.equal(code, 0, stderr);
    assert.match(stdout, /Stars: 17/);
    assert.match(stderr, /Running[\s\S]*Completed/);
  });

  test("a run that has ended is shown with its lines at once", async () => {
    const id = await createRun();
    await log(id, "first");
    await setState(id, "COMPLETED");

    const { code, stdout } = await plane.cli(["flow-run", "watch", id]);

    assert.equal(code, 0);
    assert.match(stdout, /first/);
  });

  test("--watch with --json prints the ended run and nothing else to stdout", async () => {
    const printed = plane.cli(["deployment", "run", NAME, "--watch", "--json", "--flow-run-name", "as-json"], {
      onOutput: (text) => {
        if (/Scheduled/.test(text) && !/Completed/.test(text)) {
          void plane.client.flowRuns
            .list({ flow_runs: { name: { any_: ["as-json"] } } })
            .then(([run]) => setState(run?.id ?? "", "COMPLETED"));
        }
      },
    });

    const { code, stdout } = await printed;
    assert.equal(code, 0);
    assert.equal(JSON.parse(stdout).state_type, "COMPLETED");
  });

  test("a watch that times out fails and leaves the run alone", async () => {
    const id = await createRun();

    const { code, stderr } = await plane.cli(["flow-run", "watch", id, "--timeout", "0.2"]);

    assert.equal(code, 1);
    assert.match(stderr, /WATCH_TIMEOUT/);
    assert.equal((await plane.client.flowRuns.get(id)).state_type, "SCHEDULED");
  });

  test("stopping a watch says that the run goes on", async () => {
    const stop = new AbortController();

    const { stderr } = await plane.cli(["flow-run", "watch", await createRun()], {
      signal: stop.signal,
      onOutput: () => stop.abort(),
    });

    assert.match(stderr, /the run goes on.*flow-run cancel/);
  });
});
