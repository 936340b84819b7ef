import { planRelease } from "../release/release.ts";
import { blameProject } from "./blame-project.ts";
import type { DeployRequest } from "./decision.ts";
import { countChanges, hasChanges, listPlanLines } from "./describe-plan.ts";
import { withRegistryLogin } from "./docker-login.ts";
import { findNextStep } from "./error-ending.ts";
import type { Ending } from "./finish.ts";
import { savePlanOutputs } from "./plan-outputs.ts";
import { showPlace } from "./project-files.ts";
import { buildReleaseRequest } from "./release-request.ts";
import { selectProjects } from "./select-projects.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/** Tells what a deploy would change. Builds nothing, runs no step with effects, changes nothing. */
export function runPlan(given: Step, story: Story, deploy: DeployRequest): Promise<Ending> {
  return withRegistryLogin(given, async (step) => {
    for (const project of await selectProjects(step, deploy.deployments)) {
      await blameProject(story, project, () =>
        step.runner.group(`Plan ${showPlace(project)}`, async () => {
          const request = await buildReleaseRequest(step, story, project, deploy);
          const { plan, images, skippedSteps, isStockServer } = await planRelease(request);
          story.projects.push({ ...project, plan, images, release: undefined, deployments: {}, names: [] });
          if (skippedSteps.length > 0) {
            story.unknowns.push(`What these steps do, which a plan does not run: ${skippedSteps.join(", ")}.`);
          }
          if (isStockServer) {
            story.unknowns.push("Renames and removals: a stock Prefect server keeps no releases.");
          }
          for (const line of listPlanLines(plan)) {
            step.runner.info(line);
          }
        }),
      );
    }
    await savePlanOutputs(step, story);
    const plans = story.projects.flatMap(({ plan }) => (plan === undefined ? [] : [plan]));
    const changes = plans.flatMap((plan) => plan.changes);
    const refusal = plans.find((plan) => plan.refusal !== null)?.refusal;
    const isChanging = plans.some(hasChanges);
    return {
      decision: "plan",
      reason_code: "PLANNED",
      message: isChanging
        ? `A deploy into ${deploy.environment} would change: ${countChanges(changes)}.`
        : `A deploy into ${deploy.environment} would change nothing.`,
      next_step:
        refusal === undefined || refusal === null
          ? ""
          : `It would be refused: ${refusal.message} ${findNextStep(refusal.code)}`,
    };
  });
}
