import { errorMessage, TransientError, UserError } from "../shared/errors.ts";
import type { Ending } from "./finish.ts";

interface Context {
  decision: Ending["decision"];
  /** Somebody stopped the GitHub job; whatever was thrown is only the echo. */
  cancelled: boolean;
}

const CANCELLED_MESSAGE = "The GitHub job was cancelled.";
const REPORT = "This is a bug of Flowyard: report it with the log of this step, run with debug logging.";

/** The ending that an error means. Bugs carry their stack, so that they can be reported. */
export function buildErrorEnding(error: unknown, { decision, cancelled }: Context): Ending {
  if (cancelled) {
    return { decision, reason_code: "STEP_CANCELLED", message: CANCELLED_MESSAGE, next_step: "Run the job again." };
  }
  if (error instanceof UserError) {
    return { decision, reason_code: error.code, message: error.message, next_step: error.hint ?? "" };
  }
  if (error instanceof TransientError) {
    return { decision, reason_code: error.code, message: error.message, next_step: "Run the job again." };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
  return { decision, reason_code: "INTERNAL_ERROR", message, next_step: REPORT };
}
