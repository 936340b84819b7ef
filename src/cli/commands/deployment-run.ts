import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { z } from "zod";
import type { PrefectClient } from "../../client/prefect-client.ts";
import type { ReceivedFlowRun } from "../../prefect-api/flow-runs.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { suggestNearest } from "../../project/did-you-mean.ts";
import { UserError } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { getDeployment, type NamedDeployment } from "../deployments.ts";
import { addJsonOption, collect, parseJsonObject, parseKeyValues, parseSeconds, wantsJson } from "../options.ts";
import { showLocalTime, showRelativeTime } from "../show.ts";
import { parseStartAt, parseStartIn } from "../start-time.ts";
import { finishWatching } from "./finish-watching.ts";

const Options = z.object({
  id: z.string().optional(),
  param: z.array(z.string()).default([]),
  params: z.string().optional(),
  jobVariable: z.array(z.string()).default([]),
  startIn: z.string().optional(),
  startAt: z.string().optional(),
  tag: z.array(z.string()).default([]),
  flowRunName: z.string().optional(),
  watch: z.boolean().default(false),
  watchTimeout: z.number().optional(),
});
type Options = z.infer<typeof Options>;

export function addDeploymentRunCommand(group: Command, context: CliContext): void {
  const command = group
    .command("run")
    .description("Create a flow run of a deployment.")
    .argument("[name]", "<flow>/<deployment>, or an id")
    .option("--id <id>", "the deployment with this id")
    .option("-p, --param <key=value>", "a parameter; the value is JSON or text (repeatable)", collect)
    .option("--params <json>", 'parameters as a JSON object; "-" reads them from standard input')
    .option("--job-variable <key=value>", "a job variable; the value is JSON or text (repeatable)", collect)
    .option("--start-in <time>", 'how long from now: "5 minutes", "1h30m"')
    .option("--start-at <time>", 'when: "5:30pm", "tomorrow 9:00", "2026-08-01 17:30"')
    .option("-t, --tag <tag>", "a tag for the run (repeatable)", collect)
    .option("--flow-run-name <name>", "name of the run")
    .option("--watch", "show states and log lines until the run ends; exit 0 only when it COMPLETED")
    .option("--watch-timeout <seconds>", "stop watching after this long", parseSeconds)
    .option("--watch-interval <seconds>", "accepted for Prefect's sake; does nothing");
  addJsonOption(command).action(async (name: string | undefined, raw) => {
    await runDeployment(context, name, Options.parse(raw), wantsJson(raw));
  });
}

async function runDeployment(
  context: CliContext,
  name: string | undefined,
  options: Options,
  json: boolean,
): Promise<void> {
  const nameOrId = name ?? options.id;
  if (nameOrId === undefined || (name !== undefined && options.id !== undefined)) {
    throw new UserError("USAGE", "Name one deployment as <flow>/<deployment>, or give its --id.");
  }
  const now = new Date();
  const startAt = decideStart(options, now);
  const parameters = await readParameters(context, options);
  const client = await context.connect();
  const found = await getDeployment(client, nameOrId);
  checkParameters(found, parameters);

  const { value: run } = await client.deployments.createFlowRun(found.deployment.id, {
    state: { type: "SCHEDULED", state_details: { scheduled_time: timestampFromDate(startAt) } },
    parameters,
    // A repeated request after a lost answer must not make a second run.
    idempotency_key: randomUUID(),
    ...(options.tag.length === 0 ? {} : { tags: options.tag }),
    ...(options.jobVariable.length === 0
      ? {}
      : { job_variables: parseKeyValues(options.jobVariable, "--job-variable") }),
    ...(options.flowRunName === undefined ? {} : { name: options.flowRunName }),
  });

  announceRun(context, found, run, { startAt, now, json, watch: options.watch });
  await warnAboutPool(context, client, found);
  if (options.watch) {
    await finishWatching(context, client, run, { timeoutSeconds: options.watchTimeout, json });
  } else if (json) {
    context.output.json(run);
  } else if (!context.output.stdoutIsTerminal) {
    context.output.line(run.id);
  }
}

function decideStart(options: Options, now: Date): Date {
  if (options.startIn !== undefined && options.startAt !== undefined) {
    throw new UserError("USAGE", "Give --start-in or --start-at, not both.");
  }
  if (options.startIn !== undefined) {
    return parseStartIn(options.startIn, now);
  }
  return options.startAt === undefined ? now : parseStartAt(options.startAt, now);
}

async function readParameters(context: CliContext, options: Options): Promise<Record<string, unknown>> {
  const single = parseKeyValues(options.param, "--param");
  if (options.params === undefined) {
    return single;
  }
  const text = options.params === "-" ? await context.readStandardInput() : options.params;
  const many = parseJsonObject(text, "--params");
  const twice = Object.keys(single).filter((key) => Object.hasOwn(many, key));
  if (twice.length > 0) {
    context.output.warn(`--params and --param both set ${twice.join(", ")}; --param wins.`);
  }
  return { ...many, ...single };
}

const ParameterSchema = z.object({ properties: z.record(z.string(), z.unknown()) });

/** The server may not check; a name that the flow does not have would only fail in the container. */
function checkParameters({ deployment, fullName }: NamedDeployment, parameters: Record<string, unknown>): void {
  const schema = ParameterSchema.safeParse(deployment.parameter_openapi_schema);
  if (!schema.success) {
    return;
  }
  const known = Object.keys(schema.data.properties);
  const unknown = Object.keys(parameters).filter((key) => !known.includes(key));
  const [first] = unknown;
  if (first !== undefined) {
    const names = unknown.map((key) => `"${key}"`).join(", ");
    throw new UserError(
      "INVALID_PARAMETERS",
      `Deployment "${fullName}" has no parameter ${names}.${suggestNearest(first, known)}`,
      { hint: known.length === 0 ? "It takes no parameters." : `Parameters: ${known.join(", ")}.` },
    );
  }
}

interface Announcement {
  startAt: Date;
  now: Date;
  json: boolean;
  watch: boolean;
}

function announceRun(
  { output }: CliContext,
  { fullName }: NamedDeployment,
  run: ReceivedFlowRun,
  { startAt, now, json, watch }: Announcement,
): void {
  const start = startAt.toISOString();
  const when = startAt.getTime() <= now.getTime() ? "now" : `${showRelativeTime(start, now)} (${showLocalTime(start)})`;
  output.success(`Created flow run "${run.name}" of ${fullName}, to start ${when}.`);
  if (!json && !watch) {
    output.say(`Id ${run.id}. Watch it with: flowyard flow-run watch ${run.id}`);
  }
}

/** A run that nobody will take is the commonest first surprise. */
async function warnAboutPool(
  { output }: CliContext,
  client: PrefectClient,
  { deployment }: NamedDeployment,
): Promise<void> {
  const { work_pool_name: poolName } = deployment;
  if (poolName === null || poolName === undefined) {
    output.warn("The deployment has no work pool: no worker will take the run.");
    return;
  }
  const pool = await client.workPools.find(poolName);
  if (pool?.status === "NOT_READY") {
    output.warn(`No worker is online for work pool "${poolName}". Start one: flowyard worker start --pool ${poolName}`);
  } else if (pool?.is_paused === true) {
    output.warn(`Work pool "${poolName}" is paused. Resume it: flowyard work-pool resume ${poolName}`);
  }
}
