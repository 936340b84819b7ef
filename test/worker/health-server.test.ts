import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createPrefectClient } from "../../src/client/prefect-client.ts";
import { startHealthServer } from "../../worker/health-server.ts";
import { createWorkerMetrics } from "../../worker/metrics.ts";
import { createPlaneContact } from "../../worker/plane-contact.ts";
import { waitUntil } from "../support/wait-until.ts";

const SETTINGS = { pollSeconds: 0.5, heartbeatSeconds: 30 };
const WINDOW_MS = 60_000;

function buildMetrics(relayFolder = "/nowhere") {
  return createWorkerMetrics({ workerName: 'a "worker"', pool: "pool", version: "1.2.3", relayFolder });
}

/** A plane that answers every request in the same way. */
async function startAnswering(status: () => number, headers: Record<string, string> = {}) {
  const server = createServer((_request, response) => {
    response.writeHead(status(), { "content-type": "application/json", ...headers }).end("[]");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    apiUrl: `http://127.0.0.1:${address.port}/api`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe("the worker's health", () => {
  test("is good while the plane answers, and bad when it has not for the whole window", async () => {
    let now = 0;
    let status = 200;
    await using plane = await startAnswering(() => status);
    const contact = createPlaneContact(SETTINGS, buildMetrics(), () => now);
    const client = contact.watch(createPrefectClient({ apiUrl: plane.apiUrl, retry: { retries: 0 } }));
    const look = () =>
      client.workPools.getScheduledFlowRuns("pool", {}).then(
        () => true,
        () => false,
      );

    now = WINDOW_MS;
    assert.equal(contact.isHealthy(), true, "it has time to find its plane");
    now += 1;
    assert.equal(contact.isHealthy(), false);
    assert.equal(await look(), true);
    assert.equal(contact.isHealthy(), true);
    status = 500;
    now += WINDOW_MS + 1;
    assert.equal(await look(), false);
    assert.equal(contact.isHealthy(), false);
  });

  test("stays good while the plane says that it is in maintenance", async () => {
    let now = 0;
    const headers = { "retry-after": "0.05", "prefect-maintenance": "true" };
    await using plane = await startAnswering(() => 503, headers);
    const contact = createPlaneContact(SETTINGS, buildMetrics(), () => now);
    const giveUp = new AbortController();
    const client = contact.watch(
      createPrefectClient({
        apiUrl: plane.apiUrl,
        signal: giveUp.signal,
        onRetry: (retry) => contact.onRetry(retry),
      }),
    );
    const looking = client.workPools.getScheduledFlowRuns("pool", {}).catch(() => undefined);
    now = 10 * WINDOW_MS;

    await waitUntil(async () => contact.isHealthy(), { timeoutMs: 5000, what: "a healthy worker" });

    giveUp.abort();
    await looking;
  });

  test("is answered at Prefect's path with Prefect's words, and nothing else is", async () => {
    let isHealthy = true;
    const own = { isHealthy: () => isHealthy, metrics: buildMetrics() };
    const server = await startHealthServer({ host: "127.0.0.1", port: 0 }, own);
    const ask = async (path: string, method = "GET") => {
      const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return [answer.status, await answer.text()];
    };

    assert.deepEqual(await ask("/health"), [200, '{"message":"OK"}']);
    isHealthy = false;
    assert.deepEqual(await ask("/health"), [503, '{"message":"Worker may be unresponsive at this time"}']);
    assert.equal((await ask("/"))[0], 404);
    assert.equal((await ask("/health", "POST"))[0], 405);
    await assert.rejects(startHealthServer({ host: "127.0.0.1", port: server.port }, own), { code: "ADDRESS_IN_USE" });
    await server.close();
  });

  test("metrics say what was taken, how long each step took, how runs ended, and what waits on disk", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowyard-metrics-"));
    await mkdir(join(folder, "spool"));
    await writeFile(join(folder, "spool/0000000001.lines"), "x".repeat(1234));
    await writeFile(join(folder, "spool/cursor"), "1 234");
    const metrics = buildMetrics(folder);
    const server = await startHealthServer({ host: "127.0.0.1", port: 0 }, { isHealthy: () => true, metrics });
    metrics.noteTaken("claimed");
    metrics.noteTaken("adopted");
    metrics.noteStartPhase("started", 0.3);
    metrics.noteExit("out_of_memory");
    metrics.noteGone();

    const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`);

    const text = await answer.text();
    const worker = 'worker_name="a \\"worker\\"",work_pool_name="pool"';
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    for (const line of [
      `flowyard_worker_claims_total{how="claimed",${worker}} 1`,
      `flowyard_worker_runs_in_hand{${worker}} 1`,
      `flowyard_worker_start_seconds_bucket{le="0.5",${worker},phase="started"} 1`,
      `flowyard_worker_start_seconds_bucket{le="0.25",${worker},phase="started"} 0`,
      `flowyard_worker_exits_total{reason="out_of_memory",${worker}} 1`,
      `flowyard_worker_spool_bytes{${worker}} 1000`,
    ]) {
      assert.ok(text.includes(line), `${line} is missing in\n${text}`);
    }
    assert.match(text, /^process_resident_memory_bytes/m);
    await server.close();
    await rm(folder, { recursive: true });
  });
});
