import type { PrefectClient } from "../client/prefect-client.ts";
import type { RollBack } from "../flowyard-api/releases.ts";
import { UserError } from "../shared/errors.ts";
import { announceDeployment } from "./announce-deployment.ts";
import { buildAppliedPlan } from "./applied-plan.ts";
import type { Decision } from "./decision.ts";
import { countDone } from "./describe-plan.ts";
import type { Ending } from "./finish.ts";
import { listPlanHashes } from "./plan-hashes.ts";
import { savePlanOutputs } from "./plan-outputs.ts";
import { listProjectFiles, type ProjectFile, showPlace } from "./project-files.ts";
import { buildSource } from "./release-request.ts";
import { findScope } from "./release-scope.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import type { ProjectOutcome, Story } from "./story.ts";

type Rollback = Extract<Decision, { decision: "rollback" }>;

/** Makes an earlier release of every project live again. Nothing is built: its images are digests. */
export async function runRollback(step: Step, story: Story, { deploy, to }: Rollback): Promise<Ending> {
  const { environment } = deploy;
  const client = connectServer(step);
  if (!(await client.releases.findCapabilities())?.features.includes("releases")) {
    throw new UserError("CAPABILITY_MISSING", "The server is a Prefect server and keeps no releases to go back to.", {
      hint: "Rolling back needs a Flowyard plane; there, deploy the earlier commit again.",
    });
  }
  const files = await listProjectFiles(step.workspace, step.inputs["prefect-file"]);
  const hashes = listPlanHashes(step, files.length);
  const asked = await Promise.all(
    files.map((project, index) => ask(step, project, { environment, to, hash: hashes[index] })),
  );
  for (const { project, body } of asked) {
    const { refusal } = await client.releases.planRollback(body);
    if (refusal !== null) {
      throw new UserError(refusal.code, `${showPlace(project)}: ${refusal.message}`);
    }
  }
  for (const each of asked) {
    story.projects.push(await rollBack(step, client, each));
  }
  await savePlanOutputs(step, story);
  const origin = await findOrigin(client, story.projects);
  if (origin !== undefined && origin !== null) {
    story.githubDeployment = announceDeployment(step, environment, origin);
  }
  return decideEnding(story, environment);
}

interface Asked {
  project: ProjectFile;
  body: RollBack;
}

async function ask(
  step: Step,
  project: ProjectFile,
  { environment, to, hash }: { environment: string; to: string | undefined; hash: string | undefined },
): Promise<Asked> {
  const scope = await findScope(step, project, environment);
  const source = await buildSource(step, project.root);
  return { project, body: { scope, source, to: to ?? null, plan_hash: hash ?? null } };
}

function rollBack(step: Step, client: PrefectClient, { project, body }: Asked): Promise<ProjectOutcome> {
  return step.runner.group(`Roll back ${showPlace(project)}`, async () => {
    step.signal.throwIfAborted();
    const result = await client.releases.rollBack(body);
    if (result.outcome === "refused") {
      throw new UserError(result.code, result.detail);
    }
    const { release, deployments, changed } = result;
    const changes = changed ? release.changes : [];
    const plan = buildAppliedPlan(body.scope, { release, changes, deployments });
    return { ...project, plan, images: [], release, deployments, names: [] };
  });
}

/** The commit that is live again: what GitHub is told was deployed. */
async function findOrigin(
  client: PrefectClient,
  projects: readonly ProjectOutcome[],
): Promise<string | null | undefined> {
  const [applied] = projects.flatMap(({ release }) => (release === undefined ? [] : [release.id]));
  const release = applied === undefined ? undefined : await client.releases.find(applied);
  const target = release?.rollback_of ? await client.releases.find(release.rollback_of) : undefined;
  return target?.source.commit_sha;
}

function decideEnding({ projects }: Story, environment: string): Ending {
  const changes = projects.flatMap(({ plan }) => plan?.changes ?? []);
  const isChanged = changes.some(({ action }) => action !== "unchanged");
  return isChanged
    ? {
        decision: "rollback",
        reason_code: "ROLLED_BACK",
        message: `Rolled ${environment} back: ${countDone(changes)}.`,
        next_step: "The next push deploys its own commit again; revert what was wrong before.",
      }
    : {
        decision: "rollback",
        reason_code: "NOTHING_TO_DO",
        message: `${environment} is as that release had it: nothing to do.`,
        next_step: "",
      };
}
