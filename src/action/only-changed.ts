import { findChangedFiles } from "../github/changed-files.ts";
import { loadProject } from "../project/load.ts";
import type { ReleaseRequest } from "../release/release.ts";
import type { SelectedProject } from "./select-projects.ts";
import type { Step } from "./step.ts";

/**
 * Whether nothing in the project's folder differs from the commit that is live, and all of it is. In doubt, and of a
 * part of a project, it is not.
 */
export async function isUntouched(
  step: Step,
  { root, file, names }: SelectedProject,
  { client, scope, source }: ReleaseRequest,
): Promise<boolean> {
  const github = await step.findGitHub();
  const sha = source.commit_sha;
  if (github === undefined || !sha || names.length > 0 || (await client.releases.findCapabilities()) === undefined) {
    return false;
  }
  const [live] = await client.releases.list({ scope, live: true, limit: 1 });
  const liveSha = live?.source.commit_sha;
  // Whoever released a part last has released no more of that commit.
  if (!liveSha || live?.deployments.length !== (await loadProject(root, file)).entries.length) {
    return false;
  }
  const files = liveSha === sha ? [] : await findChangedFiles(github, liveSha, sha);
  const folder = scope.project_path === "." ? "" : `${scope.project_path}/`;
  return files !== undefined && !files.some((path) => path.startsWith(folder));
}
