import assert from "node:assert/strict";
import { appendFileSync, readdirSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import fc from "fast-check";
import { Spool } from "../../../worker/relay/spool.ts";

const MEBIBYTE = 1024 * 1024;

/** Lines begin with their owner's letter, or with none. */
function openSpool(folder: string, maxBytes: number, maxBytesPerOwner = maxBytes): Spool {
  return new Spool(folder, { maxBytes, maxBytesPerOwner, ownerOf: (line) => /^([A-Z]) /.exec(line)?.[1] });
}

describe("the relay's spool", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-spool-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  test("gives lines back in their order, each until it is settled", () => {
    const spool = openSpool(folder, MEBIBYTE);
    spool.append(["one", "two"]);
    spool.append(["three"]);

    assert.deepEqual(spool.read().lines, ["one", "two", "three"]);
    const batch = spool.read();
    assert.deepEqual(batch.lines, ["one", "two", "three"]);
    spool.settle(batch);
    assert.deepEqual(spool.read().lines, []);
    assert.equal(spool.isEmpty, true);
    spool.close();
  });

  test("a new process goes on where the one before was killed", () => {
    const killed = openSpool(folder, MEBIBYTE);
    killed.append(["done"]);
    killed.settle(killed.read());
    killed.append(["kept"]);
    const [segment = ""] = readdirSync(folder).filter((name) => name.endsWith(".lines"));
    appendFileSync(join(folder, segment), "half a li");

    const spool = openSpool(folder, MEBIBYTE);
    spool.append(["new"]);

    const first = spool.read();
    assert.deepEqual(first.lines, ["kept"]);
    spool.settle(first);
    const second = spool.read();
    assert.deepEqual(second.lines, ["new"]);
    spool.settle(second);
    assert.equal(spool.waitingBytes, 0);
    spool.close();
  });

  test("goes on with what is said later when somebody took its files away", () => {
    const spool = openSpool(folder, MEBIBYTE);
    spool.append(["lost"]);
    for (const name of readdirSync(folder)) {
      rmSync(join(folder, name));
    }

    assert.deepEqual(spool.read().lines, []);
    assert.equal(spool.isEmpty, true);
    spool.append(["new"]);
    assert.deepEqual(spool.read().lines, ["new"]);
    spool.close();
  });

  test("takes nothing of one owner beyond their share, also of what an earlier process left, and all of the others", () => {
    const killed = openSpool(folder, 1000, 100);
    assert.equal(killed.append([`A ${"x".repeat(50)}`]), true);
    killed.close();
    const spool = openSpool(folder, 1000, 100);
    const more = [`A ${"y".repeat(50)}`];

    assert.equal(spool.append(more), false);
    assert.equal(spool.isBeyondShare(more), true);
    assert.equal(spool.append([`B ${"y".repeat(50)}`]), true);
    assert.equal(spool.append(["nobody's ".repeat(50)]), true);
    assert.equal(spool.isBeyondShare(["nobody's ".repeat(500)]), false);
    spool.settle(spool.read());
    spool.settle(spool.read());

    assert.equal(spool.append(more), true);
    spool.close();
  });

  test("takes nothing beyond its bound, and takes again when there is room", () => {
    const spool = openSpool(folder, 100);
    assert.equal(spool.append(["x".repeat(90)]), true);
    assert.equal(spool.append(["y".repeat(20)]), false);

    spool.settle(spool.read());

    assert.equal(spool.append(["y".repeat(20)]), true);
    assert.deepEqual(spool.read().lines, ["y".repeat(20)]);
    spool.close();
  });

  test("removes what was settled from the disk", () => {
    const spool = openSpool(folder, 100 * MEBIBYTE);
    const line = "z".repeat(MEBIBYTE);
    for (let round = 0; round < 12; round += 1) {
      spool.append([line]);
      spool.settle(spool.read());
    }

    spool.read();
    assert.ok(readdirSync(folder).filter((name) => name.endsWith(".lines")).length <= 2);
    spool.close();
  });

  test("who waits for the lines that were there is told when they are settled", async () => {
    const spool = openSpool(folder, MEBIBYTE);
    spool.append(["one"]);
    let settled = false;
    const waiting = spool.untilSettled(AbortSignal.timeout(10_000)).then(() => {
      settled = true;
    });
    const batch = spool.read();
    spool.append(["two, which nobody waits for"]);
    assert.equal(settled, false);

    spool.settle(batch);
    await waiting;

    assert.equal(settled, true);
    spool.close();
  });

  test("whatever is appended, read, settled and reopened, no line is lost, doubled or out of order", async () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.array(fc.string({ maxLength: 40 }), { minLength: 1, maxLength: 5 }) },
      { weight: 3, arbitrary: fc.constant("settle" as const) },
      { weight: 1, arbitrary: fc.constant("reopen" as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const own = await mkdtemp(join(folder, "case-"));
        let spool = openSpool(own, MEBIBYTE);
        const expected: string[] = [];
        const settled: string[] = [];
        for (const next of steps) {
          if (next === "settle") {
            const batch = spool.read();
            settled.push(...batch.lines);
            spool.settle(batch);
          } else if (next === "reopen") {
            spool.close();
            spool = openSpool(own, MEBIBYTE);
          } else {
            const lines = next.map((text) => JSON.stringify(text));
            spool.append(lines);
            expected.push(...lines);
          }
        }
        for (let batch = spool.read(); batch.lines.length > 0; batch = spool.read()) {
          settled.push(...batch.lines);
          spool.settle(batch);
        }
        spool.close();
        assert.deepEqual(settled, expected);
        assert.equal(spool.waitingBytes, 0);
      }),
      { numRuns: 100 },
    );
  });
});
