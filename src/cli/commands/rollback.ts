import type { Command } from "commander";
import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import { confirmLoss } from "../ask.ts";
import type { CliContext } from "../context.ts";
import { addConfirmOption, addJsonOption, wantsJson } from "../options.ts";
import { describeScope, requireReleases } from "../releases.ts";
import { countChanges, printChanges } from "../show-changes.ts";
import { addScopeOptions, findFacts, ScopeOptions } from "./release-options.ts";

const Options = ScopeOptions.extend({
  planHash: z.string().optional(),
  dryRun: z.boolean().default(false),
  yes: z.boolean().optional(),
  acceptYes: z.boolean().optional(),
});

export async function addRollbackCommand(program: Command, context: CliContext): Promise<void> {
  const command = addScopeOptions(
    program
      .command("rollback")
      .summary("bring back an earlier release")
      .description("Bring back an earlier release. Its images are digests, so nothing is built.")
      .argument("[release]", "id, number or commit (default: the one before the live one)"),
  )
    .option("--dry-run", "only show what it would change")
    .option("--plan-hash <hash>", "only if it still is the plan that was shown with this hash");
  addJsonOption(addConfirmOption(command)).action(async (to: string | undefined, raw) => {
    const options = Options.parse(raw);
    const client = await context.connect();
    await requireReleases(client);
    const { scope, source } = await findFacts(context, options);
    const body = { scope, source, to: to ?? null, plan_hash: options.planHash ?? null };
    if (options.dryRun || context.interactive) {
      const plan = await client.releases.planRollback(body);
      if (options.dryRun && wantsJson(raw)) {
        context.output.json(plan);
        return;
      }
      printChanges(context.output, plan.changes);
      context.output.say(`${describeScope(scope)}: ${countChanges(plan.changes, false)}.`);
      if (options.dryRun) {
        context.output.line(`Plan hash: ${plan.plan_hash}`);
        return;
      }
      body.plan_hash ??= plan.plan_hash;
      await confirmLoss(context, options, "Roll back?");
    }
    const result = await client.releases.rollBack(body);
    if (result.outcome === "refused") {
      throw new UserError(result.code, result.detail);
    }
    const { outcome: _outcome, ...applied } = result;
    if (wantsJson(raw)) {
      context.output.json(applied);
      return;
    }
    if (!context.interactive) {
      printChanges(context.output, applied.release.changes);
    }
    const what = applied.changed ? countChanges(applied.release.changes, true) : "nothing to do";
    context.output.success(`Release ${applied.release.number} of ${describeScope(scope)}: ${what}.`);
  });
}
