import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { WorkPool } from "../../prefect-api/work-pools.ts";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { loadJsonFile } from "../files.ts";
import { addConfirmOption, addJsonOption, parseWholeNumber, wantsJson } from "../options.ts";
import { printPreview, showRelativeTime, styleOfStatus } from "../show.ts";
import { getWorkerType, getWorkPool } from "../work-pools.ts";
import { addPoolSlotsCommand } from "./slots.ts";
import { addWorkPoolCreateCommand } from "./work-pool-create.ts";
import { addStorageCommands } from "./work-pool-storage.ts";

export async function addWorkPoolCommands(program: Command, context: CliContext): Promise<void> {
  const group = program.command("work-pool").summary("manage work pools").description("Manage work pools.");
  addWorkPoolCreateCommand(group, context);
  addListCommand(group, context);
  addInspectCommand(group, context);
  addUpdateCommand(group, context);
  addPauseCommands(group, context);
  addConcurrencyCommands(group, context);
  addDeleteCommand(group, context);
  addPreviewCommand(group, context);
  addTemplateCommand(group, context);
  addPoolSlotsCommand(group, context);
  addStorageCommands(group, context);
}

function addListCommand(group: Command, context: CliContext): void {
  const command = group.command("ls").description("List work pools.").option("-v, --verbose", "show more columns");
  addJsonOption(command).action(async (options) => {
    const client = await context.connect();
    const pools = (await client.workPools.list()).toSorted((a, b) => a.name.localeCompare(b.name));
    if (wantsJson(options)) {
      context.output.json(pools);
      return;
    }
    if (pools.length === 0) {
      context.output.say("There are no work pools. Make one with `flowyard work-pool create --type docker NAME`.");
    }
    const now = new Date();
    context.output.table(pools, [
      { title: "Work pool", value: (pool) => pool.name },
      { title: "Type", value: (pool) => pool.type },
      { title: "Status", value: (pool) => pool.status ?? "", style: (pool) => styleOfStatus(pool.status) },
      { title: "Id", value: (pool) => pool.id },
      { title: "Concurrency limit", value: (pool) => String(pool.concurrency_limit ?? "none") },
      ...(options.verbose === true
        ? [
            { title: "Created", value: (pool: WorkPool) => showRelativeTime(pool.created, now) },
            { title: "Description", value: (pool: WorkPool) => pool.description ?? "" },
          ]
        : []),
    ]);
  });
}

function addInspectCommand(group: Command, context: CliContext): void {
  const command = group.command("inspect").description("Show everything about a work pool.").argument("<name>");
  addJsonOption(command).action(async (name: string, options) => {
    const pool = await getWorkPool(await context.connect(), name);
    if (wantsJson(options)) {
      context.output.json(pool);
    } else {
      context.output.fields(pool);
    }
  });
}

const UpdateOptions = z.object({
  baseJobTemplate: z.string().optional(),
  concurrencyLimit: z.number().optional(),
  description: z.string().optional(),
});

function addUpdateCommand(group: Command, context: CliContext): void {
  group
    .command("update")
    .description("Change a work pool; what is not named stays as it is.")
    .argument("<name>")
    .option("--base-job-template <file>", "JSON file with the base job template")
    .option("--concurrency-limit <n>", "runs at the same time", parseWholeNumber(0))
    .option("--description <text>")
    .action(async (name: string, raw) => {
      const options = UpdateOptions.parse(raw);
      const template =
        options.baseJobTemplate === undefined
          ? undefined
          : await loadJsonFile(context, options.baseJobTemplate, "--base-job-template");
      const client = await context.connect();
      const pool = await getWorkPool(client, name);
      await client.workPools.update(pool.name, {
        ...(template === undefined ? {} : { base_job_template: template }),
        ...(options.concurrencyLimit === undefined ? {} : { concurrency_limit: options.concurrencyLimit }),
        ...(options.description === undefined ? {} : { description: options.description }),
      });
      context.output.success(`Updated work pool "${pool.name}".`);
    });
}

function addPauseCommands(group: Command, context: CliContext): void {
  const add = (verb: "pause" | "resume", isPaused: boolean, description: string) =>
    group
      .command(verb)
      .description(description)
      .argument("<name>")
      .action(async (name: string) => {
        const client = await context.connect();
        const pool = await getWorkPool(client, name);
        await client.workPools.update(pool.name, { is_paused: isPaused });
        context.output.success(`${isPaused ? "Paused" : "Resumed"} work pool "${pool.name}".`);
      });
  add("pause", true, "Stop handing out runs of a work pool.");
  add("resume", false, "Hand out runs of a paused work pool again.");
}

function addConcurrencyCommands(group: Command, context: CliContext): void {
  const setLimit = async (name: string, limit: number | null) => {
    const client = await context.connect();
    const pool = await getWorkPool(client, name);
    await client.workPools.update(pool.name, { concurrency_limit: limit });
    const done = limit === null ? "Removed the concurrency limit" : `Set the concurrency limit to ${limit}`;
    context.output.success(`${done} for work pool "${pool.name}".`);
  };
  group
    .command("set-concurrency-limit")
    .description("Limit how many runs of a work pool run at the same time.")
    .argument("<name>")
    .argument("<limit>", "runs at the same time", parseWholeNumber(0))
    .action((name: string, limit: number) => setLimit(name, limit));
  group
    .command("clear-concurrency-limit")
    .description("Remove the concurrency limit of a work pool.")
    .argument("<name>")
    .action((name: string) => setLimit(name, null));
}

function addDeleteCommand(group: Command, context: CliContext): void {
  const command = group
    .command("delete")
    .description("Delete a work pool with its queues; its deployments stay, without a pool.")
    .argument("<name>");
  addConfirmOption(command).action(async (name: string, options) => {
    const client = await context.connect();
    const pool = await getWorkPool(client, name);
    await confirmLoss(context, options, `Delete work pool "${pool.name}" and its queues?`);
    await client.workPools.delete(pool.name);
    context.output.success(`Deleted work pool "${pool.name}".`);
  });
}

function addPreviewCommand(group: Command, context: CliContext): void {
  const command = group
    .command("preview")
    .description("Show the runs that a work pool would hand out.")
    .argument("[name]", "work pool (default: PREFECT_DEFAULT_WORK_POOL_NAME)")
    .option("--hours <n>", "hours to look ahead (-h in Prefect)", parseWholeNumber(0), 1);
  addJsonOption(command).action(async (given: string | undefined, options) => {
    const client = await context.connect();
    const name = given ?? context.config.PREFECT_DEFAULT_WORK_POOL_NAME;
    if (name === undefined) {
      throw new UserError("USAGE", "The name of a work pool is missing, and no default pool is set.");
    }
    const pool = await getWorkPool(client, name);
    const now = new Date();
    const { hours } = z.object({ hours: z.number() }).parse(options);
    const runs = await client.workPools.getScheduledFlowRuns(pool.name, {
      scheduled_before: addSeconds(timestampFromDate(now), hours * 3600),
    });
    if (wantsJson(options)) {
      context.output.json(runs);
      return;
    }
    if (runs.length === 0) {
      context.output.say(`Work pool "${pool.name}" has nothing scheduled in the next ${hours} h.`);
    }
    printPreview(context.output, runs, now);
  });
}

function addTemplateCommand(group: Command, context: CliContext): void {
  group
    .command("get-default-base-job-template")
    .description("Print the base job template that a work pool type starts with.")
    .requiredOption("-t, --type <type>", "work pool type")
    .option("-f, --file <file>", "write it to this file instead")
    .action(async (raw) => {
      const options = z.object({ type: z.string(), file: z.string().optional() }).parse(raw);
      const { default_base_job_configuration: template } = await getWorkerType(await context.connect(), options.type);
      if (options.file === undefined) {
        context.output.json(template);
        return;
      }
      await writeFile(resolve(context.workingDirectory, options.file), `${JSON.stringify(template, null, 2)}\n`);
      context.output.success(`Wrote the template to ${options.file}.`);
    });
}
