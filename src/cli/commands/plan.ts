import type { Command } from "commander";
import { z } from "zod";
import type { PlanResult } from "../../release/release.ts";
import type { CliContext } from "../context.ts";
import { addJsonOption, wantsJson } from "../options.ts";
import { countChanges, printChanges } from "../show-changes.ts";
import { addDeployOptions, DeployOptions } from "./deploy-options.ts";
import { buildReleaseRequest } from "./deploy-request.ts";
import { addReleaseOptions, ReleaseOptions } from "./release-options.ts";

const PlanOptions = DeployOptions.extend(ReleaseOptions.shape).extend({ detailedExitcode: z.boolean().optional() });

/** What Terraform's flag of that name exits with when there is something to do. */
const EXIT_CHANGES = 2;

export async function addPlanCommand(program: Command, context: CliContext): Promise<void> {
  const command = addReleaseOptions(
    addDeployOptions(
      program
        .command("plan")
        .summary("show what a release would change")
        .description(
          "Show what `deploy --environment` would change. Builds nothing, runs no step that has effects, changes nothing.",
        ),
    ),
  ).option("--detailed-exitcode", "exit with 2 when there are changes");
  addJsonOption(command).action(async (entrypoint: string | undefined, raw) => {
    const options = PlanOptions.parse(raw);
    const json = wantsJson(raw);
    const { planRelease } = await import("../../release/release.ts");
    const client = await context.connect();
    const result = await planRelease(await buildReleaseRequest(context, client, entrypoint, options, json));
    if (json) {
      context.output.json({ ...result.plan, images: result.images, skipped_steps: result.skippedSteps });
    } else {
      printPlan(context, result);
    }
    const hasChanges = result.plan.changes.some(({ action }) => action !== "unchanged");
    context.exitCode = options.detailedExitcode && hasChanges ? EXIT_CHANGES : 0;
  });
}

function printPlan({ output }: CliContext, { plan, images, skippedSteps, isStockServer }: PlanResult): void {
  printChanges(output, plan.changes);
  for (const { tags, outcome } of images) {
    output.say(`Image ${tags[0]}: ${outcome === "planned" ? "to be built" : "built already"}`);
  }
  output.say(`${plan.scope.environment}: ${countChanges(plan.changes, false)}.`);
  if (skippedSteps.length > 0) {
    output.warn(
      `A plan does not run ${skippedSteps.join(", ")}: what depends on their outputs or files is not known yet.`,
    );
  }
  if (plan.refusal !== null) {
    output.warn(`Applying it would be refused: ${plan.refusal.message}`);
  }
  if (isStockServer) {
    output.warn("The server keeps no releases: the changes would be applied one by one, and there is no rollback.");
  }
  output.line(`Plan hash: ${plan.plan_hash}`);
}
