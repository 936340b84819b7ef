import type { Command } from "commander";
import { z } from "zod";
import type { PrefectClient } from "../../client/prefect-client.ts";
import type { PoolWorker, PoolWorkerDetails } from "../../flowyard-api/workers.ts";
import { sleep } from "../../shared/abort.ts";
import { TransientError, UserError } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { buildUnknownName } from "../names.ts";
import { addJsonOption, parseSeconds, wantsJson } from "../options.ts";
import type { Style } from "../output.ts";
import { requireFeature } from "../require-feature.ts";
import { showRelativeTime, styleOfState } from "../show.ts";
import { getWorkPool } from "../work-pools.ts";

const WAIT_LOOK_MS = 500;
const WORKER_ARGUMENT = "<pool/name>";
const WORKER_HELP = "work pool and name of the worker, as `worker ls` shows them";

/** What can be asked of workers that run elsewhere. */
export function addWorkerControlCommands(group: Command, context: CliContext): void {
  addListCommand(group, context);
  addInspectCommand(group, context);
  addDrainCommand(group, context);
}

function addListCommand(group: Command, context: CliContext): void {
  const command = group
    .command("ls")
    .description("List the workers of a work pool, or of all, with what each has in hand.")
    .option("-p, --pool <name>", "only of this work pool");
  addJsonOption(command).action(async (raw) => {
    const { pool } = z.object({ pool: z.string().optional() }).parse(raw);
    const client = await context.connect();
    await requireWorkers(client);
    const pools = pool === undefined ? await client.workPools.list() : [await getWorkPool(client, pool)];
    const lists = await Promise.all(
      pools.map(async ({ name }) =>
        (await client.poolWorkers.list(name)).map((worker) => ({ work_pool_name: name, ...worker })),
      ),
    );
    const workers = lists.flat();
    if (wantsJson(raw)) {
      context.output.json(workers);
      return;
    }
    if (workers.length === 0) {
      context.output.say("There are no workers. Start one with `flowyard worker start --pool NAME`.");
    }
    const now = new Date();
    context.output.table(workers, [
      { title: "Worker", value: ({ work_pool_name, name }) => `${work_pool_name}/${name}` },
      { title: "Status", value: ({ status }) => status, style: ({ status }) => styleOfWorker(status) },
      { title: "Runs", value: showRuns },
      { title: "Last heard of", value: (worker) => showRelativeTime(worker.last_heartbeat_time, now) },
    ]);
  });
}

function addInspectCommand(group: Command, context: CliContext): void {
  const command = group
    .command("inspect")
    .description("Show one worker and the runs that it has in hand.")
    .argument(WORKER_ARGUMENT, WORKER_HELP);
  addJsonOption(command).action(async (text: string, options) => {
    const client = await context.connect();
    const worker = await getWorker(client, parseWorkerName(text));
    if (wantsJson(options)) {
      context.output.json(worker);
      return;
    }
    const { runs, ...fields } = worker;
    context.output.fields(fields);
    printRuns(context, runs);
  });
}

const DrainOptions = z.object({
  undo: z.boolean().default(false),
  wait: z.boolean().default(false),
  timeout: z.number().optional(),
});

function addDrainCommand(group: Command, context: CliContext): void {
  const command = group
    .command("drain")
    .description("Let a worker take no more runs; those that it has go on. It stays so until --undo.")
    .argument(WORKER_ARGUMENT, WORKER_HELP)
    .option("--undo", "let it take runs again")
    .option("--wait", "return when it has none in hand any more")
    .option("--timeout <seconds>", "with --wait: fail after this long", parseSeconds);
  addJsonOption(command).action(async (text: string, raw) => {
    const { undo, wait, timeout } = DrainOptions.parse(raw);
    const client = await context.connect();
    const { pool, name } = parseWorkerName(text);
    await getWorker(client, { pool, name });
    const drained = await client.poolWorkers.drain(pool, name, !undo);
    const worker = wait && !undo ? await waitUntilIdle(context, client, { pool, name }, timeout) : drained;
    if (wantsJson(raw)) {
      context.output.json(worker);
      return;
    }
    context.output.success(
      undo
        ? `Worker "${name}" takes runs again.`
        : `Worker "${name}" takes no more runs; it has ${worker.runs_in_hand} in hand.`,
    );
  });
}

/** Throws TransientError WATCH_TIMEOUT when the time is up. */
async function waitUntilIdle(
  context: CliContext,
  client: PrefectClient,
  worker: { pool: string; name: string },
  timeoutSeconds: number | undefined,
): Promise<PoolWorkerDetails> {
  const endAt = timeoutSeconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutSeconds * 1000;
  for (;;) {
    const now = await getWorker(client, worker);
    if (now.runs_in_hand === 0 || context.signal.aborted) {
      return now;
    }
    if (performance.now() > endAt) {
      throw new TransientError("WATCH_TIMEOUT", `Worker "${worker.name}" still has ${now.runs_in_hand} runs in hand.`);
    }
    await sleep(WAIT_LOOK_MS, context.signal);
  }
}

function parseWorkerName(text: string): { pool: string; name: string } {
  const [, pool, name] = /^([^/]+)\/(.+)$/.exec(text) ?? [];
  if (pool === undefined || name === undefined) {
    throw new UserError("USAGE", `"${text}" names no worker: write POOL/NAME.`, {
      hint: "`flowyard worker ls` lists them in this way.",
    });
  }
  return { pool, name };
}

async function getWorker(
  client: PrefectClient,
  { pool, name }: { pool: string; name: string },
): Promise<PoolWorkerDetails> {
  await requireWorkers(client);
  await getWorkPool(client, pool);
  const worker = await client.poolWorkers.find(pool, name);
  if (worker === undefined) {
    const known = (await client.poolWorkers.list(pool)).map((other) => other.name);
    throw buildUnknownName(`worker in pool "${pool}" named`, name, known, "The pool has none.");
  }
  return worker;
}

function requireWorkers(client: PrefectClient): Promise<void> {
  return requireFeature(client, "workers", "does not tell what workers do");
}

function showRuns({ takes_claims, runs_in_hand }: PoolWorker): string {
  return takes_claims ? String(runs_in_hand) : "not known";
}

function styleOfWorker(status: PoolWorker["status"]): Style {
  switch (status) {
    case "ONLINE":
      return "green";
    case "DRAINING":
      return "yellow";
    case "OFFLINE":
      return "red";
  }
}

function printRuns({ output }: CliContext, runs: PoolWorkerDetails["runs"]): void {
  if (runs.length === 0) {
    output.say("It has no runs in hand that the plane knows of.");
    return;
  }
  const now = new Date();
  output.table(runs, [
    { title: "Flow run", value: ({ flow_run_name }) => flow_run_name },
    { title: "State", value: (run) => run.state_name ?? "", style: ({ state_type }) => styleOfState(state_type) },
    { title: "Claimed", value: ({ claimed_at }) => showRelativeTime(claimed_at, now) },
    { title: "Started", value: ({ started }) => (started ? "yes" : "not yet") },
    { title: "Id", value: ({ flow_run_id }) => flow_run_id },
  ]);
}
