import { shorten } from "./checks.ts";
import type { GitHub } from "./github.ts";

const MAX_DESCRIPTION_CHARACTERS = 140;
const DESCRIPTION = "Flowyard";

export interface DeploymentRequest {
  sha: string;
  environment: string;
  runId: string;
  /** Page of the GitHub run. */
  runUrl: string;
}

export interface GitHubDeployment {
  finish(state: "success" | "failure" | "error" | "inactive", description: string): Promise<void>;
}

/**
 * Announces a deployment on GitHub and that it is in progress. Undefined when that could not be done, or when the
 * job declares `environment:`: GitHub then keeps a deployment of its own.
 */
export async function startGitHubDeployment(
  github: GitHub,
  request: DeploymentRequest,
): Promise<GitHubDeployment | undefined> {
  const id = await github.attempt("The GitHub deployment", async ({ rest, owner, repo }, signal) => {
    if (await isDeclaredByJob(github, request, signal)) {
      return undefined;
    }
    const { data } = await rest.repos.createDeployment({
      owner,
      repo,
      ref: request.sha,
      environment: request.environment,
      description: DESCRIPTION,
      // GitHub's defaults merge branches and wait for every check of the commit, this one included.
      auto_merge: false,
      required_contexts: [],
      production_environment: request.environment === "production",
      request: { signal },
    });
    return "id" in data ? data.id : undefined;
  });
  if (id === undefined) {
    return undefined;
  }
  const setState = async (state: "in_progress" | "success" | "failure" | "error" | "inactive", description: string) => {
    await github.attempt("The status of the GitHub deployment", ({ rest, owner, repo }, signal) =>
      rest.repos.createDeploymentStatus({
        owner,
        repo,
        deployment_id: id,
        state,
        log_url: request.runUrl,
        description: shorten(description, MAX_DESCRIPTION_CHARACTERS),
        request: { signal },
      }),
    );
  };
  await setState("in_progress", "");
  return { finish: setState };
}

/** The runner tells a step nothing of `environment:`, but GitHub's own deployment of this run is there by then. */
async function isDeclaredByJob(
  { rest, owner, repo }: GitHub,
  { sha, runId }: DeploymentRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const { data } = await rest.repos.listDeployments({ owner, repo, sha, per_page: 10, request: { signal } });
  for (const deployment of data.filter(({ description }) => description !== DESCRIPTION)) {
    const statuses = await rest.repos.listDeploymentStatuses({
      owner,
      repo,
      deployment_id: deployment.id,
      per_page: 5,
      request: { signal },
    });
    const urls = statuses.data.flatMap(({ log_url, target_url }) => [log_url, target_url]);
    if (urls.some((url) => url?.includes(`/actions/runs/${runId}`) === true)) {
      return true;
    }
  }
  return false;
}
