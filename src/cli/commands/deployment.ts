import type { Command } from "commander";
import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { getDeployment, listNamedDeployments, type NamedDeployment } from "../deployments.ts";
import { addConfirmOption, addJsonOption, wantsJson } from "../options.ts";
import { showSchedule, styleOfStatus } from "../show.ts";
import { addDeploymentRunCommand } from "./deployment-run.ts";
import { addDeploymentScheduleCommands } from "./deployment-schedule.ts";

export async function addDeploymentCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("deployment")
    .summary("run, list, inspect and schedule deployments")
    .description("Run, list, inspect and schedule deployments.");
  addDeploymentRunCommand(group, context);
  addListCommand(group, context);
  addInspectCommand(group, context);
  addPauseCommands(group, context);
  addDeleteCommand(group, context);
  addDeploymentScheduleCommands(group, context);
}

function addListCommand(group: Command, context: CliContext): void {
  const command = group
    .command("ls")
    .description("List deployments.")
    .argument("[flow...]", "only those of these flows")
    .option("--by-created", "newest first");
  addJsonOption(command).action(async (flowNames: string[], options) => {
    const found = await listNamedDeployments(await context.connect(), flowNames);
    const rows =
      options.byCreated === true
        ? found.toSorted((a, b) => b.deployment.created.localeCompare(a.deployment.created))
        : found;
    if (wantsJson(options)) {
      context.output.json(rows.map(({ deployment, flowName }) => ({ ...deployment, flow_name: flowName })));
      return;
    }
    if (rows.length === 0) {
      context.output.say("There are no such deployments. Make one with `flowyard deploy`.");
    }
    context.output.table(rows, [
      { title: "Deployment", value: ({ fullName }) => fullName },
      { title: "Work pool", value: ({ deployment }) => deployment.work_pool_name ?? "" },
      {
        title: "Status",
        value: ({ deployment }) => (deployment.paused ? "PAUSED" : (deployment.status ?? "")),
        style: ({ deployment }) => styleOfStatus(deployment.paused ? "PAUSED" : deployment.status),
      },
      { title: "Schedules", value: ({ deployment }) => deployment.schedules.map(showSchedule).join("; ") },
      { title: "Id", value: ({ deployment }) => deployment.id },
    ]);
  });
}

function addInspectCommand(group: Command, context: CliContext): void {
  const command = group
    .command("inspect")
    .description("Show everything about a deployment.")
    .argument("<name>", "<flow>/<deployment>, or an id");
  addJsonOption(command).action(async (name: string, options) => {
    const client = await context.connect();
    const { deployment, flowName } = await getDeployment(client, name);
    const automations = await client.automations.listRelatedTo(`prefect.deployment.${deployment.id}`);
    const everything = { ...deployment, flow_name: flowName, automations };
    if (wantsJson(options)) {
      context.output.json(everything);
    } else {
      context.output.fields(everything);
    }
  });
}

function addPauseCommands(group: Command, context: CliContext): void {
  const add = (verb: "pause" | "resume", done: string, description: string) =>
    group
      .command(verb)
      .description(description)
      .argument("<name>", "<flow>/<deployment>, or an id")
      .action(async (name: string) => {
        const client = await context.connect();
        const { deployment, fullName } = await getDeployment(client, name);
        await client.deployments[verb](deployment.id);
        context.output.success(`${done} deployment "${fullName}".`);
      });
  add("pause", "Paused", "Stop the schedules of a deployment; runs asked for by hand still run.");
  add("resume", "Resumed", "Let the schedules of a paused deployment make runs again.");
}

const DeleteOptions = z.object({ id: z.string().optional(), all: z.boolean().default(false) });

function addDeleteCommand(group: Command, context: CliContext): void {
  const command = group
    .command("delete")
    .description("Delete a deployment with its runs that wait; the others stay.")
    .argument("[name]", "<flow>/<deployment>, or an id")
    .option("--id <id>", "the deployment with this id")
    .option("--all", "every deployment");
  addConfirmOption(command).action(async (name: string | undefined, raw) => {
    const { id, all } = DeleteOptions.parse(raw);
    const given = [name, id, all || undefined].filter((value) => value !== undefined);
    if (given.length !== 1) {
      throw new UserError("USAGE", "Name one deployment, or give --id, or --all.");
    }
    const client = await context.connect();
    const doomed: NamedDeployment[] = all
      ? await listNamedDeployments(client)
      : [await getDeployment(client, name ?? id ?? "")];
    const what = doomed.length === 1 ? `deployment "${doomed[0]?.fullName}"` : `all ${doomed.length} deployments`;
    if (doomed.length === 0) {
      context.output.say("There are no deployments.");
      return;
    }
    await confirmLoss(context, raw, `Delete ${what}?`);
    for (const { deployment, fullName } of doomed) {
      await client.deployments.delete(deployment.id);
      context.output.success(`Deleted deployment "${fullName}".`);
    }
  });
}
