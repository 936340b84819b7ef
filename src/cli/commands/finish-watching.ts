import type { PrefectClient } from "../../client/prefect-client.ts";
import type { ReceivedFlowRun } from "../../prefect-api/flow-runs.ts";
import type { CliContext } from "../context.ts";
import { watchFlowRun } from "../watch-flow-run.ts";

interface WatchRequest {
  timeoutSeconds: number | undefined;
  json: boolean;
}

/** Watches to the end and sets the exit code: 0 only for COMPLETED. */
export async function finishWatching(
  context: CliContext,
  client: PrefectClient,
  run: Pick<ReceivedFlowRun, "id" | "name">,
  { timeoutSeconds, json }: WatchRequest,
): Promise<void> {
  const { output } = context;
  const sayThatItGoesOn = () =>
    output.say(`Stopped watching; the run goes on. Cancel it with: flowyard flow-run cancel ${run.id}`);
  context.signal.addEventListener("abort", sayThatItGoesOn, { once: true });
  const ended = await watchFlowRun(context, client, run.id, { timeoutSeconds, logsToStderr: json });
  context.signal.removeEventListener("abort", sayThatItGoesOn);
  if (json) {
    output.json(ended);
  }
  // Why, the line of its last state has said.
  const said = `Flow run "${run.name}" ended ${ended.state_type}.`;
  if (ended.state_type === "COMPLETED") {
    output.success(said);
    return;
  }
  output.error(said);
  context.exitCode = 1;
}
