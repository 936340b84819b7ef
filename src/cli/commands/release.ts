import type { Command } from "commander";
import { z } from "zod";
import { type Release, readPreviewNumber } from "../../flowyard-api/releases.ts";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { addConfirmOption, addJsonOption, parseWholeNumber, wantsJson } from "../options.ts";
import { describeScope, getRelease, requireReleases } from "../releases.ts";
import { showRelativeTime } from "../show.ts";
import { countChanges, printChanges } from "../show-changes.ts";
import { addScopeOptions, findFacts, ScopeOptions } from "./release-options.ts";

const DEFAULT_RELEASES = 20;
const SHOWN_SHA = 12;

export async function addReleaseCommands(program: Command, context: CliContext): Promise<void> {
  const group = program
    .command("release")
    .summary("list, inspect and compare releases; remove a preview")
    .description("List, inspect and compare releases; remove what a preview has.");
  addListCommand(group, context);
  addInspectCommand(group, context);
  addDiffCommand(group, context);
  addRemoveCommand(group, context);
}

const ListOptions = ScopeOptions.extend({ limit: z.number() });

function addListCommand(group: Command, context: CliContext): void {
  const command = group
    .command("ls")
    .description("List releases, the newest first: all that the control plane keeps, or those of one place.")
    .option("-e, --environment <name>", "only of this environment")
    .option("--repository <owner/name>", "only of this repository")
    .option("--project-path <path>", "only of this folder of the repository")
    .option("--limit <n>", "at most so many", parseWholeNumber(1), DEFAULT_RELEASES);
  addJsonOption(command).action(async (raw) => {
    const { limit, environment, repository, projectPath } = ListOptions.parse(raw);
    const client = await context.connect();
    await requireReleases(client);
    const releases = await client.releases.list({
      scope: { environment, repository, project_path: projectPath },
      limit: Math.min(limit, MAX_LISTED),
    });
    if (wantsJson(raw)) {
      context.output.json(releases);
      return;
    }
    if (releases.length === 0) {
      context.output.say("There are no releases. Make one with `flowyard deploy --environment production`.");
    }
    printReleases(context, releases);
  });
}

const MAX_LISTED = 200;

function printReleases({ output }: CliContext, releases: Release[]): void {
  const now = new Date();
  output.table(releases, [
    { title: "Number", value: ({ number }) => String(number) },
    { title: "Live", value: ({ live }) => (live ? "live" : ""), style: () => "green" },
    { title: "Environment", value: ({ scope }) => scope.environment },
    {
      title: "Repository",
      value: ({ scope }) => `${scope.repository}${scope.project_path === "." ? "" : `:${scope.project_path}`}`,
    },
    { title: "Commit", value: ({ source }) => source.commit_sha?.slice(0, SHOWN_SHA) ?? "" },
    { title: "By", value: ({ source }) => source.actor ?? "" },
    { title: "Event", value: ({ source, rollback_of: back }) => (back === null ? source.event : "rollback") },
    { title: "Changes", value: ({ changes }) => countChanges(changes, true) },
    { title: "Created", value: ({ created }) => showRelativeTime(created, now) },
    { title: "Id", value: ({ id }) => id },
  ]);
}

/** A verb on one release, which is named within the place that the options say. */
function addReleaseVerb(group: Command, verb: string, description: string): Command {
  return addScopeOptions(group.command(verb).description(description).argument("<release>", "id, number or commit"));
}

function addInspectCommand(group: Command, context: CliContext): void {
  const command = addReleaseVerb(group, "inspect", "Show one release: where it comes from and what it changed.");
  addJsonOption(command).action(async (wanted: string, raw) => {
    const client = await context.connect();
    await requireReleases(client);
    const { scope } = await findFacts(context, ScopeOptions.parse(raw));
    const release = await getRelease(client, scope, wanted);
    if (wantsJson(raw)) {
      context.output.json(release);
      return;
    }
    const { source } = release;
    context.output.fields({
      Release: `${release.number}${release.live ? " (live)" : ""}`,
      Id: release.id,
      Of: describeScope(release.scope),
      Created: release.created,
      Commit: source.commit_sha,
      Ref: source.ref,
      Event: source.event,
      By: source.actor,
      Run: source.run_url,
      "Rollback of": release.rollback_of,
      Images: release.images.map(({ name, tag, digest }) => `${name}:${tag} ${digest ?? "not pushed"}`).join("\n"),
      Deployments: release.deployments.join("\n"),
    });
    printChanges(context.output, release.changes);
  });
}

function addDiffCommand(group: Command, context: CliContext): void {
  const command = addReleaseVerb(group, "diff", "Show what going from one release to another changes.").option(
    "--from <release>",
    "id, number or commit (default: the one before it)",
  );
  addJsonOption(command).action(async (wanted: string, raw) => {
    const options = ScopeOptions.extend({ from: z.string().optional() }).parse(raw);
    const client = await context.connect();
    await requireReleases(client);
    const { scope } = await findFacts(context, options);
    const to = await getRelease(client, scope, wanted);
    const from = options.from === undefined ? undefined : await getRelease(client, scope, options.from);
    const diff = await client.releases.diff(to.id, from?.id);
    if (wantsJson(raw)) {
      context.output.json(diff);
      return;
    }
    printChanges(context.output, diff.changes);
    const start = diff.from === null ? "nothing" : `release ${diff.from.number}`;
    context.output.say(`From ${start} to release ${diff.to.number}: ${countChanges(diff.changes, true)}.`);
  });
}

const RemoveOptions = z.object({
  environment: z.string(),
  repository: z.string().min(1).optional(),
  yes: z.boolean().optional(),
  acceptYes: z.boolean().optional(),
});

function addRemoveCommand(group: Command, context: CliContext): void {
  const command = group
    .command("remove")
    .description("Delete all that a preview has, of every project of the repository.")
    .requiredOption("-e, --environment <name>", "the preview: pr- and the number of its pull request")
    .option("--repository <owner/name>", "default: what git or GitHub Actions says");
  addJsonOption(addConfirmOption(command)).action(async (raw) => {
    const options = RemoveOptions.parse(raw);
    const { environment } = options;
    if (readPreviewNumber(environment) === undefined) {
      throw new UserError(
        "USAGE",
        `"${environment}" is no environment of a preview; only previews are removed whole.`,
        {
          hint: "Name one such as pr-7. What another environment no longer needs goes with `deploy --prune delete`.",
        },
      );
    }
    const { removePreview } = await import("../../release/remove-preview.ts");
    const client = await context.connect();
    const { scope, source } = await findFacts(context, options);
    const { repository } = scope;
    await confirmLoss(context, options, `Delete all that ${environment} of ${repository} has?`);
    const removed = await removePreview({ client, repository, environment, source, signal: context.signal });
    if (wantsJson(raw)) {
      context.output.json(removed);
      return;
    }
    const changes = removed.flatMap((each) => each.changes);
    printChanges(context.output, changes);
    const what = changes.length === 0 ? "nothing to remove" : countChanges(changes, true);
    context.output.success(`${repository}, environment ${environment}: ${what}.`);
  });
}
