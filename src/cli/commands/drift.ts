import type { Command } from "commander";
import { z } from "zod";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { describeScope, requireReleases } from "../releases.ts";
import { countChanges, printChanges } from "../show-changes.ts";
import { addScopeOptions, findFacts, ScopeOptions } from "./release-options.ts";

const EXIT_DRIFT = 2; // as `plan --detailed-exitcode`

export async function addDriftCommand(program: Command, context: CliContext): Promise<void> {
  const command = addScopeOptions(
    program
      .command("drift")
      .summary("show what was changed by hand since the last release")
      .description("Show what was changed by hand since the last release: what was released → what is there now."),
  ).option("--detailed-exitcode", "exit with 2 when something was changed");
  addJsonOption(command).action(async (raw) => {
    const options = ScopeOptions.extend({ detailedExitcode: z.boolean().optional() }).parse(raw);
    const client = await context.connect();
    await requireReleases(client);
    const { scope } = await findFacts(context, options);
    const drift = await client.releases.findDrift(scope);
    const changes = drift.changes.filter(({ action }) => action !== "unchanged");
    context.exitCode = options.detailedExitcode && changes.length > 0 ? EXIT_DRIFT : 0;
    if (wantsJson(raw)) {
      context.output.json(drift);
      return;
    }
    printChanges(context.output, changes);
    if (drift.release === null) {
      context.output.say(`There is no release of ${describeScope(scope)}.`);
      return;
    }
    const since = `${describeScope(scope)}, since release ${drift.release.number}`;
    context.output.say(`${since}: ${changes.length === 0 ? "no drift" : countChanges(changes, true)}.`);
  });
}
