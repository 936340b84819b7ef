import fc from "fast-check";
import type { StateType } from "../../../src/prefect-api/states.ts";
import { STATE_TYPES } from "../../../src/prefect-api/states.ts";

export type Command =
  | { kind: "propose"; run: number; type: StateType; name: string | null; force: boolean; delaySeconds: number }
  | { kind: "repeat"; run: number }
  | { kind: "pause"; run: number; reschedules: boolean; timeoutSeconds: number | null; key: string | null }
  | { kind: "resume"; run: number }
  | { kind: "renew"; run: number }
  | { kind: "loop"; loop: "late" | "pauses" | "cancelling" | "leases" }
  | { kind: "wait"; seconds: number };

export interface Case {
  /** null: the deployment has no limit. */
  limit: number | null;
  strategy: "ENQUEUE" | "CANCEL_NEW";
  graceSeconds: number;
  retries: number | null;
  retryDelaySeconds: number | null;
  commands: Command[];
}

/** Runs of one case: enough to compete for slots. */
export const RUNS = 3;

const run = fc.nat({ max: RUNS - 1 });

/** Most of what is proposed starts something: else all runs have ended after a few commands. */
const type: fc.Arbitrary<StateType> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("PENDING" as const, "RUNNING" as const) },
  { weight: 2, arbitrary: fc.constantFrom("SCHEDULED" as const, "FAILED" as const) },
  { weight: 2, arbitrary: fc.constantFrom(...STATE_TYPES) },
);

const propose = fc.record({
  kind: fc.constant("propose" as const),
  run,
  type,
  name: fc.constantFrom(null, null, null, null, "Submitting", "Late", "AwaitingRetry"),
  // Mostly as engines and workers ask, seldom as a person who insists.
  force: fc.integer({ min: 0, max: 15 }).map((dice) => dice === 0),
  delaySeconds: fc.constantFrom(0, 0, 20, 100),
});

/** What a worker and an engine do in order, so that many sequences get far. */
const attempt: fc.Arbitrary<Command[]> = fc
  .tuple(run, fc.constantFrom<StateType[]>([], [], ["FAILED"], ["FAILED", "RUNNING"], ["PAUSED"], ["CANCELLING"]))
  .map(([of, then]) => ["PENDING" as const, "RUNNING" as const, ...then].map((each) => proposal(of, each)));

function proposal(of: number, each: StateType): Command {
  return { kind: "propose", run: of, type: each, name: null, force: false, delaySeconds: 0 };
}

const single: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: propose },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("repeat" as const), run }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("pause" as const),
      run,
      reschedules: fc.boolean(),
      timeoutSeconds: fc.constantFrom(null, 10, 200),
      key: fc.constantFrom(null, "a", "b"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("resume" as const), run }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("renew" as const), run }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("loop" as const),
      loop: fc.constantFrom("late" as const, "pauses" as const, "cancelling" as const, "leases" as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.constantFrom(1, 16, 31, 110, 310, 4000) }),
  },
);

const several: fc.Arbitrary<Command[]> = fc.oneof(
  { weight: 3, arbitrary: single.map((command) => [command]) },
  { weight: 1, arbitrary: attempt },
);

export const anyCase: fc.Arbitrary<Case> = fc.record({
  limit: fc.constantFrom(null, 1, 2),
  strategy: fc.constantFrom("ENQUEUE" as const, "CANCEL_NEW" as const),
  graceSeconds: fc.constantFrom(60, 300),
  retries: fc.constantFrom(null, 0, 1, 2),
  retryDelaySeconds: fc.constantFrom(null, 30),
  commands: fc.array(several, { minLength: 3, maxLength: 30 }).map((parts) => parts.flat()),
});
