import { startGitHubDeployment } from "../github/deployments.ts";
import { findRunUrl } from "./report.ts";
import type { Step } from "./step.ts";

/** Tells GitHub that the commit is being deployed. */
export async function announceDeployment(
  step: Step,
  environment: string,
  sha: string | undefined,
): ReturnType<typeof startGitHubDeployment> {
  const github = await step.findGitHub();
  const { GITHUB_RUN_ID: runId } = step.config;
  const runUrl = findRunUrl(step);
  if (github === undefined || runId === undefined || runUrl === undefined || sha === undefined) {
    return undefined;
  }
  return startGitHubDeployment(github, { sha, environment, runId, runUrl });
}
