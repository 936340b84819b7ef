import type { Decision } from "./decision.ts";
import type { Outputs } from "./outputs.ts";
import { type ReasonCode, type Result, resultOf } from "./reason-codes.ts";
import type { Runner } from "./runner.ts";

/** How everything ends: what was to be done, why it ended so, in a sentence, and what to do about it. */
export interface Ending {
  decision: Decision["decision"] | "none";
  reason_code: ReasonCode;
  message: string;
  /** One sentence, or empty. */
  next_step: string;
}

const FAILING: ReadonlySet<Result> = new Set(["refused", "failed", "cancelled"]);

export function failsStep(ending: Ending): boolean {
  return FAILING.has(resultOf(ending.reason_code));
}

/** The one way out: sets the outputs and the exit code, and says how the step ended. */
export function finish(runner: Runner, ending: Ending, outputs: Outputs, startedMs: number): void {
  const result = resultOf(ending.reason_code);
  const all: Outputs = {
    ...outputs,
    result,
    decision: ending.decision,
    "reason-code": ending.reason_code,
    message: ending.message,
    "next-step": ending.next_step,
    "duration-ms": String(Math.round(performance.now() - startedMs)),
  };
  for (const [name, value] of Object.entries(all)) {
    runner.output(name, value);
  }
  const next = ending.next_step === "" ? "" : ` ${ending.next_step}`;
  const said = `${ending.message}${next} (${ending.reason_code})`;
  if (failsStep(ending)) {
    runner.fail();
  }
  runner.info(`${result}: ${said}`);
}
