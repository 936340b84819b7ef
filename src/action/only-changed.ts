import { findChangedFiles } from "../github/changed-files.ts";
import type { ReleaseRequest } from "../release/release.ts";
import type { Step } from "./step.ts";

/** Whether nothing in the project's folder differs from the commit that is live. In doubt it is not. */
export async function isUntouched(step: Step, { client, scope, source }: ReleaseRequest): Promise<boolean> {
  const capabilities = await client.releases.findCapabilities();
  const github = step.findGitHub();
  if (
    capabilities === undefined ||
    github === undefined ||
    source.commit_sha === null ||
    source.commit_sha === undefined
  ) {
    return false;
  }
  const live = (await client.releases.list({ scope, limit: 20 })).find((release) => release.live);
  const liveSha = live?.source.commit_sha;
  if (liveSha === null || liveSha === undefined) {
    return false;
  }
  const files = liveSha === source.commit_sha ? [] : await findChangedFiles(github, liveSha, source.commit_sha);
  const folder = scope.project_path === "." ? "" : `${scope.project_path}/`;
  return files !== undefined && !files.some((file) => file.startsWith(folder));
}
