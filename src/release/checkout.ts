import { execFile } from "node:child_process";
import { realpath } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import type { Environment } from "../project/template.ts";

const run = promisify(execFile);
const GIT_TIMEOUT_MS = 10_000;

/** Where a project's folder comes from, as far as git and the CI system's variables can tell. */
export interface Checkout {
  /** `owner/name`; the folder's name for a project that is in no repository with a remote. */
  repository: string;
  /** Address for people: `https://github.com/owner/name`. */
  url: string | undefined;
  /** From the repository's root, with `/`; `.` for the root. */
  projectPath: string;
  commitSha: string | undefined;
  /** ISO 8601 in UTC. */
  committedAt: string | undefined;
  ref: string | undefined;
}

/** GitHub's variables win over git, which on a runner may see a merge commit or a remote with a token in it. */
export async function findCheckout(root: string, env: Environment): Promise<Checkout> {
  const [top, commit, branch, remote] = await Promise.all([
    readGit(root, env, ["rev-parse", "--show-toplevel"]),
    readGit(root, env, ["log", "-1", "--format=%H %cI"]),
    readGit(root, env, ["symbolic-ref", "--quiet", "HEAD"]),
    readGit(root, env, ["config", "--get", "remote.origin.url"]),
  ]);
  const [sha, date] = commit?.split(" ") ?? [];
  const { GITHUB_REPOSITORY, GITHUB_SERVER_URL, GITHUB_SHA, GITHUB_REF } = env;
  const place = remote === undefined ? undefined : parseRemote(remote);
  const commitSha = GITHUB_SHA || sha;
  return {
    repository: GITHUB_REPOSITORY || place?.repository || path.basename(root),
    url: GITHUB_REPOSITORY ? `${GITHUB_SERVER_URL || "https://github.com"}/${GITHUB_REPOSITORY}` : place?.url,
    projectPath: top === undefined ? "." : await findProjectPath(top, root),
    commitSha,
    // Another commit's date would put releases into a wrong order.
    committedAt: date === undefined || sha !== commitSha ? undefined : new Date(date).toISOString(),
    ref: GITHUB_REF || branch,
  };
}

async function findProjectPath(top: string, root: string): Promise<string> {
  const relative = path.relative(await realpath(top), await realpath(root));
  return relative === "" ? "." : relative.split(path.sep).join("/");
}

/** Of `https://user:token@host/owner/name.git`, `git@host:owner/name.git` and the like; never the credentials. */
export function parseRemote(remote: string): { repository: string; url: string | undefined } {
  const scp = /^(?:[^@/]+@)?([^:/]+):(?!\/\/)(.+)$/.exec(remote);
  const parsed = scp === null ? URL.parse(remote) : null;
  const host = scp?.[1] ?? parsed?.host ?? "";
  const repository = (scp?.[2] ?? parsed?.pathname ?? remote).replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
  return { repository, url: host === "" || parsed?.protocol === "file:" ? undefined : `https://${host}/${repository}` };
}

/** Trimmed output, or undefined when git is missing, this is no checkout or there is nothing to say. */
async function readGit(root: string, env: Environment, args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run("git", args, { cwd: root, env: { ...env }, timeout: GIT_TIMEOUT_MS });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}
