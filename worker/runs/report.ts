import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { refusalStatus } from "../../src/client/refusal.ts";
import type { ReceivedSetStateResult } from "../../src/prefect-api/states.ts";
import { errorMessage, TransientError, UserError } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";
import { keepTrying } from "../keep-trying.ts";

export interface ReportDependencies {
  client: { flowRuns: Pick<PrefectClient["flowRuns"], "setState"> };
  logger: Logger;
  /** Of the claim in whose name the run is spoken for; undefined without one. */
  fencingToken?: number | undefined;
  /** Aborts when the worker must go at once. */
  signal: AbortSignal;
}

/** How the message of a run begins that could not be started. */
export const NOT_STARTED = "The run could not be started.";

/** CANCELLED is forced, as a run is cancelled whatever it was doing; CRASHED leaves a final state alone. */
export async function reportState(
  own: ReportDependencies,
  id: string,
  { type, message, force = type === "CANCELLED" }: { type: "CANCELLED" | "CRASHED"; message: string; force?: boolean },
): Promise<void> {
  const answer = await keepTrying({ what: `report ${type}`, ...own }, () =>
    proposeState(own, id, { state: { type, message }, force }),
  );
  own.logger.info({ to: answer?.state?.name, status: answer?.status, reason: message }, `Reported ${type}`);
}

/** Undefined when the run was deleted. */
export async function proposeState(
  own: Pick<ReportDependencies, "client" | "fencingToken">,
  id: string,
  proposal: Parameters<ReportDependencies["client"]["flowRuns"]["setState"]>[1],
): Promise<ReceivedSetStateResult | undefined> {
  try {
    return await own.client.flowRuns.setState(id, { fencingToken: own.fencingToken, ...proposal });
  } catch (error) {
    if (refusalStatus(error) === 404) {
      return undefined;
    }
    throw error;
  }
}

/** For a state's message. */
export function describeError(error: unknown): string {
  const sentence = errorMessage(error).replace(/[^.!?]$/, "$&.");
  if (error instanceof UserError) {
    return `${error.code}: ${sentence}${error.hint === undefined ? "" : ` ${error.hint}`}`;
  }
  return error instanceof TransientError ? `${error.code}: ${sentence}` : sentence;
}

/** What a log line says about an error; only a bug of ours shows its stack. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (error instanceof UserError || error instanceof TransientError) {
    return { code: error.code, reason: error.message, ...(error instanceof UserError ? { hint: error.hint } : {}) };
  }
  return { reason: errorMessage(error), stack: error instanceof Error ? error.stack : undefined };
}
