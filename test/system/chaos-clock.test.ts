import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { waitUntil } from "../support/wait-until.ts";
import { MovedClock } from "./chaos/moved-clock.ts";
import { Stage } from "./worker-kill/stage.ts";

const machine = await loadMachine();
const JUMP_SECONDS = 3600;
const MOVED = /its clock was moved/g;

describe("clocks that are moved under runs", () => {
  let folder: string;
  let planeClock: MovedClock;
  let workerClock: MovedClock;
  let stage: Stage;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-clock-"));
    planeClock = new MovedClock(join(folder, "plane"));
    workerClock = new MovedClock(join(folder, "worker"));
    await planeClock.moveTo(0);
    await workerClock.moveTo(0);
    stage = await Stage.open("process", machine, planeClock.environment);
    await stage.startWorker(workerClock.environment);
  });
  after(async () => {
    await stage?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const jumps: [string, () => Promise<void>, boolean][] = [
    ["the plane's, an hour ahead", () => planeClock.moveTo(JUMP_SECONDS), true],
    ["the plane's, back again", () => planeClock.moveTo(0), true],
    ["the worker's, an hour ahead", () => workerClock.moveTo(JUMP_SECONDS), false],
    ["the worker's, two hours back", () => workerClock.moveTo(-JUMP_SECONDS), false],
  ];
  for (const [index, [name, jump, isThePlanes]] of jumps.entries()) {
    test(`${name}: runs go on and end as they would have, and new ones begin`, async () => {
      const gate = `gate-${index}`;
      const ids = [await stage.createRun({ lines: 3, gate }), await stage.createRun({ lines: 3, gate, end: "3" })];
      await Promise.all(ids.map((id) => stage.waitForState(id, "RUNNING")));
      const countMoves = () => stage.plane.process.output.match(MOVED)?.length ?? 0;
      const movesBefore = countMoves();

      await jump();
      if (isThePlanes) {
        await waitUntil(async () => countMoves() > movesBefore, { timeoutMs: 10_000, what: "the plane's notice" });
      }
      await stage.openGate("later");
      const later = await stage.createRun({ lines: 1, gate: "later" });
      await stage.waitForState(later, "COMPLETED");
      await stage.openGate(gate);

      const [completed = "", exited = ""] = ids;
      for (const run of [
        await stage.waitForState(completed, "COMPLETED"),
        await stage.waitForState(exited, "CRASHED"),
      ]) {
        assert.equal(run.run_count, 1);
        assert.match(run.state?.message ?? "", /^$|exit code 3\.$/);
        await waitUntil(async () => (await stage.listOutput(run.id)).length === 4, {
          timeoutMs: 10_000,
          what: "its log",
        });
      }
    });
  }
});
