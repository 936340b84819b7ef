import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { LoadClient } from "../../bench/load.ts";
import { StockPollers } from "../../bench/stock-pollers.ts";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";
import { createBlankDatabase } from "../support/test-database.ts";

const CREATORS = 16;
const Created = z.object({ id: z.string() });
const State = z.object({ id: z.string(), type: z.string(), name: z.string() });
const Run = z.object({ id: z.string(), deployment_id: z.string(), work_queue_name: z.string() });
const OCCUPYING = new Set(["PENDING", "RUNNING", "CANCELLING"]);

/** How many tenths of the runs each deployment has; limits of deployments and queues. */
const DEPLOYMENTS = [
  { name: "free", tenths: 4, queue: "default", limit: null },
  { name: "limited", tenths: 2, queue: "default", limit: 5 },
  { name: "queued", tenths: 2, queue: "narrow", limit: null },
  { name: "both", tenths: 2, queue: "urgent", limit: 4 },
] as const;
const QUEUE_LIMITS: Record<string, number> = { narrow: 6 };
const POOL_LIMIT = 20;

async function setUp(
  send: (path: string, body: unknown) => Promise<unknown>,
  runs: number,
): Promise<Map<string, string>> {
  await send("/work_pools/", { name: "pool", type: "process", base_job_template: {}, concurrency_limit: POOL_LIMIT });
  await send("/work_pools/pool/queues", { name: "urgent", priority: 1 });
  await send("/work_pools/pool/queues", { name: "narrow", concurrency_limit: QUEUE_LIMITS["narrow"] });
  const flow = Created.parse(await send("/flows/", { name: "short" }));
  const names = new Map<string, string>();
  const todo: string[] = [];
  for (const { name, tenths, queue, limit } of DEPLOYMENTS) {
    const body = { name, flow_id: flow.id, work_pool_name: "pool", work_queue_name: queue, concurrency_limit: limit };
    const { id } = Created.parse(await send("/deployments/", body));
    names.set(id, name);
    todo.push(...Array.from({ length: (runs * tenths) / 10 }, () => id));
  }
  const create = async () => {
    for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
      await send(`/deployments/${id}/create_flow_run`, {});
    }
  };
  await Promise.all(Array.from({ length: CREATORS }, create));
  return names;
}

/** The most runs that held a slot of the same thing at the same moment. State ids rise in the order of the commits. */
function findPeaks(runs: { owners: string[]; states: z.infer<typeof State>[] }[]): Map<string, number> {
  const changes = runs.flatMap(({ owners, states }) =>
    states
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
      .flatMap((state, index, all) => {
        const before = OCCUPYING.has(all[index - 1]?.type ?? "");
        const after = OCCUPYING.has(state.type);
        return before === after ? [] : [{ at: state.id, by: after ? 1 : -1, owners }];
      }),
  );
  const held = new Map<string, number>();
  const peaks = new Map<string, number>();
  for (const { by, owners } of changes.sort((a, b) => (a.at < b.at ? -1 : 1))) {
    for (const owner of owners) {
      held.set(owner, (held.get(owner) ?? 0) + by);
      peaks.set(owner, Math.max(peaks.get(owner) ?? 0, held.get(owner) ?? 0));
    }
  }
  return peaks;
}

const machine = await loadMachine();

test("eight stock pollers with stale, shuffled lists start 2,000 runs once each and exceed no limit", async () => {
  await using plane = await startPlane();
  await pollAndCheck(plane, 2000);
});

test("the same on PostgreSQL, with 600 runs", {
  skip: machine.postgres.available ? false : machine.postgres.reason,
}, async () => {
  await using database = await createBlankDatabase();
  await using plane = await startPlane({}, ["--database", database.url]);
  await pollAndCheck(plane, 600);
});

async function pollAndCheck(plane: PlaneProcess, runs: number): Promise<void> {
  const client = new LoadClient(plane.apiUrl, CREATORS);
  async function send(path: string, body?: unknown): Promise<unknown> {
    const answer = await client.send(body === undefined ? "GET" : "POST", path, body);
    assert.ok(answer.status < 300, `${path}: ${answer.status} ${answer.body}`);
    return JSON.parse(answer.body);
  }
  const names = await setUp(send, runs);

  const pollers = new StockPollers({
    apiUrl: plane.apiUrl,
    poolName: "pool",
    pollers: 8,
    slots: 6,
    runMs: 1,
    runs,
  });
  const result = await pollers.run();

  const seen: { owners: string[]; states: z.infer<typeof State>[] }[] = [];
  for (let offset = 0; offset < runs; offset += 200) {
    const page = z.array(Run).parse(await send("/flow_runs/filter", { limit: 200, offset, sort: "ID_DESC" }));
    const read = async (run: z.infer<typeof Run>) => ({
      owners: ["pool", `queue ${run.work_queue_name}`, `deployment ${names.get(run.deployment_id)}`],
      states: z.array(State).parse(await send(`/flow_run_states?flow_run_id=${run.id}`)),
    });
    seen.push(...(await Promise.all(page.map(read))));
  }
  client.close();
  const twice = [...result.started].filter(([, times]) => times > 1);
  const wrong = seen.filter(
    ({ states }) =>
      states.at(-1)?.type !== "COMPLETED" ||
      states.filter(({ name }) => name === "Running" || name === "Pending").length !== 2,
  );
  const peaks = findPeaks(seen);
  assert.deepEqual([seen.length, result.completed, twice, wrong, result.serverErrors], [runs, runs, [], [], 0]);
  assert.ok((peaks.get("pool") ?? 0) <= POOL_LIMIT, `pool: ${peaks.get("pool")}`);
  assert.ok((peaks.get("queue narrow") ?? 0) <= 6, `queue: ${peaks.get("queue narrow")}`);
  assert.ok((peaks.get("deployment limited") ?? 0) <= 5, `limited: ${peaks.get("deployment limited")}`);
  assert.ok((peaks.get("deployment both") ?? 0) <= 4, `both: ${peaks.get("deployment both")}`);
}
