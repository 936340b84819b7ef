import type { Command } from "commander";
import { z } from "zod";
import type { SlotHolder } from "../../prefect-api/slots.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import type { Output } from "../output.ts";
import { showRelativeTime, styleOfState } from "../show.ts";
import { getWorkPool, getWorkQueue } from "../work-pools.ts";

/** `work-pool slots`. */
export function addPoolSlotsCommand(group: Command, context: CliContext): void {
  const command = group
    .command("slots")
    .description("Show the runs that hold slots of a work pool, and how many it has.")
    .argument("<name>");
  addJsonOption(command).action(async (name: string, options) => {
    const client = await context.connect();
    const slots = await client.slots.getOfPool((await getWorkPool(client, name)).name);
    if (wantsJson(options)) {
      context.output.json(slots);
      return;
    }
    sayUse(context.output, `work pool "${name}"`, slots);
    printHolders(
      context.output,
      slots.queues.flatMap((queue) => queue.flow_runs.map((run) => ({ ...run, queue: queue.queue_name }))),
    );
    for (const { queue_name, flow_runs, flow_run_count } of slots.queues) {
      if ((flow_run_count ?? 0) > flow_runs.length) {
        context.output.say(`Of queue "${queue_name}" only ${flow_runs.length} of ${flow_run_count} runs are shown.`);
      }
    }
  });
}

/** `work-queue slots`. */
export function addQueueSlotsCommand(command: Command, context: CliContext): void {
  addJsonOption(command).action(async (name: string, raw) => {
    const { pool } = z.object({ pool: z.string().optional() }).parse(raw);
    const client = await context.connect();
    const queue = await getWorkQueue(client, name, pool);
    const slots = await client.slots.getOfQueue(queue.id);
    if (wantsJson(raw)) {
      context.output.json(slots);
      return;
    }
    sayUse(context.output, `work queue "${queue.name}"`, slots);
    printHolders(
      context.output,
      slots.flow_runs.map((run) => ({ ...run, queue: queue.name })),
    );
  });
}

function sayUse(output: Output, what: string, slots: { active_slots: number; concurrency_limit: number | null }): void {
  const limit = slots.concurrency_limit === null ? "without a limit" : `of ${slots.concurrency_limit}`;
  output.say(`Slots in use of ${what}: ${slots.active_slots}, ${limit}.`);
}

function printHolders(output: Output, holders: (SlotHolder & { queue: string })[]): void {
  const now = new Date();
  output.table(holders, [
    { title: "Queue", value: ({ queue }) => queue },
    { title: "Flow run", value: ({ name }) => name },
    { title: "State", value: (run) => run.state_name ?? "", style: (run) => styleOfState(run.state_type) },
    { title: "Since", value: (run) => showRelativeTime(run.state_timestamp, now) },
    { title: "Id", value: ({ id }) => id },
  ]);
}
