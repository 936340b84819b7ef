import { randomUUID } from "node:crypto";
import type { getOctokit } from "@actions/github";
import { retry } from "@octokit/plugin-retry";
import { throttling } from "@octokit/plugin-throttling";
import { errorMessage } from "../shared/errors.ts";
import { describeAcceptedPermissions } from "./permission.ts";

export interface GitHubOptions {
  apiUrl: string;
  token: string;
  /** `owner/name` */
  repository: string;
  userAgent: string;
  /** Told once for each thing that could not be done; reporting goes on without it. */
  onProblem: (message: string) => void;
}

export interface GitHub {
  rest: ReturnType<typeof getOctokit>["rest"];
  owner: string;
  repo: string;
  /** Does one thing on GitHub. Never throws: undefined when it could not be done, and the problem was told. */
  attempt<T>(
    what: string,
    work: (github: GitHub, signal: AbortSignal) => Promise<T>,
    /** Keys of `permissions:` that all of it needs; GitHub only names that of the call it refused. */
    needs?: string,
  ): Promise<T | undefined>;
}

/** Reports are decoration: nothing waits longer than this for one of them. */
const ATTEMPT_TIMEOUT_MS = 30_000;
const MAX_WAIT_SECONDS = 20;
const RETRIES = 2;

/** Writing to and reading from one repository, with GitHub's rate limits and the runner's proxies respected. */
export async function createGitHub(options: GitHubOptions): Promise<GitHub> {
  const { apiUrl, token, repository, userAgent, onProblem } = options;
  // When it is loaded it parses the event's file, unchecked: not before we have.
  const { getOctokit: connect } = await import("@actions/github");
  const [owner = "", repo = ""] = repository.split("/");
  const quiet = () => undefined;
  const waits = (retryAfter: number, _options: unknown, _octokit: unknown, retryCount: number) =>
    retryCount === 0 && retryAfter <= MAX_WAIT_SECONDS;
  const settings = {
    baseUrl: apiUrl.replace(/\/$/, ""),
    userAgent,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    retry: { retries: RETRIES },
    // Limits are kept by id for the whole process; another connection has its own.
    throttle: { id: randomUUID(), onRateLimit: waits, onSecondaryRateLimit: waits },
  };
  const octokit = connect(token, settings, throttling, retry);
  const told = new Set<string>();
  const github: GitHub = {
    rest: octokit.rest,
    owner,
    repo,
    async attempt(what, work, needs) {
      try {
        return await work(github, AbortSignal.timeout(ATTEMPT_TIMEOUT_MS));
      } catch (error) {
        const message = describeGitHubProblem(what, error, needs);
        if (!told.has(message)) {
          told.add(message);
          onProblem(message);
        }
        return undefined;
      }
    },
  };
  return github;
}

/** The HTTP status behind what octokit throws. */
export function findStatus(error: unknown): number | undefined {
  return error instanceof Error && "status" in error && typeof error.status === "number" ? error.status : undefined;
}

function findHeader(error: unknown, name: string): string | undefined {
  if (!(error instanceof Error) || !("response" in error)) {
    return undefined;
  }
  const { response } = error;
  if (typeof response !== "object" || response === null || !("headers" in response)) {
    return undefined;
  }
  const headers: Record<string, unknown> = { ...Object(response.headers) };
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

function describeGitHubProblem(what: string, error: unknown, needs?: string): string {
  const status = findStatus(error);
  const accepted = findHeader(error, "x-accepted-github-permissions");
  if ((status === 403 || status === 404) && accepted !== undefined && !isRateLimit(error)) {
    return (
      `${what} was left out: the token may not do it (HTTP ${status}). Add ${needs ?? describeAcceptedPermissions(accepted)} to ` +
      `\`permissions:\` of the job. GitHub said: X-Accepted-GitHub-Permissions: ${accepted}`
    );
  }
  if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError")) {
    return `${what} was left out: GitHub did not answer within ${ATTEMPT_TIMEOUT_MS / 1000} s.`;
  }
  const [reason = ""] = errorMessage(error).split("\n");
  return `${what} was left out: ${status === undefined ? "" : `HTTP ${status}, `}${reason}`;
}

function isRateLimit(error: unknown): boolean {
  return findHeader(error, "retry-after") !== undefined || findHeader(error, "x-ratelimit-remaining") === "0";
}
