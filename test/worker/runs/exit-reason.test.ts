import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StateType } from "../../../src/prefect-api/states.ts";
import type { Exit } from "../../../worker/infrastructure/contract.ts";
import { decideVerdict } from "../../../worker/runs/exit-reason.ts";

const WHAT = 'container "otter"';

function exited(exitCode: number, more: Partial<Extract<Exit, { kind: "exited" }>> = {}): Exit {
  return { kind: "exited", exitCode, wasOutOfMemory: false, ...more };
}

const vanished: Exit = { kind: "vanished", what: 'The container "otter"' };

describe("what is reported when a container has ended", () => {
  type Case = [StateType | undefined, Exit, "leave" | "crashed" | "cancelled" | "explained"];
  const cases: Case[] = [
    ["COMPLETED", exited(0), "leave"],
    ["COMPLETED", exited(1), "leave"],
    ["FAILED", exited(0), "leave"],
    ["CANCELLED", exited(143), "leave"],
    ["CRASHED", exited(1), "leave"],
    ["CRASHED", exited(0, { wasOutOfMemory: true }), "explained"],
    ["CRASHED", exited(137, { wasOutOfMemory: "likely" }), "explained"],
    ["CRASHED", exited(143, { byHand: "stopped" }), "explained"],
    ["COMPLETED", exited(137, { byHand: "killed" }), "leave"],
    ["COMPLETED", exited(0, { wasOutOfMemory: true }), "leave"],
    ["SCHEDULED", exited(0), "leave"],
    ["PAUSED", exited(0), "leave"],
    ["CANCELLING", exited(0), "cancelled"],
    ["CANCELLING", vanished, "cancelled"],
    ["PENDING", exited(0), "crashed"],
    ["PENDING", exited(127), "crashed"],
    ["RUNNING", exited(0), "crashed"],
    ["RUNNING", exited(137), "crashed"],
    ["RUNNING", vanished, "crashed"],
    [undefined, exited(1), "crashed"],
    ["RUNNING", { kind: "unwatched", afterSeconds: 5 }, "leave"],
  ];
  for (const [type, exit, outcome] of cases) {
    const how =
      exit.kind === "exited" ? `exit ${exit.exitCode}${exit.wasOutOfMemory ? ", out of memory" : ""}` : exit.kind;
    test(`${type ?? "no state"} and ${how}: ${outcome}`, () => {
      assert.equal(
        decideVerdict({ exit, lastLines: [] }, WHAT, type === undefined ? undefined : { type }).outcome,
        outcome,
      );
    });
  }
});

function messageFor(
  exit: Exit,
  { type = "RUNNING", message, lastLines = [] }: { type?: StateType; message?: string; lastLines?: string[] } = {},
): string {
  const verdict = decideVerdict({ exit, lastLines }, WHAT, { type, message });
  return verdict.outcome === "leave" ? verdict.why : verdict.message;
}

test("a message says the exit code and what it usually means", () => {
  assert.equal(messageFor(exited(3)), 'Container "otter" ended with exit code 3.');
  assert.match(messageFor(exited(137)), /exit code 137: it was killed from outside .*not for want of memory/);
  assert.match(messageFor(exited(127)), /exit code 127: its command was not found/);
  assert.match(messageFor(exited(0)), /exit code 0, but its flow run had reported no final state/);
});

test("want of memory is said with the limit, whatever the exit code", () => {
  assert.match(
    messageFor(exited(137, { wasOutOfMemory: true, memoryLimit: "64m" })),
    /ran out of memory: .*mem_limit 64m/,
  );
  assert.match(messageFor(exited(0, { wasOutOfMemory: true })), /ran out of memory: .*memory of its host/);
  assert.match(
    messageFor(exited(137, { wasOutOfMemory: "likely", memoryLimit: "64m" })),
    /most likely ran out of memory: .*mem_limit 64m.*nobody asked the engine.*Exit code 137/,
  );
});

test("the engine's own message stays when the reason is added", () => {
  const message = messageFor(exited(0, { wasOutOfMemory: true }), {
    type: "CRASHED",
    message: "Process exited with status code: -9",
  });

  assert.match(message, /ran out of memory.*Process exited with status code: -9$/);
});

test("last lines are shown only while no engine has sent its log", () => {
  const lastLines = ["ModuleNotFoundError: No module named 'prefect'"];

  assert.match(messageFor(exited(1), { type: "PENDING", lastLines }), /Its last output:\n {4}ModuleNotFoundError/);
  assert.doesNotMatch(messageFor(exited(1), { lastLines }), /ModuleNotFoundError/);
});

test("what somebody did to a container is said, and not taken for want of memory", () => {
  assert.match(
    messageFor(exited(137, { byHand: "killed" })),
    /was killed by hand \(`docker kill`\) with exit code 137: /,
  );
  assert.match(messageFor(exited(143, { byHand: "stopped" })), /was stopped by hand \(`docker stop`\)/);
  assert.match(
    messageFor(exited(255, { engineWasAway: true })),
    /ended with exit code 255 while the Docker engine was away/,
  );
  assert.match(messageFor(vanished), /was removed by somebody/);
  assert.match(
    messageFor(exited(0, { byHand: "stopped" }), { type: "CRASHED", message: "Process exited: -15" }),
    /stopped by hand.*Process exited: -15$/,
  );
});
