import { removePreview } from "../release/remove-preview.ts";
import { buildAppliedPlan } from "./applied-plan.ts";
import type { DeployRequest } from "./decision.ts";
import { countDone } from "./describe-plan.ts";
import type { Ending } from "./finish.ts";
import { savePlanOutputs } from "./plan-outputs.ts";
import { buildSource } from "./release-request.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/** Deletes all that a preview has, of whatever projects; needs no checkout. */
export async function runRemove(step: Step, story: Story, { environment }: DeployRequest): Promise<Ending> {
  const removed = await removePreview({
    client: connectServer(step),
    repository: step.config.GITHUB_REPOSITORY,
    environment,
    source: await buildSource(step, step.workspace),
    signal: step.signal,
  });
  for (const { scope, changes, release } of removed) {
    story.projects.push({
      projectPath: scope.project_path,
      file: "prefect.yaml",
      plan: buildAppliedPlan(scope, { release, changes, deployments: {} }),
      images: [],
      release: release ?? undefined,
      deployments: {},
      names: [],
    });
  }
  await savePlanOutputs(step, story);
  const changes = removed.flatMap((each) => each.changes);
  return changes.length === 0
    ? {
        decision: "remove",
        reason_code: "NOTHING_TO_DO",
        message: `The preview ${environment} has nothing: nothing to remove.`,
        next_step: "",
      }
    : {
        decision: "remove",
        reason_code: "PREVIEW_REMOVED",
        message: `The preview ${environment} was removed: ${countDone(changes)}.`,
        next_step: "",
      };
}
