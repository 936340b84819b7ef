import type { StateType } from "../../src/prefect-api/states.ts";
import type { Exit } from "../infrastructure/contract.ts";

/** How it ended, and the last it printed. */
export interface End {
  exit: Exit;
  lastLines: readonly string[];
}

const MAX_MESSAGE_CHARACTERS = 4000;

type Verdict =
  /** The run has, or will get from somebody else, the state that it should have. */
  | { outcome: "leave"; why: string }
  | { outcome: "crashed"; message: string }
  /** The engine reported CRASHED without knowing why, and the container's end tells. */
  | { outcome: "explained"; message: string }
  | { outcome: "cancelled"; message: string };

interface LastState {
  type: StateType;
  message?: string | null | undefined;
}

/** What to report for a run whose container or process has ended while the run was in this state. Pure. */
export function decideVerdict({ exit, lastLines }: End, what: string, state: LastState | null | undefined): Verdict {
  if (exit.kind === "unwatched") {
    return { outcome: "leave", why: `${what} is not watched any more after ${exit.afterSeconds} s; it goes on` };
  }
  switch (state?.type) {
    case "CRASHED":
      return isKnownCause(exit)
        ? { outcome: "explained", message: `${explainExit(exit, what)} ${state?.message ?? ""}`.trim() }
        : { outcome: "leave", why: "the run has its final state" };
    case "COMPLETED":
    case "FAILED":
    case "CANCELLED":
      return { outcome: "leave", why: "the run has its final state" };
    case "SCHEDULED":
    case "PAUSED":
      // The engine gave the run back: it was suspended, or is to be started again.
      return { outcome: "leave", why: "the run waits to be started again" };
    case "CANCELLING":
      return { outcome: "cancelled", message: `Cancelled; ${what} has ended.` };
    case "PENDING":
      return { outcome: "crashed", message: withLastLines(explainExit(exit, what), lastLines) };
    case "RUNNING":
    case undefined:
      return { outcome: "crashed", message: explainExit(exit, what) };
  }
}

/** Somebody else ended it: an engine inside can only see that it was ended. */
function isKnownCause(exit: Exit): boolean {
  return (
    exit.kind === "exited" &&
    (exit.wasOutOfMemory === true ||
      exit.wasOutOfMemory === "likely" ||
      exit.byHand !== undefined ||
      exit.engineWasAway === true)
  );
}

/** One sentence or two about how it ended, and whose doing it was as far as that is known. */
export function explainExit(exit: Exclude<Exit, { kind: "unwatched" }>, what: string): string {
  if (exit.kind === "vanished") {
    return `${exit.what} was removed by somebody before it had ended.`;
  }
  const { exitCode, wasOutOfMemory, memoryLimit, byHand, engineWasAway } = exit;
  if (wasOutOfMemory === true) {
    const limit = memoryLimit === undefined ? "the memory of its host" : `its memory limit (mem_limit ${memoryLimit})`;
    return `${capitalize(what)} ran out of memory: the kernel killed a process of it at ${limit}. Exit code ${exitCode}.`;
  }
  if (wasOutOfMemory === "likely") {
    return `${capitalize(what)} most likely ran out of memory: it has a limit (mem_limit ${memoryLimit}) and was killed (SIGKILL), and nobody asked the engine for that. Exit code ${exitCode}.`;
  }
  if (byHand !== undefined) {
    const how = byHand === "killed" ? "killed by hand (`docker kill`)" : "stopped by hand (`docker stop`)";
    return `${capitalize(what)} was ${how} with exit code ${exitCode}: not by the flow, the worker, or for want of memory.`;
  }
  if (engineWasAway === true) {
    return `${capitalize(what)} ended with exit code ${exitCode} while the Docker engine was away: that was restarted, or crashed.`;
  }
  if (exitCode === 0) {
    return `${capitalize(what)} ended with exit code 0, but its flow run had reported no final state.`;
  }
  const meaning =
    exitCode === SIGKILLED && wasOutOfMemory === undefined ? KILLED_FOR_ANY_REASON : EXIT_CODES.get(exitCode);
  return `${capitalize(what)} ended with exit code ${exitCode}${meaning === undefined ? "" : `: ${meaning}`}.`;
}

const SIGKILLED = 137;
const KILLED_FOR_ANY_REASON = "it was killed (SIGKILL), by somebody or by the kernel for want of memory";
const EXIT_CODES: ReadonlyMap<number, string> = new Map([
  [125, "the container runtime itself failed"],
  [126, "its command is not executable"],
  [127, "its command was not found (is Prefect installed there?)"],
  [130, "it was interrupted (SIGINT)"],
  [134, "it aborted itself (SIGABRT)"],
  [SIGKILLED, "it was killed from outside (SIGKILL), and not for want of memory"],
  [139, "it crashed (SIGSEGV)"],
  [143, "it was asked to stop (SIGTERM)"],
]);

/** While the run is PENDING no engine has sent its log: these lines are all there is to see. */
function withLastLines(message: string, lastLines: readonly string[]): string {
  if (lastLines.length === 0) {
    return message;
  }
  const lines = lastLines.map((line) => `    ${line}`).join("\n");
  return `${message} Its last output:\n${lines.slice(-MAX_MESSAGE_CHARACTERS)}`;
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
