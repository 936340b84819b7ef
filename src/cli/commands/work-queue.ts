import type { Command } from "commander";
import { z } from "zod";
import { addSeconds, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { addConfirmOption, addJsonOption, parseWholeNumber, wantsJson } from "../options.ts";
import { printPreview, showRelativeTime, styleOfStatus } from "../show.ts";
import { getWorkPool, getWorkQueue } from "../work-pools.ts";
import { printFlowRuns } from "./flow-run-table.ts";
import { addQueueSlotsCommand } from "./slots.ts";

const PoolOption = z.object({ pool: z.string().optional() });

export async function addWorkQueueCommands(program: Command, context: CliContext): Promise<void> {
  const group = program.command("work-queue").summary("manage work queues").description("Manage work queues.");
  addCreateCommand(group, context);
  addListCommand(group, context);
  addInspectCommand(group, context);
  addChangeCommands(group, context);
  addDeleteCommand(group, context);
  addPreviewCommand(group, context);
  addReadRunsCommand(group, context);
  addQueueSlotsCommand(addQueueVerb(group, "slots", "Show the runs that hold slots of a work queue."), context);
}

/** A verb on one queue: name or id, and the pool when the name is not unique. */
function addQueueVerb(group: Command, verb: string, description: string): Command {
  return group
    .command(verb)
    .description(description)
    .argument("<name>", "name or id")
    .option("-p, --pool <name>", "the work pool of the queue");
}

const CreateOptions = z.object({
  pool: z.string().optional(),
  limit: z.number().optional(),
  priority: z.number().optional(),
});

function addCreateCommand(group: Command, context: CliContext): void {
  group
    .command("create")
    .description("Create a work queue.")
    .argument("<name>")
    .option("-p, --pool <name>", "the work pool to create it in (default: the agent pool, as in Prefect)")
    .option("-l, --limit <n>", "runs at the same time", parseWholeNumber(0))
    .option("-q, --priority <n>", "1 goes first", parseWholeNumber(1))
    .action(async (name: string, raw) => {
      const { pool, limit, priority } = CreateOptions.parse(raw);
      const client = await context.connect();
      const body = {
        name,
        ...(limit === undefined ? {} : { concurrency_limit: limit }),
        ...(priority === undefined ? {} : { priority }),
      };
      if (pool === undefined) {
        await client.workQueues.create(body);
        context.output.success(`Created work queue "${name}".`);
        return;
      }
      await getWorkPool(client, pool);
      if ((await client.workQueues.findInPool(pool, name)) !== undefined) {
        throw new UserError("ALREADY_EXISTS", `Work pool "${pool}" already has a work queue "${name}".`);
      }
      const queue = await client.workQueues.createInPool(pool, body);
      context.output.success(`Created work queue "${name}" in pool "${pool}" with priority ${queue.priority}.`);
    });
}

const ListOptions = z.object({
  pool: z.string().optional(),
  match: z.string().optional(),
  verbose: z.boolean().default(false),
});

function addListCommand(group: Command, context: CliContext): void {
  const command = group
    .command("ls")
    .description("List work queues.")
    .option("-p, --pool <name>", "only those of this work pool")
    .option("-m, --match <prefix>", "only names that start with this")
    .option("-v, --verbose", "show more columns");
  addJsonOption(command).action(async (raw) => {
    const { pool, match, verbose } = ListOptions.parse(raw);
    const client = await context.connect();
    const filter = match === undefined ? undefined : { name: { startswith_: [match] } };
    const queues =
      pool === undefined
        ? await client.workQueues.list(filter)
        : await client.workQueues.listOfPool((await getWorkPool(client, pool)).name, filter);
    if (wantsJson(raw)) {
      context.output.json(queues);
      return;
    }
    if (queues.length === 0) {
      context.output.say("There are no such work queues.");
    }
    const now = new Date();
    type Queue = (typeof queues)[number];
    context.output.table(queues, [
      { title: "Work queue", value: (queue) => queue.name },
      { title: "Pool", value: (queue) => queue.work_pool_name ?? pool ?? "" },
      { title: "Priority", value: (queue) => String(queue.priority) },
      { title: "Status", value: (queue) => queue.status ?? "", style: (queue) => styleOfStatus(queue.status) },
      { title: "Concurrency limit", value: (queue) => String(queue.concurrency_limit ?? "none") },
      { title: "Id", value: (queue) => queue.id },
      ...(verbose
        ? [
            { title: "Last polled", value: (queue: Queue) => showRelativeTime(queue.last_polled, now) },
            { title: "Description", value: (queue: Queue) => queue.description ?? "" },
          ]
        : []),
    ]);
  });
}

function addInspectCommand(group: Command, context: CliContext): void {
  addJsonOption(
    addQueueVerb(group, "inspect", "Show everything about a work queue, and whether it is healthy."),
  ).action(async (name: string, raw) => {
    const client = await context.connect();
    const found = await getWorkQueue(client, name, PoolOption.parse(raw).pool);
    const queue = await client.workQueues.get(found.id);
    const status_details = await client.workQueues.getStatus(found.id);
    const everything = { ...queue, status_details };
    if (wantsJson(raw)) {
      context.output.json(everything);
    } else {
      context.output.fields(everything);
    }
  });
}

function addChangeCommands(group: Command, context: CliContext): void {
  const change = async (
    name: string,
    raw: unknown,
    body: { is_paused?: boolean; concurrency_limit?: number | null },
    done: string,
  ) => {
    const client = await context.connect();
    const queue = await getWorkQueue(client, name, PoolOption.parse(raw).pool);
    await client.workQueues.update(queue.id, body);
    context.output.success(`${done} work queue "${queue.name}".`);
  };
  addQueueVerb(group, "pause", "Stop handing out runs of a work queue.").action((name: string, raw) =>
    change(name, raw, { is_paused: true }, "Paused"),
  );
  addQueueVerb(group, "resume", "Hand out runs of a paused work queue again.").action((name: string, raw) =>
    change(name, raw, { is_paused: false }, "Resumed"),
  );
  addQueueVerb(group, "set-concurrency-limit", "Limit how many runs of a work queue run at the same time.")
    .argument("<limit>", "runs at the same time", parseWholeNumber(0))
    .action((name: string, limit: number, raw) =>
      change(name, raw, { concurrency_limit: limit }, `Set the concurrency limit to ${limit} for`),
    );
  addQueueVerb(group, "clear-concurrency-limit", "Remove the concurrency limit of a work queue.").action(
    (name: string, raw) => change(name, raw, { concurrency_limit: null }, "Removed the concurrency limit of"),
  );
}

function addDeleteCommand(group: Command, context: CliContext): void {
  addConfirmOption(addQueueVerb(group, "delete", "Delete a work queue.")).action(async (name: string, raw) => {
    const client = await context.connect();
    const queue = await getWorkQueue(client, name, PoolOption.parse(raw).pool);
    await confirmLoss(context, raw, `Delete work queue "${queue.name}"?`);
    await client.workQueues.delete(queue.id);
    context.output.success(`Deleted work queue "${queue.name}".`);
  });
}

function addPreviewCommand(group: Command, context: CliContext): void {
  const command = addQueueVerb(group, "preview", "Show the runs that a work queue would hand out.").option(
    "--hours <n>",
    "hours to look ahead (-h in Prefect)",
    parseWholeNumber(0),
    1,
  );
  addJsonOption(command).action(async (name: string, raw) => {
    const { hours } = z.object({ hours: z.number() }).parse(raw);
    const client = await context.connect();
    const found = await getWorkQueue(client, name, PoolOption.parse(raw).pool);
    const { work_pool_name, id } = await client.workQueues.get(found.id);
    const now = new Date();
    const scheduled_before = addSeconds(timestampFromDate(now), hours * 3600);
    if (work_pool_name === null || work_pool_name === undefined) {
      const runs = await client.workQueues.getRuns(id, { scheduled_before });
      printFlowRuns(context.output, runs, new Map(), now);
      return;
    }
    const runs = await client.workPools.getScheduledFlowRuns(work_pool_name, {
      work_queue_names: [found.name],
      scheduled_before,
    });
    if (wantsJson(raw)) {
      context.output.json(runs);
      return;
    }
    if (runs.length === 0) {
      context.output.say(`Work queue "${found.name}" has nothing scheduled in the next ${hours} h.`);
    }
    printPreview(context.output, runs, now);
  });
}

function addReadRunsCommand(group: Command, context: CliContext): void {
  const description = "List the runs of a work queue that are due. The queue counts as polled by it.";
  addJsonOption(addQueueVerb(group, "read-runs", description)).action(async (name: string, raw) => {
    const client = await context.connect();
    const queue = await getWorkQueue(client, name, PoolOption.parse(raw).pool);
    const now = new Date();
    const runs = await client.workQueues.getRuns(queue.id, { limit: 10, scheduled_before: timestampFromDate(now) });
    if (wantsJson(raw)) {
      context.output.json(runs);
      return;
    }
    context.output.say(`Read ${runs.length} runs of work queue "${queue.name}".`);
    printFlowRuns(context.output, runs, new Map(), now);
  });
}
