import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openTestStore } from "../support/open-test-store.ts";
import { buildFlow } from "./build-rows.ts";

describe("wake-ups", () => {
  test("who waits is woken once per key when the transaction is on disk", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow();
    const woken: (string | null)[] = [];
    const stop = store.wakeUps.subscribe("flow_run_scheduled", (key) => woken.push(key));

    await store.transaction(async (tx) => {
      tx.wakeUps.notify("flow_run_scheduled", "pool-1");
      tx.wakeUps.notify("flow_run_scheduled", "pool-1");
      tx.wakeUps.notify("slot_released", "pool-2");
      await tx.flows.insert(flow);
      assert.deepEqual(woken, []);
    });
    assert.deepEqual(woken, ["pool-1"]);

    stop();
    await store.transaction(async (tx) => tx.wakeUps.notify("flow_run_scheduled", "pool-3"));
    assert.deepEqual(woken, ["pool-1"]);
  });

  test("nobody is woken by a transaction that was undone", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const woken: (string | null)[] = [];
    store.wakeUps.subscribe("slot_released", (key) => woken.push(key));

    const undone = store.transaction(async (tx) => {
      tx.wakeUps.notify("slot_released", "undone");
      throw new Error("changed its mind");
    });
    const kept = store.transaction(async (tx) => tx.wakeUps.notify("slot_released", "kept"));

    await assert.rejects(undone, /changed its mind/);
    await kept;
    assert.deepEqual(woken, ["kept"]);
  });
});
