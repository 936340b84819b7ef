import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { VersionType } from "./schema.ts";
import type { Environment } from "./template.ts";

const run = promisify(execFile);
const SHORT_SHA_LENGTH = 8;
const GIT_TIMEOUT_MS = 10_000;

/** What is sent as `version_info`; all but the first two only when the code comes from version control. */
export type VersionInfo = {
  type: string;
  version: string;
  commit_sha?: string;
  message?: string;
  branch?: string;
  repository?: string;
  url?: string;
};

interface ContinuousIntegration {
  type: VersionType;
  sha: string;
  branch: string;
  repository: string;
  buildUrl: (env: Environment, repository: string, sha: string) => string;
}

/** The variables of each CI system, in the order in which Prefect tries them (source: prefect/_internal/versioning.py). */
const SYSTEMS: readonly ContinuousIntegration[] = [
  {
    type: "vcs:github",
    sha: "GITHUB_SHA",
    branch: "GITHUB_REF_NAME",
    repository: "GITHUB_REPOSITORY",
    buildUrl: (env, repository, sha) => `${env["GITHUB_SERVER_URL"] ?? "None"}/${repository}/tree/${sha}`,
  },
  {
    type: "vcs:gitlab",
    sha: "CI_COMMIT_SHA",
    branch: "CI_COMMIT_REF_NAME",
    repository: "CI_PROJECT_NAME",
    buildUrl: (env, _, sha) => `${env["CI_PROJECT_URL"] ?? "None"}/-/tree/${sha}`,
  },
  {
    type: "vcs:bitbucket",
    sha: "BITBUCKET_COMMIT",
    branch: "BITBUCKET_BRANCH",
    repository: "BITBUCKET_REPO_SLUG",
    buildUrl: (env, _, sha) => `${env["BITBUCKET_GIT_HTTP_ORIGIN"] ?? "None"}/src/${sha}`,
  },
  {
    type: "vcs:azuredevops",
    sha: "BUILD_SOURCEVERSION",
    branch: "BUILD_SOURCEBRANCHNAME",
    repository: "BUILD_REPOSITORY_NAME",
    buildUrl: (env, _, sha) => `${env["BUILD_REPOSITORY_URI"] ?? "None"}?version=GC${sha}`,
  },
];

/**
 * Where the code comes from, when that can be told: a CI system's variables plus the commit's message from git, or a git
 * checkout with a remote. Undefined when it cannot; then the version is just a text.
 */
export async function findVersionInfo(
  root: string,
  env: Environment,
  type: VersionType | undefined,
): Promise<VersionInfo | undefined> {
  if (type === "prefect:simple") {
    return undefined;
  }
  const message = await readGit(root, env, ["log", "-1", "--pretty=%B"]);
  const firstLine = message?.split("\n")[0];
  if (firstLine === undefined || firstLine === "") {
    return undefined;
  }
  for (const system of SYSTEMS) {
    const info = type === undefined || type === system.type ? readSystem(system, env, firstLine) : undefined;
    if (info !== undefined) {
      return info;
    }
  }
  return type === undefined || type === "vcs:git" ? readCheckout(root, env, firstLine) : undefined;
}

function readSystem(system: ContinuousIntegration, env: Environment, message: string): VersionInfo | undefined {
  const sha = env[system.sha];
  const branch = env[system.branch];
  const repository = env[system.repository];
  if (!sha || !branch || !repository) {
    return undefined;
  }
  const url = system.buildUrl(env, repository, sha);
  return {
    type: system.type,
    version: sha.slice(0, SHORT_SHA_LENGTH),
    commit_sha: sha,
    message,
    branch,
    repository,
    url,
  };
}

async function readCheckout(root: string, env: Environment, message: string): Promise<VersionInfo | undefined> {
  const sha = await readGit(root, env, ["rev-parse", "HEAD"]);
  const branch = await readGit(root, env, ["rev-parse", "--abbrev-ref", "HEAD"]);
  const url = await readGit(root, env, ["config", "--get", "remote.origin.url"]);
  if (!sha || !branch || !url) {
    return undefined;
  }
  const version = sha.slice(0, SHORT_SHA_LENGTH);
  return { type: "vcs:git", version, commit_sha: sha, message, branch, repository: readRepository(url), url };
}

/** The path of a URL; an address like `git@host:owner/name` has no path of its own and stays whole. */
function readRepository(remote: string): string {
  const pathname = URL.parse(remote)?.pathname ?? remote;
  return pathname.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
}

/** Trimmed output, or undefined when git is missing or this is no checkout: then there is nothing to say. */
async function readGit(root: string, env: Environment, args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run("git", args, { cwd: root, env: { ...env }, timeout: GIT_TIMEOUT_MS });
    return stdout.trim();
  } catch {
    return undefined;
  }
}
