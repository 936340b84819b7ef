import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../src/shared/clock.ts";
import { WriteMerger } from "../../src/storage/held-writes.ts";
import { insertDeployment } from "../orchestration/insert-deployment.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { buildFlowRun } from "./build-rows.ts";

const UNKNOWN = "00000000-0000-4000-8000-00000000000f";

describe("transactions whose rows are written together", () => {
  test("one whose rows the database refuses fails alone, and hears why", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { flow_id } = await insertDeployment(store, systemClock.now(), {});
    const runs = Array.from({ length: 20 }, (_, index) => buildFlowRun(index % 7 === 3 ? UNKNOWN : flow_id));

    const outcomes = await Promise.allSettled(runs.map((run) => store.transaction((tx) => tx.flowRuns.insert(run))));

    const refused = outcomes.flatMap((outcome, index) =>
      outcome.status === "rejected" ? [[index, outcome.reason]] : [],
    );
    assert.deepEqual(
      refused.map(([index, { code }]) => [index, code]),
      [3, 10, 17].map((index) => [index, "DATA_CONFLICT"]),
    );
    const stored = await Promise.all(runs.map(async ({ id }) => (await store.flowRuns.find(id)) !== undefined));
    assert.deepEqual(
      stored,
      runs.map((run) => run.flow_id === flow_id),
    );
  });

  test("what the refused one would have told, nobody hears", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { flow_id } = await insertDeployment(store, systemClock.now(), {});
    const [told, woken]: [string[], (string | null)[]] = [[], []];
    store.wakeUps.subscribe("flow_run_scheduled", (key) => woken.push(key));

    await Promise.allSettled(
      [UNKNOWN, flow_id].map((flowId) =>
        store.transaction(async (tx) => {
          await tx.flowRuns.insert(buildFlowRun(flowId));
          tx.wakeUps.notify("flow_run_scheduled", flowId);
          tx.afterCommit(() => told.push(flowId));
        }),
      ),
    );

    assert.deepEqual([told, woken], [[flow_id], [flow_id]]);
  });

  test("each finds what it and those before it wrote, and nothing of one that changed its mind", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { flow_id } = await insertDeployment(store, systemClock.now(), {});
    const [kept, undone, refused, own] = ["kept", "undone", "refused", "own"].map((name) =>
      buildFlowRun(name === "refused" ? UNKNOWN : flow_id, { name }),
    );
    assert.ok(kept && undone && refused && own);

    const [, , , found] = await Promise.allSettled([
      store.transaction((tx) => tx.flowRuns.insert(kept)),
      store.transaction(async (tx) => {
        await tx.flowRuns.insert(undone);
        throw new Error("changed its mind");
      }),
      store.transaction((tx) => tx.flowRuns.insert(refused)),
      store.transaction(async (tx) => {
        await tx.flowRuns.insert(own);
        const names = await Promise.all([kept, undone, refused, own].map(({ id }) => tx.transitions.find(id)));
        return names.map((run) => run?.name);
      }),
    ]);

    assert.deepEqual(found, { status: "fulfilled", value: ["kept", undefined, undefined, "own"] });
    assert.equal((await store.flowRuns.find(own.id))?.name, "own");
  });

  test("one that asks after its own rows were refused is told so there, and the next goes on", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { flow_id } = await insertDeployment(store, systemClock.now(), {});
    const [refused, next] = [buildFlowRun(UNKNOWN), buildFlowRun(flow_id)];

    const [first, second] = await Promise.allSettled([
      store.transaction(async (tx) => {
        await tx.flowRuns.insert(refused);
        return await tx.flowRuns.find(refused.id);
      }),
      store.transaction((tx) => tx.flowRuns.insert(next)),
    ]);

    assert.equal(first.status === "rejected" && first.reason.code, "DATA_CONFLICT");
    assert.equal(second.status, "fulfilled");
    assert.equal((await store.flowRuns.find(next.id))?.id, next.id);
  });
});

describe("the statement of a group of transactions", () => {
  const insert = { sql: 'insert into "a" ("x", "y") values ($1, $2) on conflict do nothing', size: 2 };
  const update = { sql: 'update "b" set "z" = $1 where "id" = $2', size: 2 };

  test("lists the rows of each table, and says each update by itself", () => {
    const writes = [1, 2].map((n) => ({ parts: [insert, update], parameters: [`x${n}`, `y${n}`, `z${n}`, `id${n}`] }));

    assert.deepEqual(new WriteMerger().merge(writes), [
      {
        sql:
          'with write_0 as (insert into "a" ("x", "y") values ($1, $2), ($3, $4) on conflict do nothing), ' +
          'write_1 as (update "b" set "z" = $5 where "id" = $6) update "b" set "z" = $7 where "id" = $8',
        parameters: ["x1", "y1", "x2", "y2", "z1", "id1", "z2", "id2"],
      },
    ]);
  });

  test("is one of few texts, however many there are", () => {
    const merger = new WriteMerger();
    const texts = new Set<string>();
    for (let count = 1; count <= 64; count += 1) {
      const writes = Array.from({ length: count }, (_, index) => ({ parts: [insert], parameters: [index, index] }));
      const statements = merger.merge(writes);
      assert.equal(statements.flatMap(({ parameters }) => parameters).length, count * 2);
      for (const { sql } of statements) {
        texts.add(sql);
      }
    }

    assert.equal(texts.size, 4);
  });
});
