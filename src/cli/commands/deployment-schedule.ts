import type { Command } from "commander";
import { z } from "zod";
import type { PrefectClient } from "../../client/prefect-client.ts";
import { CreateDeploymentSchedule, type DeploymentSchedule } from "../../prefect-api/schedules.ts";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { getDeployment } from "../deployments.ts";
import { addConfirmOption, addJsonOption, parseSeconds, wantsJson } from "../options.ts";
import { showSchedule } from "../show.ts";

export function addDeploymentScheduleCommands(parent: Command, context: CliContext): void {
  const group = parent
    .command("schedule")
    .summary("manage the schedules of a deployment")
    .description("Manage the schedules of a deployment.");
  addCreateCommand(group, context);
  addListCommand(group, context);
  addPauseCommands(group, context);
  addDeleteCommand(group, context);
  addClearCommand(group, context);
}

const NAME_HELP = "<flow>/<deployment>, or an id";
const CreateOptions = z.object({
  cron: z.string().optional(),
  interval: z.number().optional(),
  rrule: z.string().optional(),
  anchorDate: z.string().optional(),
  timezone: z.string().optional(),
  day_or: z.boolean().default(true),
  active: z.boolean().default(true),
  replace: z.boolean().default(false),
});

function addCreateCommand(group: Command, context: CliContext): void {
  const command = group
    .command("create")
    .description("Add a schedule to a deployment.")
    .argument("<name>", NAME_HELP)
    .option("--cron <text>", 'such as "0 9 * * *"')
    .option("--interval <seconds>", "every so many seconds", parseSeconds)
    .option("--rrule <text>", "an iCalendar rule")
    .option("--anchor-date <date>", "where an interval starts counting")
    .option("--timezone <name>", "such as Europe/Berlin")
    .option("--no-day_or", "cron: day of month and day of week must both match")
    .option("--no-active", "add it paused")
    .option("--active", "add it active (the default)")
    .option("--replace", "remove the schedules that are there");
  addConfirmOption(command).action(async (name: string, raw) => {
    const schedule = buildSchedule(CreateOptions.parse(raw));
    const client = await context.connect();
    const { deployment, fullName } = await getDeployment(client, name);
    const replaced = raw.replace === true ? deployment.schedules : [];
    if (replaced.length > 0) {
      await confirmLoss(context, raw, `Replace the ${countSchedules(replaced)} of "${fullName}"?`);
    }
    const [created] = await client.deployments.createSchedules(deployment.id, [schedule]);
    if (created === undefined) {
      throw new UserError("PLANE_ANSWER_INVALID", "The control plane answered with no schedule.");
    }
    // Last, so that a refused schedule leaves the old ones.
    await deleteSchedules(client, deployment.id, replaced);
    context.output.success(`Created schedule ${created.id} for "${fullName}": ${showSchedule(created)}.`);
  });
}

function buildSchedule(options: z.infer<typeof CreateOptions>): z.input<typeof CreateDeploymentSchedule> {
  const kinds = [options.cron, options.interval, options.rrule].filter((value) => value !== undefined);
  if (kinds.length !== 1) {
    throw new UserError("USAGE", "A schedule needs exactly one of --cron, --interval and --rrule.");
  }
  const timezone = options.timezone === undefined ? {} : { timezone: options.timezone };
  const spec =
    options.cron !== undefined
      ? { cron: options.cron, day_or: options.day_or, ...timezone }
      : options.interval !== undefined
        ? {
            interval: options.interval,
            ...(options.anchorDate === undefined ? {} : { anchor_date: options.anchorDate }),
            ...timezone,
          }
        : { rrule: options.rrule, ...timezone };
  const parsed = CreateDeploymentSchedule.safeParse({ schedule: spec, active: options.active });
  if (!parsed.success) {
    throw new UserError("INVALID_SCHEDULE", `The schedule is not valid: ${describeIssues(parsed.error)}.`);
  }
  return parsed.data;
}

/** A union reports each of its branches; the branch of the kind that was asked for is the one that says something. */
function describeIssues(error: z.ZodError): string {
  const issues = error.issues.flatMap((issue) =>
    issue.code === "invalid_union"
      ? issue.errors
          .toSorted((a, b) => a.length - b.length)
          .slice(0, 1)
          .flat()
      : [issue],
  );
  return issues.map(({ message }) => message).join("; ");
}

function countSchedules(schedules: readonly unknown[]): string {
  return schedules.length === 1 ? "one schedule" : `${schedules.length} schedules`;
}

async function deleteSchedules(client: PrefectClient, deploymentId: string, schedules: DeploymentSchedule[]) {
  for (const { id } of schedules) {
    await client.deployments.deleteSchedule(deploymentId, id);
  }
}

function addListCommand(group: Command, context: CliContext): void {
  const command = group.command("ls").description("List the schedules of a deployment.").argument("<name>", NAME_HELP);
  addJsonOption(command).action(async (name: string, options) => {
    const { deployment, fullName } = await getDeployment(await context.connect(), name);
    if (wantsJson(options)) {
      context.output.json(deployment.schedules);
      return;
    }
    if (deployment.schedules.length === 0) {
      context.output.say(`Deployment "${fullName}" has no schedules.`);
    }
    context.output.table(deployment.schedules, [
      { title: "Schedule id", value: ({ id }) => id },
      { title: "Schedule", value: showSchedule },
      { title: "Active", value: ({ active }) => (active ? "yes" : "no") },
      { title: "Slug", value: ({ slug }) => slug ?? "" },
    ]);
  });
}

function getSchedule(schedules: DeploymentSchedule[], idOrSlug: string, fullName: string): DeploymentSchedule {
  const found = schedules.find(({ id, slug }) => id === idOrSlug.toLowerCase() || slug === idOrSlug);
  if (found === undefined) {
    throw new UserError("NOT_FOUND", `Deployment "${fullName}" has no schedule "${idOrSlug}".`, {
      hint: `See \`flowyard deployment schedule ls '${fullName}'\`.`,
    });
  }
  return found;
}

function addPauseCommands(group: Command, context: CliContext): void {
  const add = (verb: "pause" | "resume", active: boolean, done: string) =>
    group
      .command(verb)
      .description(`${active ? "Resume" : "Pause"} one schedule, or with --all every one.`)
      .argument("[name]", NAME_HELP)
      .argument("[schedule]", "id or slug of the schedule")
      .option("--all", "every schedule of the deployment, or of all deployments when none is named")
      .action(async (name: string | undefined, idOrSlug: string | undefined, { all }: { all?: boolean }) => {
        if (all !== true && (name === undefined || idOrSlug === undefined)) {
          throw new UserError("USAGE", "Name the deployment and the schedule, or give --all.");
        }
        const client = await context.connect();
        const deployments =
          name === undefined ? await client.deployments.list() : [(await getDeployment(client, name)).deployment];
        for (const { id, schedules } of deployments) {
          const chosen = idOrSlug === undefined ? schedules : [getSchedule(schedules, idOrSlug, name ?? "")];
          for (const schedule of chosen.filter((candidate) => candidate.active !== active)) {
            await client.deployments.updateSchedule(id, schedule.id, { active });
            context.output.success(`${done} schedule ${schedule.id} (${showSchedule(schedule)}).`);
          }
        }
      });
  add("pause", false, "Paused");
  add("resume", true, "Resumed");
}

function addDeleteCommand(group: Command, context: CliContext): void {
  const command = group
    .command("delete")
    .description("Delete a schedule of a deployment.")
    .argument("<name>", NAME_HELP)
    .argument("<schedule>", "id or slug of the schedule");
  addConfirmOption(command).action(async (name: string, idOrSlug: string, options) => {
    const client = await context.connect();
    const { deployment, fullName } = await getDeployment(client, name);
    const schedule = getSchedule(deployment.schedules, idOrSlug, fullName);
    await confirmLoss(context, options, `Delete the schedule ${showSchedule(schedule)} of "${fullName}"?`);
    await client.deployments.deleteSchedule(deployment.id, schedule.id);
    context.output.success(`Deleted schedule ${schedule.id} of "${fullName}".`);
  });
}

function addClearCommand(group: Command, context: CliContext): void {
  const command = group
    .command("clear")
    .description("Delete every schedule of a deployment.")
    .argument("<name>", NAME_HELP);
  addConfirmOption(command).action(async (name: string, options) => {
    const client = await context.connect();
    const { deployment, fullName } = await getDeployment(client, name);
    if (deployment.schedules.length === 0) {
      context.output.say(`Deployment "${fullName}" has no schedules.`);
      return;
    }
    const count = countSchedules(deployment.schedules);
    await confirmLoss(context, options, `Delete the ${count} of "${fullName}"?`);
    await deleteSchedules(client, deployment.id, deployment.schedules);
    context.output.success(`Deleted the ${count} of "${fullName}".`);
  });
}
