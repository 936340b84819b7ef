import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { acquireSlots, releaseLease, releaseSlots, renewLease } from "../../src/orchestration/slots/acquire-slots.ts";
import { createLimit, getLimit, updateLimit } from "../../src/orchestration/slots/concurrency-limits.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { openTestStore } from "../support/open-test-store.ts";

const START = new Date("2026-11-24T12:00:00.000Z");
const LEASE_SECONDS = 60;
const NAMES = ["a", "b"];

const Command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("lease" as const),
      slots: fc.integer({ min: 1, max: 3 }),
      both: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("plain" as const), slots: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("give-back" as const), slots: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("release" as const), which: fc.nat({ max: 20 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("renew" as const), which: fc.nat({ max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("change" as const), limit: fc.integer({ min: 0, max: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 80 }) }) },
);
type Command = typeof Command extends fc.Arbitrary<infer T> ? T : never;

/** What is held, kept in the simplest way: a list. The first limit is `a`, plain slots are of it alone. */
class Model {
  now = 0;
  limit = 3;
  plain: number[] = [];
  readonly leases: { id: string; names: readonly string[]; slots: number; until: number }[] = [];

  taken(name: string, except?: string): number {
    const leased = this.leases.filter(
      ({ id, names, until }) => id !== except && names.includes(name) && until > this.now,
    );
    const plain = name === "a" ? this.plain : [];
    return [...leased.map(({ slots }) => slots), ...plain].reduce((sum, slots) => sum + slots, 0);
  }

  limitOf(name: string): number {
    return name === "a" ? this.limit : 4;
  }

  fits(names: readonly string[], slots: number, except?: string): boolean {
    return names.every((name) => this.taken(name, except) + slots <= this.limitOf(name));
  }

  isTooMuch(names: readonly string[], slots: number): boolean {
    return names.some((name) => slots > this.limitOf(name));
  }

  giveBack(slots: number): void {
    let left = slots;
    while (left > 0 && this.plain.length > 0) {
      const [first = 0, ...rest] = this.plain;
      this.plain = first <= left ? rest : [first - left, ...rest];
      left -= first;
    }
  }
}

test("limits hold, leases end and nothing leaks, whatever clients, operators and the clock do", async () => {
  let model = new Model();
  const now = () => new Date(START.getTime() + model.now * 1000);
  await using opened = await openTestStore({ now });
  const { store } = opened;

  async function begin(): Promise<void> {
    await store.transaction(async (tx) => {
      for (const limit of await tx.concurrencyLimits.listByNames(NAMES)) {
        await tx.leases.removeOfLimit(limit.id, "all");
        await tx.concurrencyLimits.remove(limit.id);
      }
    });
    model = new Model();
    const limit = { active: true, active_slots: 0, denied_slots: 0, slot_decay_per_second: 0 };
    for (const name of NAMES) {
      await createLimit(store, { ...limit, name, limit: model.limitOf(name) }, now());
    }
  }

  /** What is asked for is given exactly when the model has room for it. */
  async function take(names: readonly string[], slots: number, leased: boolean): Promise<string | undefined> {
    const lease = leased ? { seconds: LEASE_SECONDS, holder: null } : null;
    const asked = acquireSlots(store, { names, slots, mode: "concurrency", lease }, now());
    if (model.isTooMuch(names, slots)) {
      await assert.rejects(asked, { code: "INVALID_REQUEST" });
      return undefined;
    }
    const answer = await asked;
    assert.equal(answer.acquired, model.fits(names, slots));
    return answer.acquired ? answer.leaseId : undefined;
  }

  async function renew(which: number): Promise<void> {
    const lease = model.leases[which % Math.max(1, model.leases.length)];
    if (lease === undefined) {
      return;
    }
    const granted = lease.until > model.now || model.fits(lease.names, lease.slots, lease.id);
    const answer = await renewLease(store, lease.id, LEASE_SECONDS, now()).then(
      () => true,
      (error: unknown) => !hasCode(error, "LEASE_GONE"),
    );
    assert.equal(answer, granted);
    lease.until = granted ? model.now + LEASE_SECONDS : lease.until;
  }

  async function apply(command: Command): Promise<void> {
    switch (command.do) {
      case "lease": {
        const names = command.both ? NAMES : ["a"];
        const id = await take(names, command.slots, true);
        if (id !== undefined) {
          model.leases.push({ id, names, slots: command.slots, until: model.now + LEASE_SECONDS });
        }
        return;
      }
      case "plain":
        if ((await take(["a"], command.slots, false)) !== undefined) {
          model.plain.push(command.slots);
        }
        return;
      case "give-back":
        await releaseSlots(store, { names: ["a"], slots: command.slots, occupancySeconds: 1 }, now());
        model.giveBack(command.slots);
        return;
      case "release": {
        const [lease] = model.leases.splice(command.which % Math.max(1, model.leases.length), 1);
        await releaseLease(store, lease?.id ?? randomUUID(), now());
        return;
      }
      case "renew":
        return renew(command.which);
      case "change":
        await updateLimit(store, "a", { limit: command.limit }, now());
        model.limit = command.limit;
        return;
      case "wait":
        model.now += command.seconds;
        return;
    }
  }

  await fc.assert(
    fc.asyncProperty(fc.array(Command, { maxLength: 30 }), async (commands) => {
      await begin();
      for (const command of commands) {
        await apply(command);
        for (const name of NAMES) {
          assert.equal((await getLimit(store, name)).active_slots, model.taken(name), JSON.stringify(command));
        }
      }
      // All clients die: what they leased is free a lease later, and what they took for good is given back by number.
      model.now += LEASE_SECONDS + 1;
      await releaseSlots(store, { names: ["a"], slots: 1000, occupancySeconds: null }, now());
      assert.deepEqual([(await getLimit(store, "a")).active_slots, (await getLimit(store, "b")).active_slots], [0, 0]);
    }),
    { numRuns: 40 },
  );
});

test("a rate is never exceeded: in no window are more slots given than the limit and what decays in it", async () => {
  let seconds = 0;
  const now = () => new Date(START.getTime() + Math.round(seconds * 1000));
  await using opened = await openTestStore({ now });
  let made = 0;
  const Step = fc.record({ wait: fc.double({ min: 0, max: 3, noNaN: true }), slots: fc.integer({ min: 1, max: 3 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0.3, 1, 7),
      fc.integer({ min: 3, max: 5 }),
      fc.array(Step, { maxLength: 25 }),
      async (decay, limit, steps) => {
        made += 1;
        const name = `rate-${made}`;
        const row = { active: true, active_slots: 0, denied_slots: 0, slot_decay_per_second: decay };
        await createLimit(opened.store, { ...row, name, limit }, now());
        const given: { at: number; slots: number }[] = [];
        for (const { wait, slots } of steps) {
          seconds += wait;
          const request = { names: [name], slots, mode: "rate_limit" as const, lease: null };
          if ((await acquireSlots(opened.store, request, now())).acquired) {
            given.push({ at: now().getTime() / 1000, slots });
          }
        }
        for (const [first, { at }] of given.entries()) {
          let sum = 0;
          for (const later of given.slice(first)) {
            sum += later.slots;
            assert.ok(sum <= limit + (later.at - at) * decay + 0.01, `${sum} in ${later.at - at} s`);
          }
        }
      },
    ),
    { numRuns: 20 },
  );
});
