import { planRelease, release } from "../release/release.ts";
import { UserError } from "../shared/errors.ts";
import { announceDeployment } from "./announce-deployment.ts";
import { buildAppliedPlan } from "./applied-plan.ts";
import { blameProject } from "./blame-project.ts";
import type { DeployRequest } from "./decision.ts";
import { countDone } from "./describe-plan.ts";
import { withRegistryLogin } from "./docker-login.ts";
import type { Ending } from "./finish.ts";
import { isUntouched } from "./only-changed.ts";
import { listPlanHashes } from "./plan-hashes.ts";
import { savePlanOutputs } from "./plan-outputs.ts";
import { showPlace } from "./project-files.ts";
import { buildReleaseRequest } from "./release-request.ts";
import { type SelectedProject, selectProjects } from "./select-projects.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

/** Builds, pushes and releases every project, one after the other, each whole or not at all. */
export function runDeploy(given: Step, story: Story, deploy: DeployRequest): Promise<Ending> {
  return withRegistryLogin(given, async (step) => {
    const projects = await selectProjects(step, deploy.deployments);
    const hashes = listPlanHashes(step, projects.length);
    const hashOf = new Map(projects.map((project, index) => [project, hashes[index]]));
    const due = step.inputs["only-changed"] ? await leaveOutUntouched(step, story, projects, deploy) : projects;
    if (due.length > 1) {
      await checkAll(step, story, due, deploy);
    }
    for (const [index, project] of due.entries()) {
      step.signal.throwIfAborted();
      try {
        const hash = hashOf.get(project);
        await blameProject(story, project, () => deployProject(step, story, project, { deploy, hash }));
      } catch (error) {
        tellPart(step, story, due, index);
        throw error;
      }
      await savePlanOutputs(step, story);
    }
    return decideEnding(story, deploy.environment);
  });
}

async function leaveOutUntouched(
  step: Step,
  story: Story,
  projects: readonly SelectedProject[],
  deploy: DeployRequest,
): Promise<SelectedProject[]> {
  const due: SelectedProject[] = [];
  for (const project of projects) {
    if (await isUntouched(step, project, await buildReleaseRequest(step, story, project, deploy))) {
      const note = `${showPlace(project)} was left alone: nothing in its folder changed since the commit that is live.`;
      step.runner.info(note);
      story.notes.push(note);
    } else {
      due.push(project);
    }
  }
  return due;
}

/** Each project is released whole or not at all; all of them together are not. */
function tellPart({ runner }: Step, story: Story, projects: readonly SelectedProject[], failed: number): void {
  if (projects.length === 1) {
    return;
  }
  const show = (some: readonly SelectedProject[]) =>
    some.length === 0 ? "none" : some.map((each) => showPlace(each)).join(", ");
  const note = `Released before that: ${show(projects.slice(0, failed))}. Not begun: ${show(projects.slice(failed + 1))}.`;
  runner.info(note);
  story.notes.push(note);
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
    const sha = step.environment["GITHUB_SHA"];
    story.githubDeployment ??= isPreview ? undefined : announceDeployment(step, deploy.environment, sha);
  };
  await runner.group(`Deploy ${showPlace(project)}`, async () => {
    const request = await buildReleaseRequest(step, story, project, { ...deploy, onWork: announce });
    const result = await release(request, hash);
    if (result.changed) {
      announce();
    }
    story.projects.push({
      ...project,
      plan: buildAppliedPlan(request.scope, result),
      images: result.images,
      release: result.release ?? undefined,
      deployments: result.deployments,
      names: [],
    });
  });
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
