import { randomUUID } from "node:crypto";
import type { CreateFlowRunInput } from "../prefect-api/flow-run-inputs.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import { UserError } from "../shared/errors.ts";
import { classifyStorageError } from "../storage/sqlite.ts";
import type { Store } from "../storage/store.ts";

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
    switch (classifyStorageError(error)) {
      case "unique":
        throw new UserError("ALREADY_EXISTS", "A flow run input with this key already exists.", { cause: error });
      case "foreign-key":
        throw new UserError("NOT_FOUND", "Flow run not found", { cause: error });
      default:
        throw error;
    }
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
