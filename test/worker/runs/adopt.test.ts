import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createPrefectClient } from "../../../src/client/prefect-client.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import { createAdoption } from "../../../worker/runs/adopt.ts";
import { openWorkerHome } from "../../../worker/worker-home.ts";
import { type PlaneProcess, startPlane } from "../../support/plane-process.ts";

describe("a run that a dead worker had claimed", () => {
  let folder: string;
  let plane: PlaneProcess;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-adopt-"));
    plane = await startPlane();
  });
  afterEach(async () => {
    await plane[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test("is given back in the name of its claim", async () => {
    const client = createPrefectClient({ apiUrl: plane.apiUrl });
    await client.workPools.create({ name: "pool", type: "process" });
    const flow = await client.flows.create({ name: "etl" });
    const { value: run } = await client.flowRuns.create({
      flow_id: flow.id,
      work_pool_name: "pool",
      state: { type: "SCHEDULED" },
    });
    const dead = await openWorkerHome(folder);
    const asking = { worker_name: "w", worker_instance: dead.instance, capacity: 1, wait_seconds: 5 };
    const [claimed] = (await client.claims.take("pool", asking)).claimed;
    assert.ok(claimed);
    await dead.saveClaim({
      flow_run_id: run.id,
      work_pool_name: "pool",
      attempt: claimed.claim.id,
      worker_instance: dead.instance,
      fencing_token: claimed.claim.fencing_token,
    });
    await dead.close();
    const tokens: unknown[] = [];
    const setState: typeof client.flowRuns.setState = (id, proposal) => {
      tokens.push(proposal.fencingToken);
      return client.flowRuns.setState(id, proposal);
    };
    const adoption = createAdoption(
      {
        client: { workPools: client.workPools, flowRuns: { find: client.flowRuns.find, setState } },
        infrastructure: { listRuns: async () => [] },
        settings: { name: "w2", pool: "pool", keepFailedSeconds: 0 },
        home: await openWorkerHome(folder),
        logger: silentLogger,
      },
      new Set(),
      () => assert.fail("there is nothing to adopt"),
    );

    await adoption.tick();

    assert.deepEqual(tokens, [claimed.claim.fencing_token]);
    assert.equal((await client.flowRuns.get(run.id)).state?.type, "SCHEDULED");
  });
});
