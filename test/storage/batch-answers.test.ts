import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../src/shared/clock.ts";
import type { Nouns, Store, Tx } from "../../src/storage/store.ts";
import { insertDeployment } from "../orchestration/insert-deployment.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { buildFlowRun } from "./build-rows.ts";

describe("transactions that ask ahead and share a commit", () => {
  test("each reads what those before it in the batch wrote", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { id, flowId } = await insertSource(store);
    const run = buildFlowRun(flowId, { deployment_id: id });
    const find = (nouns: Nouns) => nouns.deployments.findRunSource(id);
    const findRun = (nouns: Nouns) => nouns.transitions.find(run.id);

    const [tags, , later, flowName, noRun, , withRun] = await Promise.all([
      store.transaction(async (tx) => (await find(tx))?.tags, find),
      store.transaction((tx) => tx.deployments.update(id, { tags: ["later"] }), find),
      store.transaction(async (tx) => (await find(tx))?.tags, find),
      store.transaction(async (tx) => {
        await tx.flows.update(flowId, { tags: ["flow"] });
        return (await find(tx))?.flow_tags;
      }, find),
      store.transaction(async (tx) => (await findRun(tx))?.name, findRun),
      store.transaction((tx) => tx.flowRuns.insert(run), findRun),
      store.transaction(async (tx) => (await findRun(tx))?.name, findRun),
    ]);

    assert.deepEqual([tags, later, flowName, noRun, withRun], [["first"], ["later"], ["flow"], undefined, "run"]);
  });

  test("what one undoes, the next does not read", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { id } = await insertSource(store);
    const find = (nouns: Nouns) => nouns.deployments.findRunSource(id);
    const read = async (tx: Tx) => (await find(tx))?.tags;

    const [undone, next] = await Promise.allSettled([
      store.transaction(async (tx) => {
        await tx.deployments.update(id, { tags: ["undone"] });
        assert.deepEqual(await read(tx), ["undone"]);
        throw new Error("changed its mind");
      }, find),
      store.transaction(read, find),
    ]);

    assert.equal(undone.status, "rejected");
    assert.deepEqual(next, { status: "fulfilled", value: ["first"] });
  });

  test("what one removes, with all that goes with it, is gone for the next", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const { id, flowId } = await insertSource(store);
    const find = (nouns: Nouns) => nouns.deployments.findRunSource(id);

    const [, next] = await Promise.all([
      store.transaction((tx) => tx.flows.remove(flowId), find),
      store.transaction(find, find),
    ]);

    assert.equal(next, undefined);
  });
});

async function insertSource(store: Store): Promise<{ id: string; flowId: string }> {
  const { flow_id, deployment_id } = await insertDeployment(store, systemClock.now(), { tags: ["first"] });
  return { id: deployment_id, flowId: flow_id };
}
