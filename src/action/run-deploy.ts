import type { Change, Plan } from "../flowyard-api/releases.ts";
import { startGitHubDeployment } from "../github/deployments.ts";
import { planRelease, type ReleaseResult, release } from "../release/release.ts";
import { UserError } from "../shared/errors.ts";
import { blameProject } from "./blame-project.ts";
import { countDone } from "./describe-plan.ts";
import { withRegistryLogin } from "./docker-login.ts";
import type { Ending } from "./finish.ts";
import { isUntouched } from "./only-changed.ts";
import { savePlanOutputs } from "./plan-outputs.ts";
import { showPlace } from "./project-files.ts";
import { buildReleaseRequest } from "./release-request.ts";
import { findRunUrl } from "./report.ts";
import { type SelectedProject, selectProjects } from "./select-projects.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";
import type { DeployRequest } from "./trigger.ts";

/** Builds, pushes and releases every project, one after the other, each whole or not at all. */
export function runDeploy(given: Step, story: Story, deploy: DeployRequest): Promise<Ending> {
  return withRegistryLogin(given, async (step) => {
    const projects = await selectProjects(step, deploy.deployments);
    const hashes = step.inputs["plan-hash"];
    if (hashes.length > 0 && hashes.length !== projects.length) {
      throw new UserError(
        "INPUT_INVALID",
        `The input plan-hash has ${hashes.length} hashes, and there are ${projects.length} project files.`,
        { hint: "Hand over the output plan-hash of a plan of the same files." },
      );
    }
    if (projects.length > 1) {
      await checkAll(step, story, projects, deploy);
    }
    for (const [index, project] of projects.entries()) {
      step.signal.throwIfAborted();
      await blameProject(story, project, () => deployProject(step, story, project, { deploy, hash: hashes[index] }));
      await savePlanOutputs(step, story);
    }
    return decideEnding(story, deploy.environment);
  });
}

/** What is wrong with one project shall be known before another one is released. */
async function checkAll(
  step: Step,
  story: Story,
  projects: readonly SelectedProject[],
  deploy: DeployRequest,
): Promise<void> {
  await step.runner.group(`Check ${projects.length} projects`, async () => {
    for (const project of projects) {
      await blameProject(story, project, async () => {
        const { plan } = await planRelease(await buildReleaseRequest(step, story, project, deploy));
        if (plan.refusal !== null) {
          throw new UserError(plan.refusal.code, `${showPlace(project)}: ${plan.refusal.message}`);
        }
      });
    }
  });
}

async function deployProject(
  step: Step,
  story: Story,
  project: SelectedProject,
  { deploy, hash }: { deploy: DeployRequest; hash: string | undefined },
): Promise<void> {
  const { runner } = step;
  const announce = () => {
    // Each one would make an environment on GitHub that no job token can remove: previews get none.
    const isPreview = story.decision?.decision === "deploy" && story.decision.pullRequest !== undefined;
    story.githubDeployment ??= isPreview ? undefined : announceDeployment(step, deploy.environment);
  };
  await runner.group(`Deploy ${showPlace(project)}`, async () => {
    const request = await buildReleaseRequest(step, story, project, { ...deploy, onWork: announce });
    if (step.inputs["only-changed"] && (await isUntouched(step, request))) {
      runner.info("Nothing in the project's folder changed since the commit that is live.");
      return;
    }
    const result = await release(request, hash);
    if (result.changed) {
      announce();
    }
    story.projects.push({
      ...project,
      plan: describeResult(request.scope, result),
      images: result.images,
      release: result.release ?? undefined,
      deployments: result.deployments,
      names: [],
    });
  });
}

/** The plan that was applied, with what it left as it was. */
function describeResult(scope: Plan["scope"], { release: applied, changes, deployments }: ReleaseResult): Plan {
  const changed = new Set(changes.map(({ deployment }) => deployment));
  const unchanged = Object.entries(deployments)
    .filter(([name]) => !changed.has(name))
    .map(([deployment, deployment_id]): Change => ({ action: "unchanged", deployment, deployment_id }));
  return {
    plan_hash: applied?.plan_hash ?? "",
    scope,
    base_release_id: null,
    changes: [...changes, ...unchanged],
    refusal: null,
  };
}

async function announceDeployment(step: Step, environment: string): ReturnType<typeof startGitHubDeployment> {
  const github = step.findGitHub();
  const { GITHUB_RUN_ID: runId } = step.config;
  const sha = step.environment["GITHUB_SHA"];
  const runUrl = findRunUrl(step);
  if (github === undefined || runId === undefined || runUrl === undefined || sha === undefined) {
    return undefined;
  }
  return startGitHubDeployment(github, { sha, environment, runId, runUrl });
}

function decideEnding({ projects }: Story, environment: string): Ending {
  const changes = projects.flatMap(({ plan }) => plan?.changes ?? []);
  const isChanged = changes.some(({ action }) => action !== "unchanged");
  return isChanged
    ? {
        decision: "deploy",
        reason_code: "DEPLOYED",
        message: `Deployed into ${environment}: ${countDone(changes)}.`,
        next_step: "",
      }
    : {
        decision: "deploy",
        reason_code: "NOTHING_TO_DO",
        message: `${environment} is as this commit wants it: nothing to do.`,
        next_step: "",
      };
}
