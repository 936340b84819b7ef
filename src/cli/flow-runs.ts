import type { PrefectClient } from "../client/prefect-client.ts";
import type { ReceivedFlowRun } from "../prefect-api/flow-runs.ts";
import { isUuid } from "../prefect-api/primitives.ts";
import { UserError } from "../shared/errors.ts";

/** By id, or by a name that only one run has. Throws UserError NOT_FOUND. */
export async function getFlowRun(client: PrefectClient, idOrName: string): Promise<ReceivedFlowRun> {
  if (isUuid(idOrName)) {
    const run = await client.flowRuns.find(idOrName);
    if (run === undefined) {
      throw new UserError("NOT_FOUND", `There is no flow run with id ${idOrName}.`);
    }
    return run;
  }
  const runs = await client.flowRuns.list({ flow_runs: { name: { any_: [idOrName] } } }, { limit: 2 });
  const [only] = runs;
  if (only === undefined) {
    throw new UserError("NOT_FOUND", `There is no flow run "${idOrName}".`, {
      hint: "See `flowyard flow-run ls` for ids and names.",
    });
  }
  if (runs.length > 1) {
    throw new UserError("USAGE", `Several flow runs are named "${idOrName}".`, {
      hint: "Say which one by its id: `flowyard flow-run ls`.",
    });
  }
  return only;
}
