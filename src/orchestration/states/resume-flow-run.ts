import { randomUUID } from "node:crypto";
import { compileSchema } from "../../prefect-api/json-schema.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import type { SetStateResult, State } from "../../prefect-api/states.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { errorMessage, UserError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { hydrateParameters, listVariableNames } from "../flow-runs/hydrate-parameters.ts";
import { type StateOutcome, setFlowRunStateIn } from "./set-flow-run-state.ts";

export interface Resumption {
  flowRunId: string;
  input: JsonObject | null;
  clientApiVersion: string | null;
  by?: string;
}

/**
 * Lets a paused run go on: in its process, or SCHEDULED again when it was suspended. Input that the pause asks for is
 * checked against the schema that the flow left, and stored when the run goes on. Throws UserError NOT_FOUND.
 */
export function resumeFlowRun(
  deps: { store: Pick<Store, "transaction">; bus: LiveBus; logger: Logger },
  resumption: Resumption,
  now: Date,
): Promise<StateOutcome> {
  return deps.store.transaction(async (tx) => {
    const run = await tx.transitions.find(resumption.flowRunId);
    if (run === undefined) {
      throw new UserError("NOT_FOUND", `Flow run with id ${resumption.flowRunId} not found`);
    }
    if (run.state?.type !== "PAUSED") {
      return kept(abort("Cannot resume a flow run that is not paused."));
    }
    const keyset = run.state.state_details.run_input_keyset;
    const checked = keyset === null ? { input: null } : await checkInput(tx, run.id, keyset, resumption.input ?? {});
    if ("problem" in checked) {
      return kept(reject(run.state, checked.problem));
    }
    const proposal = {
      flowRunId: run.id,
      state: run.state.state_details.pause_reschedule
        ? { type: "SCHEDULED" as const, name: "Resuming", state_details: {} }
        : { type: "RUNNING" as const, state_details: {} },
      mode: "normal" as const,
      clientApiVersion: resumption.clientApiVersion,
      ...(resumption.by !== undefined && { by: resumption.by }),
    };
    const outcome = await setFlowRunStateIn(tx, deps, proposal, now);
    const responseKey = keyset?.["response"];
    if (outcome.result.status === "ACCEPT" && responseKey !== undefined && checked.input !== null) {
      await storeInput(tx, run.id, responseKey, checked.input, now);
    }
    return outcome;
  });
}

function kept(result: SetStateResult): StateOutcome {
  return { result, written: false };
}

function abort(reason: string): SetStateResult {
  return { state: null, status: "ABORT", details: { type: "abort_details", reason, reason_code: "NOT_PAUSED" } };
}

function reject(state: State, reason: string): SetStateResult {
  return { state, status: "REJECT", details: { type: "reject_details", reason, reason_code: "INVALID_INPUT" } };
}

async function checkInput(
  tx: Tx,
  flowRunId: string,
  keyset: Record<string, string>,
  given: JsonObject,
): Promise<{ input: JsonObject } | { problem: string }> {
  const names = listVariableNames(given);
  const variables = names.length === 0 ? new Map<string, unknown>() : await tx.variables.listValues(names);
  try {
    const input = hydrateParameters(given, (name) => variables.get(name));
    const stored = await tx.flowRunInputs.find(flowRunId, keyset["schema"] ?? "");
    if (stored === undefined) {
      return { problem: "Run input schema not found." };
    }
    const schema: JsonObject = JSON.parse(stored.value);
    const problem = compileSchema(schema, { ignoreRequired: false, allowNullWithDefault: false })(input);
    return problem === undefined ? { input } : { problem: `Reason: ${problem}` };
  } catch (error) {
    // A template, or a schema that a flow wrote: both come from outside, and the run keeps waiting.
    return { problem: `Error hydrating run input: ${errorMessage(error)}` };
  }
}

async function storeInput(tx: Tx, flowRunId: string, key: string, input: JsonObject, now: Date): Promise<void> {
  const timestamp = timestampFromDate(now);
  await tx.flowRunInputs.insert({
    id: randomUUID(),
    created: timestamp,
    updated: timestamp,
    flow_run_id: flowRunId,
    key,
    value: JSON.stringify(input),
    sender: null,
  });
}
