import { hostname } from "node:os";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import type { CliContext } from "../context.ts";
import { collect, parseWholeNumber } from "../options.ts";
import { addWorkerControlCommands } from "./worker-control.ts";

const Options = z.object({
  pool: z.string().optional(),
  name: z.string().optional(),
  type: z.string().optional(),
  workQueue: z.array(z.string()).optional(),
  prefetchSeconds: z.number().optional(),
  runOnce: z.boolean().optional(),
  limit: z.number().optional(),
  baseJobTemplate: z.string().optional(),
  createPoolIfNotFound: z.boolean().optional(),
  withHealthcheck: z.boolean().optional(),
  onStop: z.enum(["finish", "leave", "cancel"]).optional(),
});

export async function addWorkerCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("worker")
    .summary("start, list and drain workers")
    .description("Start a worker; list, inspect and drain those that run.");
  addWorkerControlCommands(group, context);
  group
    .command("start")
    .description("Take the runs of a work pool and run them here; Ctrl-C waits for those in flight.")
    .option("-p, --pool <name>", "work pool (default: PREFECT_DEFAULT_WORK_POOL_NAME)")
    .option("-n, --name <name>", `name of the worker (default: one made of ${hostname()} and the process id)`)
    .option("-q, --work-queue <name>", "only this queue of the pool (repeatable)", collect)
    .option("-t, --type <type>", "docker or process (default: the pool's)")
    .option("-l, --limit <n>", "runs at the same time (default: no limit)", parseWholeNumber(1))
    .option("--prefetch-seconds <n>", "take runs that are due within this time already", parseWholeNumber(0))
    .option("--run-once", "take what is due now, wait for it to end, and stop")
    .option("--base-job-template <file>", "JSON file for a pool that is created")
    .option("--create-pool-if-not-found", "create the work pool when it does not exist (the default)")
    .option("--no-create-pool-if-not-found", "fail when the work pool does not exist")
    .addOption(
      new Option(
        "--on-stop <what>",
        "when told to stop, runs in flight are waited for, left to be adopted by the next worker, or cancelled",
      )
        .choices(["finish", "leave", "cancel"])
        .default("finish"),
    )
    .option("--with-healthcheck", "answer GET /health and GET /metrics (PREFECT_WORKER_WEBSERVER_HOST, …_PORT)")
    .addOption(
      new Option("--install-policy <policy>", "accepted for Prefect's sake: nothing has to be installed").choices([
        "always",
        "if-not-present",
        "never",
        "prompt",
      ]),
    )
    .action((raw) => startWorkerProcess(context, Options.parse(raw)));
}

async function startWorkerProcess(context: CliContext, options: z.infer<typeof Options>): Promise<void> {
  const pool = options.pool ?? context.config.PREFECT_DEFAULT_WORK_POOL_NAME;
  if (pool === undefined) {
    throw new UserError("USAGE", "A worker needs a work pool, and --pool is missing.", {
      hint: "List them with `flowyard work-pool ls`; a name that does not exist yet is created.",
    });
  }
  const { loadWorkerSettings } = await import("../../../worker/config.ts");
  const { startWorker } = await import("../../../worker/start-worker.ts");
  const { PREFECT_API_URL } = context.config;
  const settings = loadWorkerSettings(
    {
      pool,
      name: options.name,
      type: options.type,
      queues: options.workQueue,
      limit: options.limit,
      prefetchSeconds: options.prefetchSeconds,
      runOnce: options.runOnce,
      createPoolIfNotFound: options.createPoolIfNotFound,
      onStop: options.onStop,
      withHealthcheck: options.withHealthcheck,
      baseJobTemplateFile:
        options.baseJobTemplate === undefined ? undefined : resolve(context.workingDirectory, options.baseJobTemplate),
    },
    { ...context.sources.environment, PREFECT_API_URL },
  );
  const sayHowToEnd = () =>
    context.output.say("Stopping once the runs in flight have ended; Ctrl-C again ends it now.");
  context.signal.addEventListener("abort", sayHowToEnd, { once: true });
  await startWorker(settings, context.signal);
}
