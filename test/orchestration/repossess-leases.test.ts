import assert from "node:assert/strict";
import { test } from "node:test";
import { acquireSlots, renewLease } from "../../src/orchestration/slots/acquire-slots.ts";
import { repossessLeases } from "../../src/orchestration/slots/repossess-leases.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { type LoopBench, openLoopBench } from "./loop-deps.ts";

const NOW = new Date("2026-11-24T12:00:00.000Z");
const MOST = 50;

async function insertLimit({ deps }: LoopBench, limit: number): Promise<void> {
  const at = timestampFromDate(NOW);
  await deps.store.transaction((tx) =>
    tx.concurrencyLimits.insert({
      id: "11111111-1111-4111-8111-111111111111",
      created: at,
      updated: at,
      active: true,
      name: "database",
      limit,
      slot_decay_per_second: 0,
      avg_slot_occupancy_seconds: 2,
    }),
  );
}

function acquire({ deps, now }: LoopBench) {
  const lease = { seconds: 60, holder: null };
  return acquireSlots(deps.store, { names: ["database"], slots: 1, mode: "concurrency", lease }, now());
}

test("the slots of a lease that ended are free at once, without anybody's doing", async () => {
  await using bench = await openLoopBench(NOW);
  await insertLimit(bench, 1);
  assert.equal((await acquire(bench)).acquired, true);
  assert.equal((await acquire(bench)).acquired, false);

  bench.moveClock(61);

  assert.equal((await acquire(bench)).acquired, true);
});

test("a lease is forgotten an hour after it ended, and renewing it is refused then", async () => {
  await using bench = await openLoopBench(NOW);
  await insertLimit(bench, 1);
  const acquired = await acquire(bench);
  const leaseId = acquired.acquired ? acquired.leaseId : "";

  bench.moveClock(60 + 3600);
  assert.equal((await repossessLeases(bench.deps, bench.now(), MOST)).changed, 0);
  await renewLease(bench.deps.store, leaseId, 60, bench.now());

  bench.moveClock(60 + 3601);
  assert.deepEqual(await repossessLeases(bench.deps, bench.now(), MOST), { changed: 1, more: false });
  await assert.rejects(renewLease(bench.deps.store, leaseId, 60, bench.now()), (error) => hasCode(error, "LEASE_GONE"));
});

test("leases are forgotten in batches, by several planes", async () => {
  await using bench = await openLoopBench(NOW);
  await insertLimit(bench, 100);
  for (let count = 0; count < 30; count += 1) {
    await acquire(bench);
  }
  bench.moveClock(2 * 3600);

  assert.deepEqual(await repossessLeases(bench.deps, bench.now(), 10), { changed: 10, more: true });
  const results = await Promise.all([1, 2].map(() => repossessLeases(bench.deps, bench.now(), MOST)));

  assert.equal(
    results.reduce((sum, { changed }) => sum + changed, 0),
    20,
  );
});
