import type { Blame, ExplanationCode } from "../../flowyard-api/explain.ts";
import { ERROR_CODES, type ErrorCode, type Fault } from "../../shared/error-codes.ts";

/** What the message of a final state tells. Workers and engines report the reason as text; here is all of it that is read. */
export interface EndReason {
  code: ExplanationCode;
  blame: Blame | null;
  exitCode: number | null;
  /** Of ours, when the message carries one. */
  errorCode: ErrorCode | null;
}

const NOTHING = { exitCode: null, errorCode: null };

// Our worker: "The run could not be started. IMAGE_NOT_FOUND: …", without a code when it is a bug of ours.
const OUR_START = /^The run could not be started\.\s+(?:([A-Z][A-Z_]+): )?/;
// Prefect's workers and runner: "Failed to submit flow run to infrastructure: RuntimeError: …",
// "Flow run could not start: …", "Flow run process failed: …", "Flow run bundle could not be created: …".
const STOCK_START =
  /^(Failed to submit flow run to infrastructure|Flow run could not start|Flow run process failed|Flow run bundle could not be created)\b/;
// Our worker: "Container "x" ran out of memory: the kernel killed …".
const OUT_OF_MEMORY = /\bran out of memory\b/;
// Our worker: "… ended with exit code 137: …"; Prefect's: "Flow run infrastructure exited with non-zero status code
// 137. …", "Process exited with status code: -9. …".
const EXIT = /\b(?:exit code|status code:?) (-?\d+)/;
// Our worker: "The container "x" was removed by somebody before it had ended."
const REMOVED = /\bwas removed by somebody before it had ended\b/;
// Our worker: "… was killed by hand (`docker kill`) with exit code 137: …", "… was stopped by hand (`docker stop`) …".
const BY_HAND = /\bwas (?:killed|stopped) by hand\b/;
// Our worker: "… ended with exit code 255 while the Docker engine was away: …".
const ENGINE_AWAY = /\bwhile the Docker engine was away\b/;
// Our plane, when a claim ends: "Worker 'w' started infrastructure for this run and has not been heard of since; …",
// "5 workers in a row took this run and vanished …", "Worker 'w', which ran this flow run, has not been heard of …".
const VANISHED = /^(Worker '.*has not been heard of|\d+ workers in a row took this run and vanished)\b/s;
// Prefect's engine: "Execution was aborted by a termination signal.", "… was cancelled by the runtime environment."
const INTERRUPTED = /^Execution was (aborted|cancelled) by\b/;
// Prefect's engine: "Request to http://… failed: …", "Request failed while attempting to contact the server: …".
const PLANE_LOST = /^Request (to \S+ failed|failed while attempting to contact the server)\b/;
// Both servers: "Deployment concurrency limit reached.", "Deployment concurrency slot lost during provisioning …".
const CANCELLED_BY_LIMIT = /^Deployment concurrency (limit reached|slot lost)\b/;
// Both servers, for subflows: "The parent flow run was cancelled."
const WITH_PARENT = /^The parent flow run was cancelled\b/;
// Both workers: "Deployment <id> no longer exists".
const WITHOUT_DEPLOYMENT = /^Deployment \S+ no longer exists\b/;

/** Exit codes that the flow's own process makes; the others come from outside it. */
const OWN_EXIT_CODES: ReadonlySet<number> = new Set([0, 134, 139, -6, -11]);
const OUTSIDE_EXIT_CODES: ReadonlySet<number> = new Set([125, 130, 137, 143, -2, -9, -15]);
/** The command in the image cannot be run: whoever made the image or the job variables can put it right. */
const COMMAND_EXIT_CODES: ReadonlySet<number> = new Set([126, 127]);

/** Why a CRASHED run ended. `hasRun`: its engine had reported RUNNING. */
export function readCrash(message: string, hasRun: boolean): EndReason {
  const start = OUR_START.exec(message);
  if (start !== null) {
    const errorCode = findErrorCode(start[1]);
    const blame = errorCode === null ? "flowyard" : blameFor(ERROR_CODES[errorCode].fault);
    return { code: "START_FAILED", blame, exitCode: null, errorCode };
  }
  if (STOCK_START.test(message)) {
    return { code: "START_FAILED", blame: "infrastructure", ...NOTHING };
  }
  const exitCode = findExitCode(message);
  if (OUT_OF_MEMORY.test(message)) {
    return { code: "OUT_OF_MEMORY", blame: "infrastructure", exitCode, errorCode: null };
  }
  if (BY_HAND.test(message)) {
    return { code: "INFRASTRUCTURE_ENDED", blame: "operator", exitCode, errorCode: null };
  }
  if (ENGINE_AWAY.test(message)) {
    return { code: "INFRASTRUCTURE_ENDED", blame: "infrastructure", exitCode, errorCode: null };
  }
  if (exitCode !== null) {
    return { code: "INFRASTRUCTURE_ENDED", blame: blameForExit(exitCode, hasRun), exitCode, errorCode: null };
  }
  if (REMOVED.test(message)) {
    return { code: "INFRASTRUCTURE_ENDED", blame: "operator", ...NOTHING };
  }
  if (VANISHED.test(message)) {
    return { code: "WORKER_VANISHED", blame: "infrastructure", ...NOTHING };
  }
  if (INTERRUPTED.test(message) || PLANE_LOST.test(message)) {
    return { code: "INTERRUPTED", blame: "infrastructure", ...NOTHING };
  }
  return { code: "CRASHED", blame: null, ...NOTHING };
}

/** Why a run was CANCELLED that nobody had asked to cancel, as far as its message tells. */
export function readCancellation(
  message: string,
): "CANCELLED_BY_LIMIT" | "CANCELLED_WITH_PARENT" | "CANCELLED_WITHOUT_DEPLOYMENT" | "CANCELLED" {
  if (CANCELLED_BY_LIMIT.test(message)) {
    return "CANCELLED_BY_LIMIT";
  }
  if (WITH_PARENT.test(message)) {
    return "CANCELLED_WITH_PARENT";
  }
  return WITHOUT_DEPLOYMENT.test(message) ? "CANCELLED_WITHOUT_DEPLOYMENT" : "CANCELLED";
}

function findErrorCode(text: string | undefined): ErrorCode | null {
  return text !== undefined && isErrorCode(text) ? text : null;
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

function findExitCode(message: string): number | null {
  const found = EXIT.exec(message);
  return found === null ? null : Number(found[1]);
}

function blameFor(fault: Fault): Blame {
  switch (fault) {
    case "user":
      return "operator";
    case "world":
      return "infrastructure";
    case "us":
      return "flowyard";
  }
}

function blameForExit(exitCode: number, hasRun: boolean): Blame {
  if (COMMAND_EXIT_CODES.has(exitCode)) {
    return "operator";
  }
  if (OUTSIDE_EXIT_CODES.has(exitCode)) {
    return "infrastructure";
  }
  return hasRun || OWN_EXIT_CODES.has(exitCode) ? "user_code" : "operator";
}
