import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { addJsonOption, parseWholeNumber, wantsJson } from "../options.ts";
import { showRelativeTime } from "../show.ts";

const DEFAULT_FLOWS = 50;

export async function addFlowCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("flow")
    .summary("list flows and read them from source")
    .description("List flows, and read them from their source.");
  addListCommand(group, context);
  addInspectCommand(group, context);
}

function addInspectCommand(group: Command, context: CliContext): void {
  const command = group
    .command("inspect")
    .description("Show what a deploy reads of a flow: name, description, parameters. No Python is run.")
    .argument("<entrypoint>", "path/to/file.py:function, or module.path.function");
  addJsonOption(command).action(async (entrypoint: string, options) => {
    const { inspectFlow } = await import("../../project/python/inspect-flow.ts");
    const { notices, ...flow } = await inspectFlow({ root: context.workingDirectory, entrypoint });
    for (const { message, location } of notices) {
      context.output.warn(`${location.file}:${location.line}:${location.column}: ${message}`);
    }
    if (wantsJson(options)) {
      context.output.json(flow);
    } else {
      context.output.fields(flow);
    }
  });
}

function addListCommand(group: Command, context: CliContext): void {
  const command = group
    .command("ls")
    .description("List the flows that the control plane knows.")
    .option("--limit <n>", "at most so many", parseWholeNumber(1), DEFAULT_FLOWS);
  addJsonOption(command).action(async (options) => {
    const client = await context.connect();
    const flows = await client.flows.list({ sort: "CREATED_DESC" }, { limit: options.limit });
    if (wantsJson(options)) {
      context.output.json(flows);
      return;
    }
    if (flows.length === 0) {
      context.output.say("There are no flows. Register one with `flowyard deploy`.");
    }
    const now = new Date();
    context.output.table(flows, [
      { title: "Flow", value: (flow) => flow.name },
      { title: "Id", value: (flow) => flow.id },
      { title: "Created", value: (flow) => showRelativeTime(flow.created, now) },
    ]);
  });
}
