import type { ReleaseScope, ReleaseSource } from "../flowyard-api/releases.ts";
import { timestampFromDate } from "../prefect-api/timestamp.ts";
import type { Environment } from "../project/template.ts";
import { type Checkout, findCheckout } from "./checkout.ts";

export const DEFAULT_ENVIRONMENT = "production";

export interface ScopeWish {
  environment?: string | undefined;
  repository?: string | undefined;
  projectPath?: string | undefined;
}

/** Whose deployments these are, and where they come from: from git and the CI system's variables, or as it is said. */
export async function findReleaseFacts(
  root: string,
  env: Environment,
  wish: ScopeWish,
): Promise<{ scope: ReleaseScope; source: ReleaseSource }> {
  const checkout = await findCheckout(root, env);
  return {
    scope: {
      repository: wish.repository ?? checkout.repository,
      project_path: wish.projectPath ?? checkout.projectPath,
      environment: wish.environment ?? DEFAULT_ENVIRONMENT,
    },
    source: buildSource(checkout, env),
  };
}

function buildSource({ commitSha, committedAt, ref }: Checkout, env: Environment): ReleaseSource {
  const { GITHUB_EVENT_NAME, GITHUB_ACTOR, GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_RUN_ID } = env;
  const isRun = GITHUB_SERVER_URL && GITHUB_REPOSITORY && GITHUB_RUN_ID;
  return {
    event: GITHUB_EVENT_NAME || "cli",
    actor: GITHUB_ACTOR || env["USER"] || env["LOGNAME"] || null,
    ref: ref ?? null,
    commit_sha: commitSha ?? null,
    committed_at: committedAt === undefined ? null : timestampFromDate(new Date(committedAt)),
    run_url: isRun ? `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/actions/runs/${GITHUB_RUN_ID}` : null,
  };
}
