import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, suite, test } from "node:test";
import { buildTestPlane, type TestPlane } from "../support/build-test-plane.ts";
import { call } from "./call.ts";

const V2 = "/v2/concurrency_limits";
let plane: TestPlane;
/** A plane for each test of a suite. Hooks outside of suites would run for the tests of all files. */
function usePlane(): void {
  beforeEach(async () => {
    plane = await buildTestPlane();
  });
  afterEach(() => plane[Symbol.asyncDispose]());
}

function take(names: string[], slots = 1) {
  return call(plane, "POST", `${V2}/increment-with-lease`, { names, slots, mode: "concurrency", lease_duration: 60 });
}

async function readSlots(name: string): Promise<number> {
  return (await call(plane, "GET", `${V2}/${name}`)).body.active_slots;
}

suite("slots", () => {
  usePlane();

  test("names without a limit give a lease and no limits, so that tagged tasks run", async () => {
    const taken = await take(["tag:nothing"]);
    const renewed = await call(plane, "POST", `${V2}/leases/${taken.body.lease_id}/renew`, { lease_duration: 60 });
    const returned = await call(plane, "POST", `${V2}/decrement-with-lease`, { lease_id: taken.body.lease_id });

    assert.deepEqual([taken.status, taken.body.limits], [200, []]);
    assert.deepEqual([renewed.status, returned.status], [204, 204]);
  });

  test("no name at all is 422, more slots than the limit has too", async () => {
    await call(plane, "POST", `${V2}/`, { name: "db", limit: 2 });

    assert.equal((await take([])).status, 422);
    assert.equal((await take(["db"], 3)).body.detail, "Slots requested is greater than the limit");
  });

  test("a full limit answers 423 with Retry-After, and is free again when a lease is given back or ends", async () => {
    await call(plane, "POST", `${V2}/`, { name: "db", limit: 1 });

    const first = await take(["db"]);
    const refused = await take(["db"]);
    await call(plane, "POST", `${V2}/decrement-with-lease`, { lease_id: first.body.lease_id });
    const second = await take(["db"]);
    plane.moveClock(61);
    const third = await take(["db"]);
    const late = await call(plane, "POST", `${V2}/leases/${second.body.lease_id}/renew`, { lease_duration: 60 });

    assert.deepEqual([first.status, refused.status, second.status, third.status], [200, 423, 200, 200]);
    assert.ok(Number(refused.headers["retry-after"]) > 0);
    assert.equal(await readSlots("db"), 1);
    assert.equal(late.status, 410);
  });

  test("a lease that ended is renewed as long as nobody took its slots", async () => {
    await call(plane, "POST", `${V2}/`, { name: "db", limit: 1 });
    const { body } = await take(["db"]);
    plane.moveClock(61);

    const renewed = await call(plane, "POST", `${V2}/leases/${body.lease_id}/renew`, { lease_duration: 60 });

    assert.deepEqual([renewed.status, await readSlots("db")], [204, 1]);
    const unknown = await call(plane, "POST", `${V2}/leases/${randomUUID()}/renew`, { lease_duration: 60 });
    assert.equal(unknown.status, 410);
  });

  test("slots without a lease are given back by count; all limits are taken or none", async () => {
    await call(plane, "POST", `${V2}/`, { name: "a", limit: 2 });
    await call(plane, "POST", `${V2}/`, { name: "b", limit: 1, active_slots: 1 });

    const both = await call(plane, "POST", `${V2}/increment`, { names: ["a", "b"], slots: 1, mode: "concurrency" });
    const one = await call(plane, "POST", `${V2}/increment`, { names: ["a"], slots: 2, mode: "concurrency" });
    assert.deepEqual([both.status, one.status, await readSlots("a")], [423, 200, 2]);
    await call(plane, "POST", `${V2}/decrement`, { names: ["a"], slots: 5, occupancy_seconds: 1 });

    assert.equal(await readSlots("a"), 0);
  });

  test("an increment without a lease is given back oldest first, and no decrement takes away a lease", async () => {
    await call(plane, "POST", `${V2}/`, { name: "a", limit: 10 });
    const { body } = await take(["a"], 2);
    await call(plane, "POST", `${V2}/increment`, { names: ["a"], slots: 3, mode: "concurrency" });
    await call(plane, "POST", `${V2}/increment`, { names: ["a"], slots: 2, mode: "concurrency" });

    await call(plane, "POST", `${V2}/decrement`, { names: ["a"], slots: 4, occupancy_seconds: 1 });
    assert.equal(await readSlots("a"), 3);
    await call(plane, "POST", `${V2}/decrement`, { names: ["a"], slots: 9, occupancy_seconds: 1 });
    assert.equal(await readSlots("a"), 2);
    await call(plane, "POST", `${V2}/decrement-with-lease`, { lease_id: body.lease_id });
    assert.equal(await readSlots("a"), 0);
    plane.moveClock(365 * 86_400);
    await call(plane, "POST", `${V2}/increment`, { names: ["a"], slots: 1, mode: "concurrency" });
    plane.moveClock(365 * 86_400);
    assert.equal(await readSlots("a"), 1);
  });

  test("an operator sets what is held without a lease; leases stay with their holders", async () => {
    await call(plane, "POST", `${V2}/`, { name: "a", limit: 5, active_slots: 4 });
    await take(["a"]);

    assert.equal(await readSlots("a"), 5);
    await call(plane, "PATCH", `${V2}/a`, { active_slots: 3 });
    assert.equal(await readSlots("a"), 3);
    await call(plane, "PATCH", `${V2}/a`, { active_slots: 0 });
    assert.equal(await readSlots("a"), 1);
  });

  test("slots that were taken together decay one after the other, at the limit's rate", async () => {
    await call(plane, "POST", `${V2}/`, { name: "rate", limit: 4, slot_decay_per_second: 2 });
    const hit = async () =>
      (await call(plane, "POST", `${V2}/increment`, { names: ["rate"], slots: 1, mode: "rate_limit" })).status;

    assert.deepEqual([await hit(), await hit(), await hit(), await hit(), await hit()], [200, 200, 200, 200, 423]);
    plane.moveClock(0.5);
    assert.deepEqual([await readSlots("rate"), await hit(), await hit()], [3, 200, 423]);
    plane.moveClock(1);
    assert.equal(await readSlots("rate"), 2);
    plane.moveClock(10);
    assert.equal(await readSlots("rate"), 0);
  });

  test("a limit of a rate says exactly when to ask again", async () => {
    await call(plane, "POST", `${V2}/`, { name: "rate", limit: 2, slot_decay_per_second: 0.1 });
    await call(plane, "POST", `${V2}/increment`, { names: ["rate"], slots: 2, mode: "rate_limit" });

    const refused = await call(plane, "POST", `${V2}/increment`, { names: ["rate"], slots: 1, mode: "rate_limit" });
    const wait = Number(refused.headers["retry-after"]);

    assert.ok(wait >= 10 && wait <= 11, String(wait));
    plane.moveClock(wait);
    const granted = await call(plane, "POST", `${V2}/increment`, { names: ["rate"], slots: 1, mode: "rate_limit" });
    assert.equal(granted.status, 200);
  });

  test("a lease on slots that decay gives them back early, and renewing it does not keep them", async () => {
    await call(plane, "POST", `${V2}/`, { name: "rate", limit: 1, slot_decay_per_second: 0.01 });
    const first = await take(["rate"]);
    await call(plane, "POST", `${V2}/decrement-with-lease`, { lease_id: first.body.lease_id });
    const second = await take(["rate"]);
    plane.moveClock(50);
    await call(plane, "POST", `${V2}/leases/${second.body.lease_id}/renew`, { lease_duration: 600 });
    assert.equal(await readSlots("rate"), 1);
    plane.moveClock(51);

    assert.deepEqual([second.status, await readSlots("rate")], [200, 0]);
  });

  test("a limit says who holds its slots, since when and until when", async () => {
    await call(plane, "POST", `${V2}/`, { name: "db", limit: 5 });
    const id = randomUUID();
    const body = { names: ["db"], slots: 2, mode: "concurrency", lease_duration: 60, holder: { type: "flow_run", id } };
    const leased = await call(plane, "POST", `${V2}/increment-with-lease`, body);
    plane.moveClock(1);
    await call(plane, "POST", `${V2}/increment`, { names: ["db"], slots: 1, mode: "concurrency" });

    const { body: answer } = await call(plane, "GET", "/flowyard/concurrency_limits/db/holders");

    assert.deepEqual([answer.limit, answer.active_slots], [5, 3]);
    const [first, second] = answer.holders;
    assert.deepEqual([first.lease_id, first.slots, first.holder.id], [leased.body.lease_id, 2, id]);
    assert.equal(Date.parse(first.expires_at) - Date.parse(first.since), 60_000);
    assert.deepEqual([second.holder, second.expires_at], [null, null]);
    assert.equal((await call(plane, "GET", "/flowyard/concurrency_limits/nope/holders")).status, 404);
  });

  test("a limit that is switched off lets everybody through and is still named", async () => {
    await call(plane, "POST", `${V2}/`, { name: "off", limit: 1, active: false });

    const [first, second] = [await take(["off"]), await take(["off"])];

    assert.deepEqual([first.status, second.status, first.body.limits.length], [200, 200, 1]);
  });

  test("slots that decay give themselves back; only those can limit a rate", async () => {
    await call(plane, "POST", `${V2}/`, { name: "rate", limit: 1, slot_decay_per_second: 0.5 });
    await call(plane, "POST", `${V2}/`, { name: "steady", limit: 1 });
    const hit = (name: string) =>
      call(plane, "POST", `${V2}/increment`, { names: [name], slots: 1, mode: "rate_limit" });

    const [first, second] = [await hit("rate"), await hit("rate")];
    plane.moveClock(2);

    assert.deepEqual([first.status, second.status, (await hit("rate")).status], [200, 423, 200]);
    assert.equal((await hit("steady")).status, 422);
  });
});

suite("limits", () => {
  usePlane();

  test("are read by id or name, changed and removed; a taken name is 409", async () => {
    const created = await call(plane, "POST", `${V2}/`, { name: "db", limit: 2 });

    const again = await call(plane, "POST", `${V2}/`, { name: "db", limit: 1 });
    const patched = await call(plane, "PATCH", `${V2}/db`, { limit: 5, active: false });
    const read = await call(plane, "GET", `${V2}/${created.body.id}`);
    const listed = await call(plane, "POST", `${V2}/filter`, {});
    const removed = await call(plane, "DELETE", `${V2}/${created.body.id}`);

    assert.deepEqual([created.status, again.status, patched.status, removed.status], [201, 409, 204, 204]);
    assert.deepEqual([read.body.limit, read.body.active], [5, false]);
    assert.equal(listed.body.length, 1);
    assert.equal((await call(plane, "GET", `${V2}/db`)).status, 404);
  });
});
