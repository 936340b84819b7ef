import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../src/shared/clock.ts";
import { TransientError } from "../../../src/shared/errors.ts";
import { silentLogger } from "../../../src/shared/logger.ts";
import { createRunPhases } from "../../../worker/runs/run-phases.ts";
import { waitUntil } from "../../support/wait-until.ts";

const ignore = () => undefined;

test("steps that find no room while the plane is away are dropped, the oldest first, and the log says how many", async () => {
  const warnings: unknown[] = [];
  const told: unknown[] = [];
  let isAway = true;
  const phases = createRunPhases({
    client: {
      events: {
        create: async (events) => {
          if (isAway) {
            throw new TransientError("PLANE_UNREACHABLE", "away");
          }
          told.push(...events.map(({ payload }) => payload?.["attempt"]));
        },
      },
      releases: { findCapabilities: async () => ({ version: "1", features: ["timeline"] }) },
    },
    settings: { name: "w" },
    metrics: { noteTaken: ignore, noteStartPhase: ignore, noteExit: ignore, noteGone: ignore },
    clock: systemClock,
    logger: { ...silentLogger, warn: (fields) => warnings.push(fields) },
  });

  for (let index = 0; index < 2100; index += 1) {
    phases.begin({ flowRunId: "run", attempt: `attempt-${index}` }, "claimed");
  }
  isAway = false;
  await waitUntil(() => Promise.resolve(told.length >= 2000), { timeoutMs: 20_000, what: "what was kept" });

  assert.equal(told.length, 2000);
  assert.equal(told.at(-1), "attempt-2099");
  await waitUntil(() => Promise.resolve(warnings.length === 2), { timeoutMs: 5000, what: "the second warning" });
  assert.deepEqual(warnings, [{ kept: 2000 }, { dropped: 100 }]);
  await phases.close();
});
