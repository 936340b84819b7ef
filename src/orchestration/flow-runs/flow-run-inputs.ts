import { randomUUID } from "node:crypto";
import type { CreateFlowRunInput } from "../../prefect-api/flow-run-inputs.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { Store } from "../../storage/store.ts";

/** Throws UserError ALREADY_EXISTS when the run has an input of that key, NOT_FOUND when there is no such run. */
export async function createFlowRunInput(
  store: Pick<Store, "transaction">,
  flowRunId: string,
  body: CreateFlowRunInput,
  now: Date,
): Promise<void> {
  const timestamp = timestampFromDate(now);
  const input = {
    id: randomUUID(),
    created: timestamp,
    updated: timestamp,
    flow_run_id: flowRunId,
    key: body.key,
    value: body.value,
    sender: body.sender ?? null,
  };
  try {
    await store.transaction((tx) => tx.flowRunInputs.insert(input));
  } catch (error) {
    if (hasCode(error, "ALREADY_EXISTS")) {
      throw new UserError("ALREADY_EXISTS", "A flow run input with this key already exists.", { cause: error });
    }
    if (hasCode(error, "DATA_CONFLICT")) {
      throw new UserError("NOT_FOUND", "Flow run not found", { cause: error });
    }
    throw error;
  }
}

/** Throws UserError NOT_FOUND. */
export async function deleteFlowRunInput(
  store: Pick<Store, "transaction">,
  flowRunId: string,
  key: string,
): Promise<void> {
  if (!(await store.transaction((tx) => tx.flowRunInputs.remove(flowRunId, [key])))) {
    throw new UserError("NOT_FOUND", "Flow run input not found");
  }
}
