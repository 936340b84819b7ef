import type { ReleaseSource } from "../flowyard-api/releases.ts";
import { Timestamp, timestampFromDate } from "../prefect-api/timestamp.ts";
import { findCheckout } from "../release/checkout.ts";
import type { ReleaseRequest } from "../release/release.ts";
import type { DeployRequest } from "./decision.ts";
import { locateProblems } from "./locate-problems.ts";
import { findScope } from "./release-scope.ts";
import { findRunUrl } from "./report.ts";
import { cleanLine } from "./safe-text.ts";
import { type SelectedProject, selectStrictly } from "./select-projects.ts";
import { connectServer } from "./server.ts";
import type { Step } from "./step.ts";
import type { Story } from "./story.ts";

interface Asked extends Pick<DeployRequest, "environment" | "isPreview"> {
  /** Called when something is built or pushed, at the latest. */
  onWork?: () => void;
}

/** What the release pipeline needs to know, out of inputs, environment and checkout. */
export async function buildReleaseRequest(
  step: Step,
  story: Story,
  project: SelectedProject,
  asked: Asked,
): Promise<ReleaseRequest> {
  const { runner, inputs, environment, signal } = step;
  const pool = inputs["work-pool"];
  const scope = await findScope(step, project, asked.environment);
  return {
    root: project.root,
    projectFile: project.file,
    selection: selectStrictly(project.names),
    flags: {},
    images: { push: inputs.push, defaults: buildImageDefaults(step) },
    env: pool === undefined ? environment : { ...environment, PREFECT_DEFAULT_WORK_POOL_NAME: pool },
    client: connectServer(step),
    output: {
      progress: (message) => runner.info(message),
      warn(message) {
        const located = locateProblems(message, project.projectPath);
        story.annotations.push(...located.map((each) => ({ ...each, severity: "warning" as const })));
        runner.info(`warning: ${message}`);
      },
      write(text) {
        asked.onWork?.();
        runner.info(text.split("\n").map(cleanLine).join("\n").trimEnd());
      },
    },
    signal,
    scope,
    source: await buildSource(step, project.root),
    prune: inputs.prune,
    adopt: inputs.adopt,
    isPreview: asked.isPreview,
  };
}

function buildImageDefaults({ inputs }: Step): NonNullable<NonNullable<ReleaseRequest["images"]>["defaults"]> {
  const { platforms, "cache-from": cacheFrom, "cache-to": cacheTo, "build-args": buildArgs } = inputs;
  return {
    ...(platforms.length === 0 ? {} : { platforms }),
    ...(cacheFrom.length === 0 ? {} : { cacheFrom }),
    ...(cacheTo.length === 0 ? {} : { cacheTo }),
    buildArgs: Object.fromEntries(
      buildArgs.map((text): [string, string] => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]),
    ),
  };
}

/** Who asked for it, and which commit is checked out. */
export async function buildSource(step: Step, root: string): Promise<ReleaseSource> {
  const { GITHUB_EVENT_NAME: event, GITHUB_ACTOR: actor } = step.config;
  const { commitSha, committedAt, ref } = await findCheckout(root, step.environment);
  return {
    event,
    actor: actor ?? null,
    ref: ref ?? null,
    commit_sha: commitSha ?? null,
    committed_at: committedAt === undefined ? findPushedAt(step, commitSha) : Timestamp.parse(committedAt),
    run_url: findRunUrl(step) ?? null,
  };
}

/** Without git the event tells when its commit was made. Old commits are known by it: no date, no refusal. */
function findPushedAt({ headCommit }: Step, commitSha: string | undefined): Timestamp | null {
  if (headCommit === undefined || headCommit.id !== commitSha) {
    return null;
  }
  const date = new Date(headCommit.timestamp);
  return Number.isNaN(date.getTime()) ? null : timestampFromDate(date);
}
