import type { ErrorCode } from "../shared/error-codes.ts";

/** How the step ends. `failed` and `refused` fail it, `cancelled` was stopped from outside. */
export type Result = "succeeded" | "unchanged" | "ignored" | "refused" | "failed" | "cancelled";

/**
 * Why the action ended as it did, beyond the error codes of src/shared/error-codes.ts, which are reason codes too.
 * docs/reason-codes.md has one section per code; a contract test holds both equal. Codes are only added, never renamed.
 */
export const REASON_CODES = {
  // Deploying and planning.
  DEPLOYED: "succeeded",
  NOTHING_TO_DO: "unchanged",
  PLANNED: "succeeded",
  PLANNED_WITHOUT_SERVER: "succeeded",
  NO_DRIFT: "unchanged",
  DRIFT_FOUND: "succeeded",
  DRIFT_REFUSED: "failed",
  ROLLED_BACK: "succeeded",
  PREVIEW_REMOVED: "succeeded",
  // A run.
  RUN_STARTED: "succeeded",
  RUN_COMPLETED: "succeeded",
  RUN_FAILED: "failed",
  RUN_CRASHED: "failed",
  RUN_CANCELLED: "failed",
  // Events that ask for nothing.
  BRANCH_DELETED: "ignored",
  BRANCH_NOT_DEFAULT: "ignored",
  QUEUE_BRANCH: "ignored",
  TAG_PUSHED: "ignored",
  PULL_REQUEST_UNCHANGED: "ignored",
  PULL_REQUEST_CLOSED: "ignored",
  COMMENT_IGNORED: "ignored",
  DISPATCH_UNKNOWN: "ignored",
  WORKFLOW_NOT_SUCCESSFUL: "ignored",
  EVENT_IGNORED: "ignored",
  // Endings that no error code names.
  STEP_CANCELLED: "cancelled",
  INTERNAL_ERROR: "failed",
} as const satisfies Record<string, Result>;

export type ReasonCode = keyof typeof REASON_CODES | ErrorCode;

/** Errors that say no to somebody, where others tell what did not work. */
const REFUSALS: ReadonlySet<ReasonCode> = new Set<ErrorCode>([
  "EVENT_REFUSED",
  "COMMIT_MISMATCH",
  "ENVIRONMENT_MISMATCH",
  "PLAN_CHANGED",
  "RELEASE_OUTDATED",
  "RELEASE_CONFLICT",
]);

export function resultOf(code: ReasonCode): Result {
  if (Object.hasOwn(REASON_CODES, code)) {
    return REASON_CODES[code as keyof typeof REASON_CODES];
  }
  return REFUSALS.has(code) ? "refused" : "failed";
}
