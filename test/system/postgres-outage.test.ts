import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";
import { type PostgresCluster, startPostgresCluster } from "../support/postgres-cluster.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENTS = 6;
const Flow = z.object({ id: z.string(), name: z.string() });

/** Makes flows until it is told to stop, and again what was refused, as clients do. */
class Client {
  readonly made: string[] = [];
  refusals = 0;
  isStopped = false;
  readonly #apiUrl: string;
  readonly #name: string;

  constructor(apiUrl: string, name: string) {
    this.#apiUrl = apiUrl;
    this.#name = name;
  }

  async work(): Promise<void> {
    while (!this.isStopped) {
      const name = `${this.#name}-${this.made.length}`;
      const answer = await fetch(`${this.#apiUrl}/flows/`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name }),
      });
      const text = await answer.text();
      if (answer.ok) {
        this.made.push(Flow.parse(JSON.parse(text)).id);
      } else {
        assert.equal(answer.status, 503, text);
        assert.equal(answer.headers.get("retry-after"), "1");
        assert.match(text, /SERVICE_UNAVAILABLE/);
        this.refusals += 1;
      }
    }
  }
}

function stop(client: Client): void {
  client.isStopped = true;
}

describe("a plane whose PostgreSQL goes away", () => {
  let cluster: PostgresCluster;
  let plane: PlaneProcess;

  before(async () => {
    cluster = await startPostgresCluster();
    plane = await startPlane({}, ["--database", cluster.url]);
  });

  after(async () => {
    await plane[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  for (const mode of ["fast", "immediate"] as const) {
    test(`answers 503 until it is back, then goes on, and has all that it had answered (${mode} stop)`, async () => {
      const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(plane.apiUrl, `${mode}-${index}`));
      const working = Promise.all(clients.map((client) => client.work()));
      working.catch(() => clients.forEach(stop));
      const all = (count: (client: Client) => number, least: number, what: string) =>
        Promise.race([
          waitUntil(async () => clients.every((client) => count(client) >= least), { timeoutMs: 60_000, what }),
          working,
        ]);

      await all(({ made }) => made.length, 3, "flows before");
      await cluster.stop(mode);
      await all(({ refusals }) => refusals, 1, "refusals");
      const before = Math.max(...clients.map(({ made }) => made.length));
      await cluster.start();
      await all(({ made }) => made.length, before + 3, "flows afterwards");
      clients.forEach(stop);
      await working;

      for (const id of clients.flatMap(({ made }) => made)) {
        assert.equal((await fetch(`${plane.apiUrl}/flows/${id}`)).status, 200);
      }
      assert.equal(plane.process.child.exitCode, null);
    });
  }

  test("is not ready meanwhile, and is again afterwards", async () => {
    const ready = async () => (await fetch(`${plane.apiUrl}/ready`)).status;

    await cluster.stop("fast");
    await waitUntil(async () => (await ready()) === 503, { timeoutMs: 20_000, what: "no readiness" });
    await cluster.start();

    await waitUntil(async () => (await ready()) === 200, { timeoutMs: 20_000, what: "readiness" });
  });

  test("waits at its start for a database that is started together with it", async () => {
    await plane.kill();
    await cluster.stop("fast");

    const starting = plane.start();
    await waitUntil(async () => plane.process.child.exitCode === null, { timeoutMs: 5000, what: "the plane" });
    await cluster.start();

    await starting;
    assert.equal((await fetch(`${plane.apiUrl}/ready`)).status, 200);
  });
});
