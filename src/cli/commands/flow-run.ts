import type { Command } from "commander";
import { z } from "zod";
import type { PrefectClient } from "../../client/prefect-client.ts";
import type { Log } from "../../prefect-api/logs.ts";
import { isTerminal, STATE_TYPES, StateType } from "../../prefect-api/states.ts";
import { suggestNearest } from "../../project/did-you-mean.ts";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { findFlowNames, getDeployment } from "../deployments.ts";
import { getFlowRun } from "../flow-runs.ts";
import { printStoredLog } from "../log-lines.ts";
import { addConfirmOption, addJsonOption, collect, parseSeconds, parseWholeNumber, wantsJson } from "../options.ts";
import { toSafeLine } from "../safe-text.ts";
import { getWorkPool } from "../work-pools.ts";
import { finishWatching } from "./finish-watching.ts";
import { addExplainCommand } from "./flow-run-explain.ts";
import { printFlowRuns } from "./flow-run-table.ts";
import { addTimelineCommand } from "./flow-run-timeline.ts";

const DEFAULT_RUNS = 15;
const DEFAULT_LOGS = 20;

export async function addFlowRunCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("flow-run")
    .summary("list, watch, explain, cancel and retry flow runs")
    .description("List, watch, explain, cancel and retry flow runs.");
  addListCommand(group, context);
  addInspectCommand(group, context);
  addExplainCommand(group, context);
  addTimelineCommand(group, context);
  addLogsCommand(group, context);
  addWatchCommand(group, context);
  addCancelCommand(group, context);
  addRetryCommand(group, context);
  addDeleteCommand(group, context);
}

/** A verb on one run. */
function addRunVerb(group: Command, verb: string, description: string): Command {
  return group.command(verb).description(description).argument("<run>", "id, or a name that only one run has");
}

const ListOptions = z.object({
  deployment: z.array(z.string()).default([]),
  flowName: z.array(z.string()).default([]),
  limit: z.number(),
  pool: z.array(z.string()).default([]),
  state: z.array(z.string()).default([]),
  stateType: z.array(z.string()).default([]),
});

function addListCommand(group: Command, context: CliContext): void {
  const command = group
    .command("ls")
    .description("List flow runs, the latest first.")
    .option("--flow-name <name>", "only runs of this flow (repeatable)", collect)
    .option("--deployment <name>", "only runs of this deployment, <flow>/<deployment> or id (repeatable)", collect)
    .option("-p, --pool <name>", "only runs of this work pool (repeatable)", collect)
    .option("--limit <n>", "at most so many", parseWholeNumber(1), DEFAULT_RUNS)
    .option("--state <name>", "only runs in the state of this name (repeatable)", collect)
    .option("--state-type <type>", "only runs in a state of this type (repeatable)", collect);
  addJsonOption(command).action(async (raw) => {
    const options = ListOptions.parse(raw);
    const types = options.stateType.map(parseStateType);
    const client = await context.connect();
    const filters = await buildRunFilters(client, options, types);
    const runs = await client.flowRuns.list({ ...filters, sort: "EXPECTED_START_TIME_DESC" }, { limit: options.limit });
    if (wantsJson(raw)) {
      context.output.json(runs);
      return;
    }
    if (runs.length === 0) {
      context.output.say("There are no such flow runs.");
      return;
    }
    const flowIds = runs.map(({ flow_id }) => flow_id);
    printFlowRuns(context.output, runs, await findFlowNames(client, flowIds), new Date());
  });
}

/** What is named and is not there is said, with the nearest name. */
async function buildRunFilters(
  client: PrefectClient,
  { deployment, flowName, pool, state }: z.infer<typeof ListOptions>,
  types: StateType[],
) {
  const deployments = await Promise.all(deployment.map((name) => getDeployment(client, name)));
  const pools = await Promise.all(pool.map((name) => getWorkPool(client, name)));
  const states = {
    ...(state.length === 0 ? {} : { name: { any_: state } }),
    ...(types.length === 0 ? {} : { type: { any_: types } }),
  };
  const ofRuns = {
    ...(Object.keys(states).length === 0 ? {} : { state: states }),
    ...(deployments.length === 0 ? {} : { deployment_id: { any_: deployments.map((one) => one.deployment.id) } }),
  };
  return {
    ...(flowName.length === 0 ? {} : { flows: { name: { any_: flowName } } }),
    ...(pools.length === 0 ? {} : { work_pools: { id: { any_: pools.map(({ id }) => id) } } }),
    ...(Object.keys(ofRuns).length === 0 ? {} : { flow_runs: ofRuns }),
  };
}

function parseStateType(text: string): StateType {
  const parsed = StateType.safeParse(text.toUpperCase());
  if (!parsed.success) {
    throw new UserError(
      "USAGE",
      `--state-type is "${text}", which is no type of state.${suggestNearest(text, STATE_TYPES)}`,
      {
        hint: `State types: ${STATE_TYPES.join(", ")}.`,
      },
    );
  }
  return parsed.data;
}

function addInspectCommand(group: Command, context: CliContext): void {
  addJsonOption(addRunVerb(group, "inspect", "Show everything about a flow run.")).action(
    async (idOrName: string, options) => {
      const client = await context.connect();
      const run = await getFlowRun(client, idOrName);
      if (wantsJson(options)) {
        context.output.json(run);
        return;
      }
      // Decoration: the run is shown without it too.
      const explanation = await client.explanations.find(run.id).catch(() => undefined);
      context.output.fields({ ...run, why: explanation && toSafeLine(explanation.sentence) });
    },
  );
}

const LogOptions = z.object({
  head: z.boolean().default(false),
  tail: z.boolean().default(false),
  numLogs: z.number().optional(),
  reverse: z.boolean().default(false),
});

function addLogsCommand(group: Command, context: CliContext): void {
  const command = addRunVerb(group, "logs", "Print the stored log of a flow run.")
    .option("--head", `only the first lines (${DEFAULT_LOGS})`)
    .option("-t, --tail", `only the last lines (${DEFAULT_LOGS})`)
    .option("-n, --num-logs <n>", "how many lines --head and --tail print", parseWholeNumber(1))
    .option("-r, --reverse", "latest line first");
  addJsonOption(command).action(async (idOrName: string, raw) => {
    const { head, tail, numLogs, reverse } = LogOptions.parse(raw);
    if (head && tail) {
      throw new UserError("USAGE", "Give --head or --tail, not both.");
    }
    const limit = head || tail || numLogs !== undefined ? (numLogs ?? DEFAULT_LOGS) : undefined;
    const client = await context.connect();
    const run = await getFlowRun(client, idOrName);
    const fromTheEnd = tail || (reverse && !head);
    const logs: Log[] = await client.logs.list(
      { logs: { flow_run_id: { any_: [run.id] } }, sort: fromTheEnd ? "TIMESTAMP_DESC" : "TIMESTAMP_ASC" },
      { limit },
    );
    const ordered = fromTheEnd === reverse ? logs : logs.toReversed();
    if (wantsJson(raw)) {
      context.output.json(ordered);
      return;
    }
    for (const log of ordered) {
      printStoredLog(context.output, log, run.name);
    }
    if (logs.length === 0) {
      context.output.say(`Flow run "${run.name}" has no log lines.`);
    }
  });
}

function addWatchCommand(group: Command, context: CliContext): void {
  const description = "Show states and log lines until a flow run ends; exit 0 only when it COMPLETED.";
  const command = addRunVerb(group, "watch", description).option(
    "--timeout <seconds>",
    "stop watching after this long",
    parseSeconds,
  );
  addJsonOption(command).action(async (idOrName: string, raw) => {
    const { timeout } = z.object({ timeout: z.number().optional() }).parse(raw);
    const client = await context.connect();
    const run = await getFlowRun(client, idOrName);
    await finishWatching(context, client, run, { timeoutSeconds: timeout, json: wantsJson(raw) });
  });
}

function addCancelCommand(group: Command, context: CliContext): void {
  addRunVerb(group, "cancel", "Cancel a flow run.").action(async (idOrName: string) => {
    const client = await context.connect();
    const run = await getFlowRun(client, idOrName);
    const { status, state, details } = await client.flowRuns.setState(run.id, { state: { type: "CANCELLING" } });
    if (status === "ABORT" || status === "WAIT") {
      const reason = details.reason ?? "the control plane gave no reason";
      throw new UserError("PLANE_REFUSED", `Flow run "${run.name}" cannot be cancelled: ${reason}`);
    }
    const done = state?.type === "CANCELLED" ? "is cancelled: it had not started" : "is being cancelled";
    context.output.success(`Flow run "${run.name}" ${done}.`);
  });
}

function addRetryCommand(group: Command, context: CliContext): void {
  addRunVerb(group, "retry", "Run a flow run that has ended again, under the same id.")
    .option("-e, --entrypoint <path:function>", "Prefect's way for runs without a deployment; not available here")
    .action(async (idOrName: string) => {
      const client = await context.connect();
      const run = await getFlowRun(client, idOrName);
      if (run.state_type === null || run.state_type === undefined || !isTerminal(run.state_type)) {
        const message = `Flow run "${run.name}" is ${run.state_type ?? "without a state"}; only a run that has ended can be retried.`;
        throw new UserError("PLANE_REFUSED", message);
      }
      if (run.deployment_id === null || run.deployment_id === undefined) {
        throw new UserError("PLANE_REFUSED", `Flow run "${run.name}" has no deployment, so no worker would take it.`, {
          hint: "Run its flow again where it ran, or use `prefect flow-run retry --entrypoint`.",
        });
      }
      const proposal = { state: { type: "SCHEDULED", message: "Retried via CLI" }, force: true } as const;
      const { status, details } = await client.flowRuns.setState(run.id, proposal);
      if (status !== "ACCEPT") {
        throw new UserError("PLANE_REFUSED", `Flow run "${run.name}" cannot be retried: ${details.reason ?? status}`);
      }
      context.output.success(`Flow run "${run.name}" is scheduled to run again.`);
      context.output.say(`Watch it with: flowyard flow-run watch ${run.id}`);
    });
}

function addDeleteCommand(group: Command, context: CliContext): void {
  addConfirmOption(addRunVerb(group, "delete", "Delete a flow run with its states and logs.")).action(
    async (idOrName: string, options) => {
      const client = await context.connect();
      const run = await getFlowRun(client, idOrName);
      await confirmLoss(context, options, `Delete flow run "${run.name}" (${run.state_type ?? "no state"})?`);
      await client.flowRuns.delete(run.id);
      context.output.success(`Deleted flow run "${run.name}".`);
    },
  );
}
