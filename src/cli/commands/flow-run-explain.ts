import type { Command } from "commander";
import type { PrefectClient } from "../../client/prefect-client.ts";
import type { Explanation } from "../../flowyard-api/explain.ts";
import type { ReceivedFlowRun } from "../../prefect-api/flow-runs.ts";
import { UserError } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { getFlowRun } from "../flow-runs.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { printExplanation } from "../show-explanation.ts";

export function addExplainCommand(group: Command, context: CliContext): void {
  const command = group
    .command("explain")
    .description("Say why a flow run is not running: what it waits for, or how it ended and whose doing that was.")
    .argument("<run>", "id, or a name that only one run has");
  addJsonOption(command).action(async (idOrName: string, options) => {
    const client = await context.connect();
    const explanation = await getExplanation(client, await getFlowRun(client, idOrName));
    if (wantsJson(options)) {
      context.output.json(explanation);
    } else {
      printExplanation(context.output, explanation, new Date());
    }
  });
}

/** Throws UserError CAPABILITY_MISSING for a Prefect server. */
async function getExplanation(client: PrefectClient, run: ReceivedFlowRun): Promise<Explanation> {
  const explanation = await client.explanations.find(run.id);
  if (explanation !== undefined) {
    return explanation;
  }
  const capabilities = await client.releases.findCapabilities();
  if (capabilities?.features.includes("explain") === true) {
    throw new UserError("NOT_FOUND", `Flow run "${run.name}" was deleted meanwhile.`);
  }
  const server = capabilities === undefined ? "is a Prefect server" : `runs Flowyard ${capabilities.version}`;
  throw new UserError("CAPABILITY_MISSING", `The server at ${client.apiUrl} ${server}, which cannot explain runs.`, {
    hint: `Look at the run itself: flowyard flow-run inspect ${run.id}, and flowyard flow-run logs ${run.id}.`,
  });
}
