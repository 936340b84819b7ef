import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";
import { createBlankDatabase, type TestDatabase } from "../support/test-database.ts";

const RUNS = 100;
const CLAIMERS = 8;

const Id = z.object({ id: z.string() });
const Decided = z.object({ status: z.enum(["ACCEPT", "REJECT", "WAIT", "ABORT"]) });

describe("two plane processes on one PostgreSQL", () => {
  let database: TestDatabase;
  let planes: PlaneProcess[];
  let deploymentId: string;

  before(async () => {
    database = await createBlankDatabase();
    // At the same time: both find an empty database.
    planes = await Promise.all([start(), start()]);
    const flow = Id.parse(await ask(0, "/flows/", { name: "f" }));
    await ask(1, "/work_pools/", { name: "p", type: "process", base_job_template: {} });
    const body = { name: "d", flow_id: flow.id, work_pool_name: "p" };
    deploymentId = Id.parse(await ask(1, "/deployments/", body)).id;
  });

  after(async () => {
    await Promise.all(planes.map((plane) => plane[Symbol.asyncDispose]()));
    await database[Symbol.asyncDispose]();
  });

  function start(): Promise<PlaneProcess> {
    return startPlane({}, ["--database", database.url]);
  }

  async function ask(plane: number, path: string, body: unknown): Promise<unknown> {
    const answer = await fetch(`${planes[plane]?.apiUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${path} answered ${answer.status}: ${text}`);
    return JSON.parse(text);
  }

  async function createRuns(): Promise<string[]> {
    const made = Array.from({ length: RUNS }, (_, index) =>
      ask(index % 2, `/deployments/${deploymentId}/create_flow_run`, {}),
    );
    return (await Promise.all(made)).map((run) => Id.parse(run).id);
  }

  /** One claimer proposes PENDING for each run, in an order of its own; answers those that it may start. */
  async function claim(plane: number, claimer: number, ids: readonly string[]): Promise<string[]> {
    const won: string[] = [];
    for (let step = 0; step < ids.length; step += 1) {
      const id = ids[(step * (2 * claimer + 3) + claimer * 7) % ids.length];
      const state = { type: "PENDING", state_details: { transition_id: crypto.randomUUID() } };
      const answer = await ask(plane, `/flow_runs/${id}/set_state`, { state }).catch((error: unknown) => {
        if (error instanceof assert.AssertionError) {
          throw error;
        }
        return undefined; // the plane was killed
      });
      if (answer === undefined) {
        break;
      }
      if (Decided.parse(answer).status === "ACCEPT" && id !== undefined) {
        won.push(id);
      }
    }
    return won;
  }

  test("eight claimers, and each run is started by one of them", async () => {
    const ids = await createRuns();

    const won = await Promise.all(Array.from({ length: CLAIMERS }, (_, claimer) => claim(claimer % 2, claimer, ids)));

    assert.deepEqual(won.flat().sort(), ids.toSorted());
  });

  test("one is killed in the middle, and the other goes on alone without starting a run twice", async () => {
    const ids = await createRuns();
    const claims = Array.from({ length: CLAIMERS }, (_, claimer) => claim(claimer % 2, claimer, ids));
    await firstClaim(ids);

    await planes[1]?.kill();
    const won = (await Promise.all(claims)).flat();
    const left = await claim(0, 0, ids);

    assert.equal(new Set(won).size, won.length);
    assert.deepEqual([...new Set([...won, ...left])].length, won.length + left.length);
    await planes[1]?.start();
    const pending = await ask(1, "/flow_runs/count", {
      flow_runs: { id: { any_: ids }, state: { type: { any_: ["PENDING"] } } },
    });
    assert.equal(pending, ids.length);
  });

  /** Resolves when at least one of the runs is claimed. */
  async function firstClaim(ids: readonly string[]): Promise<void> {
    const claimed = { flow_runs: { id: { any_: ids }, state: { type: { any_: ["PENDING"] } } } };
    while ((await ask(0, "/flow_runs/count", claimed)) === 0) {
      // asked again at once: the claimers are at work
    }
  }
});
