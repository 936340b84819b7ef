import type { Change, Plan } from "../flowyard-api/releases.ts";
import { UserError } from "../shared/errors.ts";
import type { DeployRequest } from "./decision.ts";
import { countChanges, hasChanges, listPlanLines } from "./describe-plan.ts";
import type { Ending } from "./finish.ts";
import { listProjectFiles, showPlace } from "./project-files.ts";
import { findScope } from "./release-scope.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/** Compares what was released last with what the plane has now. */
export async function runDrift(step: Step, story: Story, { environment }: DeployRequest): Promise<Ending> {
  const { runner, inputs, outputs } = step;
  const client = connectServer(step);
  if (!(await client.releases.findCapabilities())?.features.includes("releases")) {
    throw new UserError("CAPABILITY_MISSING", "The server is a Prefect server and keeps no releases to compare with.", {
      hint: "Drift needs a Flowyard plane.",
    });
  }
  const changes: Change[] = [];
  for (const project of await listProjectFiles(step.workspace, inputs["prefect-file"])) {
    const scope = await findScope(step, project, environment);
    const drift = await client.releases.findDrift(scope);
    if (drift.release === null) {
      story.unknowns.push(`${showPlace(project)} has no release into ${environment} to compare with.`);
    }
    const plan: Plan = {
      plan_hash: drift.release?.plan_hash ?? "",
      scope,
      base_release_id: drift.release?.id ?? null,
      changes: drift.changes,
      refusal: null,
    };
    story.projects.push({
      ...project,
      plan,
      images: [],
      release: drift.release ?? undefined,
      deployments: {},
      names: [],
    });
    changes.push(...drift.changes);
    for (const line of listPlanLines(plan)) {
      runner.info(line);
    }
  }
  const isDrifted = hasChanges({ changes });
  outputs.changed = String(isDrifted);
  if (!isDrifted) {
    return {
      decision: "drift",
      reason_code: "NO_DRIFT",
      message: `Nothing was changed by hand since the last release into ${environment}.`,
      next_step: "",
    };
  }
  const message = `Somebody changed deployments since the last release into ${environment}: ${countChanges(changes)}.`;
  if (!inputs["fail-on-drift"]) {
    runner.warning(message);
  }
  return {
    decision: "drift",
    reason_code: inputs["fail-on-drift"] ? "DRIFT_REFUSED" : "DRIFT_FOUND",
    message,
    next_step: "Deploy again to undo it, or bring the project up to date with it.",
  };
}
