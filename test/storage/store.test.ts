import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../../src/shared/errors.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { buildFlow, buildFlowRun } from "./build-rows.ts";

describe("transactions", () => {
  test("what a transaction wrote is read once it has resolved, and not before", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow();

    await store.transaction(async (tx) => {
      await tx.flows.insert(flow);
      assert.equal(await store.flows.find(flow.id), undefined);
      assert.deepEqual(await tx.flows.find(flow.id), flow);
    });

    assert.deepEqual(await store.flows.find(flow.id), flow);
  });

  test("one that throws undoes only itself, even when others share its commit", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flows = [buildFlow(), buildFlow(), buildFlow()];

    const outcomes = await Promise.allSettled(
      flows.map((flow, index) =>
        store.transaction(async (tx) => {
          await tx.flows.insert(flow);
          if (index === 1) {
            throw new Error("changed its mind");
          }
        }),
      ),
    );

    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal(await store.flows.count({}), 2);
    assert.equal(await store.flows.find(flows[1]?.id ?? ""), undefined);
  });

  test("a broken constraint undoes the transaction and leaves the next ones alone", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow();
    await store.transaction((tx) => tx.flows.insert(flow));

    const taken = store.transaction((tx) => tx.flows.insert(buildFlow({ name: flow.name })));
    const orphan = store.transaction((tx) => tx.flowRuns.insert(buildFlowRun(buildFlow().id)));
    const fine = store.transaction((tx) => tx.flowRuns.insert(buildFlowRun(flow.id)));

    await assert.rejects(taken, (error) => hasCode(error, "ALREADY_EXISTS"));
    await assert.rejects(orphan, (error) => hasCode(error, "DATA_CONFLICT"));
    await fine;
    assert.equal(await store.flowRuns.count({}), 1);
  });

  test("afterCommit is called once the rows can be read, in order, and never for an undone transaction", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const seen: string[] = [];

    await Promise.allSettled([
      store.transaction(async (tx) => {
        tx.afterCommit(() => seen.push("first"));
        tx.afterCommit(() => seen.push("second"));
        await tx.flows.insert(buildFlow());
        assert.deepEqual(seen, []);
      }),
      store.transaction(async (tx) => {
        tx.afterCommit(() => seen.push("undone"));
        await Promise.reject(new Error("no"));
      }),
    ]);

    assert.deepEqual(seen, ["first", "second"]);
  });

  test("writing outside a transaction is refused", async () => {
    await using opened = await openTestStore();

    await assert.rejects(opened.store.flows.insert(buildFlow()), /read-?only/);
  });

  test("many waiting transactions all succeed, each alone with the rows it reads", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow({ tags: [] });
    await store.transaction((tx) => tx.flows.insert(flow));

    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        store.transaction(async (tx) => {
          const current = await tx.flows.find(flow.id);
          await tx.flows.update(flow.id, { tags: [...(current?.tags ?? []), String(index)] });
        }),
      ),
    );

    assert.equal((await store.flows.find(flow.id))?.tags.length, 200);
  });
});
