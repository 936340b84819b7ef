import assert from "node:assert/strict";
import { test } from "node:test";
import { buildEndExpiredClaims } from "../../../src/server/loops/end-expired-claims.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import { buildTestPlane, type TestPlane } from "../../support/build-test-plane.ts";
import { call } from "../call.ts";
import { createDeployment, createRun } from "../resources.ts";

const STARTED_LEASE_SECONDS = 300;
const GRACE_SECONDS = 30;

/** A plane whose loop ticks as the test says, over a steady clock beside the one that may be moved. */
async function openPlane() {
  const plane = await buildTestPlane();
  let steadySeconds = 1000;
  const deps = { store: plane.store, clock: plane, bus: plane.bus, logger: silentLogger };
  const build = () => buildEndExpiredClaims(deps, () => steadySeconds * 1000);
  let loop = build();
  return {
    plane,
    /** The plane is started again, and its loop with it. */
    restart: () => {
      loop = build();
    },
    pass: (seconds: number) => {
      steadySeconds += seconds;
      plane.moveClock(seconds);
    },
    tick: async () => (await loop.tick({ now: plane.now(), signal: new AbortController().signal })).changed,
    /** Time in which the loop ticks as it does. */
    async live(seconds: number): Promise<number> {
      let changed = 0;
      for (let passed = 0; passed < seconds; passed += 2) {
        steadySeconds += 2;
        plane.moveClock(2);
        changed += await this.tick();
      }
      return changed;
    },
    [Symbol.asyncDispose]: () => plane[Symbol.asyncDispose](),
  };
}

async function startRun(plane: TestPlane) {
  const { id } = await createDeployment(plane);
  const run = await createRun(plane, id);
  const taken = await call(plane, "POST", "/flowyard/work_pools/pool/claim", {
    worker_name: "worker",
    worker_instance: "first start",
    capacity: 1,
  });
  const renew = async () => {
    const { id: claim, fencing_token } = taken.body.claimed[0].claim;
    const claims = [{ id: claim, fencing_token, started: true }];
    const body = { worker_name: "worker", claims };
    return (await call(plane, "POST", "/flowyard/work_pools/pool/claims/renew", body)).body.claims[0].status;
  };
  await renew();
  await call(plane, "POST", `/flow_runs/${run.id}/set_state`, { state: { type: "RUNNING" } });
  return { renew, stateType: async () => (await call(plane, "GET", `/flow_runs/${run.id}`)).body.state_type };
}

test("a plane that comes back after longer than a lease crashes no run before its worker could renew", async () => {
  await using stage = await openPlane();
  const { renew, stateType } = await startRun(stage.plane);
  await stage.tick();

  stage.pass(2 * STARTED_LEASE_SECONDS);
  stage.restart();
  assert.equal(await stage.live(GRACE_SECONDS - 4), 0);
  assert.equal(await renew(), "held");
  assert.equal(await stage.live(2 * GRACE_SECONDS), 0);

  assert.equal(await stateType(), "RUNNING");
});

test("a run whose worker does not renew after the plane is back is crashed half a minute later", async () => {
  await using stage = await openPlane();
  const { stateType } = await startRun(stage.plane);

  stage.pass(2 * STARTED_LEASE_SECONDS);
  stage.restart();
  assert.equal(await stage.live(GRACE_SECONDS + 4), 1);

  assert.equal(await stateType(), "CRASHED");
});

test("a plane that was frozen ends no claim before its worker could renew", async () => {
  await using stage = await openPlane();
  const { renew } = await startRun(stage.plane);
  await stage.live(GRACE_SECONDS + 4);

  stage.pass(2 * STARTED_LEASE_SECONDS);
  assert.equal(await stage.tick(), 0);
  assert.equal(await renew(), "held");
  assert.equal(await stage.live(2 * GRACE_SECONDS), 0);
});

for (const [name, seconds] of [
  ["forward", 3600],
  ["back", -3600],
] as const) {
  test(`a clock that is moved ${name} by an hour ends no claim of a worker that lives`, async () => {
    await using stage = await openPlane();
    const { renew, stateType } = await startRun(stage.plane);
    await stage.live(GRACE_SECONDS + 4);

    stage.plane.moveClock(seconds);
    assert.equal(await stage.live(10), 0);
    assert.equal(await renew(), "held");
    assert.equal(await stage.live(2 * GRACE_SECONDS), 0);

    assert.equal(await stateType(), "RUNNING");
  });
}
