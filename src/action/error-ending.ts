import type { ErrorCode } from "../shared/error-codes.ts";
import { errorMessage, TransientError, UserError } from "../shared/errors.ts";
import type { Ending } from "./finish.ts";

interface Context {
  decision: Ending["decision"];
  /** Somebody stopped the GitHub job; whatever was thrown is only the echo. */
  cancelled: boolean;
}

const CANCELLED_MESSAGE = "The GitHub job was cancelled.";
const REPORT = "This is a bug of Flowyard: report it with the log of this step, run with debug logging.";

/** For refusals that come from the plane, which knows nothing of GitHub. */
export function findNextStep(code: ErrorCode): string {
  switch (code) {
    case "RELEASE_OUTDATED":
      return "To go back on purpose, say mode: rollback in a step; to go on, run the job of the newest commit.";
    case "RELEASE_CONFLICT":
      return "Say adopt: true in the step to take those deployments over, or give these other names.";
    case "PLAN_CHANGED":
      return "Look at the new plan, and hand over its hash.";
    default:
      return `docs/errors.md of Flowyard has a section on ${code}.`;
  }
}

/** The ending that an error means. Bugs carry their stack, so that they can be reported. */
export function buildErrorEnding(error: unknown, { decision, cancelled }: Context): Ending {
  if (cancelled) {
    return { decision, reason_code: "STEP_CANCELLED", message: CANCELLED_MESSAGE, next_step: "Run the job again." };
  }
  if (error instanceof UserError) {
    return {
      decision,
      reason_code: error.code,
      message: error.message,
      next_step: error.hint ?? findNextStep(error.code),
    };
  }
  if (error instanceof TransientError) {
    return { decision, reason_code: error.code, message: error.message, next_step: "Run the job again." };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
  return { decision, reason_code: "INTERNAL_ERROR", message, next_step: REPORT };
}
