import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { checkRequest, checkResponse } from "./contract.ts";
import { findOperation, type Operation } from "./description.ts";
import { asObject, Json, type JsonObject } from "./json.ts";
import { Oidc } from "./oidc.ts";
import { type Answer, type Implementations, Refused } from "./operation.ts";
import { commitOperations } from "./operations/commits.ts";
import { deploymentOperations } from "./operations/deployments.ts";
import { issueOperations } from "./operations/issues.ts";
import { pullOperations } from "./operations/pulls.ts";
import { reportOperations } from "./operations/reports.ts";
import { repositoryOperations } from "./operations/repository.ts";
import { cutPage } from "./page.ts";
import { describePermissions, isAllowed, type TokenPermissions, Tokens } from "./tokens.ts";
import { World } from "./world.ts";

export const implementations: Implementations = {
  ...commitOperations,
  ...deploymentOperations,
  ...issueOperations,
  ...pullOperations,
  ...reportOperations,
  ...repositoryOperations,
};

const VERSIONS = ["2022-11-28", "2026-03-10"];
const HOURLY_LIMIT = 1000;

export interface RecordedCall {
  /** null for a request that GitHub's description does not know. */
  operation: Operation | null;
  method: string;
  path: string;
  body: Json | undefined;
  status: number;
}

/** An answer that a test wants instead of the real one. */
export interface PlannedFailure {
  /** The operation's id, or null for any request. */
  operation: string | null;
  status: number;
  message?: string;
  headers?: Record<string, string>;
  /** How often; for ever when absent. */
  times?: number;
  delayMs?: number;
}

export interface FakeGithub extends AsyncDisposable {
  url: string;
  world: World;
  oidc: Oidc;
  calls: RecordedCall[];
  /** What broke GitHub's contract: the caller's unknown names, and answers of the fake itself. Must stay empty. */
  problems: string[];
  rate: { remaining: number };
  issueToken(permissions: TokenPermissions, login?: string): string;
  fail(failure: PlannedFailure): void;
}

interface Reply {
  status: number;
  body?: Json | undefined;
  headers: Record<string, string>;
}

/** A GitHub of one repository behind a real HTTP server, held to GitHub's own description of its API. */
export async function startFakeGithub(world = new World()): Promise<FakeGithub> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the fake GitHub has no port");
  }
  const url = `http://127.0.0.1:${address.port}`;
  const tokens = new Tokens();
  const failures: PlannedFailure[] = [];
  const github: FakeGithub = {
    url,
    world,
    oidc: new Oidc(url),
    calls: [],
    problems: [],
    rate: { remaining: HOURLY_LIMIT },
    issueToken: (permissions, login) => tokens.issue(permissions, login),
    fail: (failure) => failures.push({ ...failure }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    handle(github, tokens, failures, request)
      .catch((error: unknown): Reply => {
        github.problems.push(`the fake broke on ${request.method} ${request.url}: ${error}`);
        return { status: 500, body: { message: "Server Error" }, headers: {} };
      })
      .then((reply) => send(response, reply))
      .catch(() => response.destroy());
  });
  return github;
}

function send(response: ServerResponse, { status, body, headers }: Reply): void {
  const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json; charset=utf-8" };
  response.writeHead(status, { ...type, ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

async function handle(
  github: FakeGithub,
  tokens: Tokens,
  failures: PlannedFailure[],
  request: IncomingMessage,
): Promise<Reply> {
  const url = new URL(request.url ?? "/", github.url);
  const text = await readText(request);
  if (url.pathname.startsWith("/oidc/")) {
    const failure = takeFailure(failures, "oidc");
    return failure === undefined
      ? { headers: {}, ...github.oidc.answer(url.pathname, url.searchParams, request.headers.authorization) }
      : { status: failure.status, body: { message: failure.message ?? "" }, headers: failure.headers ?? {} };
  }
  const found = findOperation(request.method ?? "GET", url.pathname);
  const reply = await answer(github, tokens, failures, { request, url, text, found });
  const { method = "GET" } = request;
  github.calls.push({
    operation: found?.operation ?? null,
    method,
    path: url.pathname,
    body: parseJson(text),
    status: reply.status,
  });
  if (found !== null) {
    const problems = checkResponse(found.operation, reply.status, reply.body).filter((it) => !isDeletedFork(it));
    github.problems.push(...problems.map((it) => `${found.operation.id} answered ${reply.status}: ${it}`));
  }
  return reply;
}

/** GitHub sends `head.repo: null` for a deleted fork, against its own description. */
function isDeletedFork(problem: string): boolean {
  return /^(\/\d+)?\/head\/repo must be/.test(problem);
}

interface Received {
  request: IncomingMessage;
  url: URL;
  text: string;
  found: { operation: Operation; params: JsonObject } | null;
}

async function answer(
  github: FakeGithub,
  tokens: Tokens,
  failures: PlannedFailure[],
  received: Received,
): Promise<Reply> {
  try {
    return await answerOrRefuse(github, tokens, failures, received);
  } catch (error) {
    if (!(error instanceof Refused)) {
      throw error;
    }
    const accepted = received.found === null ? "" : describePermissions(received.found.operation);
    const headers: Record<string, string> = error.status === 403 ? { "x-accepted-github-permissions": accepted } : {};
    return { status: error.status, body: error.body, headers: { ...rateHeaders(github), ...headers } };
  }
}

async function answerOrRefuse(
  github: FakeGithub,
  tokens: Tokens,
  failures: PlannedFailure[],
  { request, url, text, found }: Received,
): Promise<Reply> {
  checkHeaders(request);
  const token = tokens.find(request.headers.authorization);
  if (token === undefined) {
    throw new Refused(401, request.headers.authorization === undefined ? "Requires authentication" : "Bad credentials");
  }
  const failure = takeFailure(failures, found?.operation.id ?? null);
  if (failure !== undefined) {
    await delay(failure.delayMs ?? 0);
    const refused = new Refused(failure.status, failure.message ?? "planned by the test");
    return { status: failure.status, body: refused.body, headers: { ...rateHeaders(github), ...failure.headers } };
  }
  if (github.rate.remaining <= 0) {
    throw new Refused(403, "API rate limit exceeded for installation.");
  }
  github.rate.remaining -= 1;
  if (found === null || url.pathname.endsWith("/")) {
    throw new Refused(404, "Not Found");
  }
  const { operation, params } = found;
  const body = parseBody(operation, text);
  const moved = findMove(github, params, url);
  if (moved !== undefined) {
    return { status: 301, body: { message: "Moved Permanently", url: moved }, headers: { location: moved } };
  }
  if (!isAllowed(operation, token)) {
    throw new Refused(403, "Resource not accessible by integration");
  }
  const { invalid, unknown } = checkRequest(operation, url.searchParams, body);
  github.problems.push(...unknown.map((it) => `${operation.id} was asked with ${it}`));
  if (invalid.length > 0) {
    throw new Refused(422, `Invalid request.\n\n${invalid.join("\n")}`);
  }
  const run = implementations[operation.id];
  if (run === undefined) {
    github.problems.push(`${operation.id} is not implemented`);
    throw new Refused(404, "Not Found");
  }
  const { world } = github;
  const given = run({
    world,
    params,
    query: url.searchParams,
    body: asObject(body) ?? {},
    login: token.login,
  });
  return finish(github, request, url, given);
}

function checkHeaders(request: IncomingMessage): void {
  if ((request.headers["user-agent"] ?? "") === "") {
    throw new Refused(
      403,
      "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
    );
  }
  const version = request.headers["x-github-api-version"];
  if (version !== undefined && !VERSIONS.includes(String(version))) {
    throw new Refused(400, `"${version}" is not a supported version`);
  }
}

/** Where the request should have gone: the repository was renamed, or does not exist (and then it is not found). */
function findMove({ world }: FakeGithub, params: JsonObject, url: URL): string | undefined {
  const { owner, repo } = params;
  if (owner === undefined || repo === undefined) {
    return undefined;
  }
  const asked = `${owner}/${repo}`;
  if (asked.toLowerCase() === `${world.owner}/${world.repo}`.toLowerCase()) {
    return undefined;
  }
  if (world.formerName !== asked) {
    throw new Refused(404, "Not Found");
  }
  return String(url).replace(asked, `${world.owner}/${world.repo}`);
}

function takeFailure(failures: PlannedFailure[], operation: string | null): PlannedFailure | undefined {
  const failure = failures.find((it) => it.operation === null || it.operation === operation);
  if (failure?.times !== undefined) {
    failure.times -= 1;
    if (failure.times <= 0) {
      failures.splice(failures.indexOf(failure), 1);
    }
  }
  return failure;
}

function finish(github: FakeGithub, request: IncomingMessage, url: URL, given: Answer): Reply {
  const page =
    "list" in given ? cutPage(given.list, given.wrap, url) : { body: given.body, headers: given.headers ?? {} };
  const status = "list" in given ? 200 : given.status;
  const etag = `"${createHash("sha256")
    .update(JSON.stringify(page.body ?? null))
    .digest("hex")}"`;
  if (request.method === "GET" && request.headers["if-none-match"] === etag) {
    github.rate.remaining += 1; // a 304 costs nothing
    return { status: 304, headers: { ...rateHeaders(github), etag } };
  }
  return { status, body: page.body, headers: { ...rateHeaders(github), ...page.headers, etag } };
}

function rateHeaders({ rate }: FakeGithub): Record<string, string> {
  return {
    "x-ratelimit-limit": String(HOURLY_LIMIT),
    "x-ratelimit-remaining": String(Math.max(0, rate.remaining)),
    "x-ratelimit-used": String(HOURLY_LIMIT - rate.remaining),
    "x-ratelimit-reset": String(Math.floor(Date.now() / 1000) + 60),
    "x-ratelimit-resource": "core",
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string): Json | undefined {
  try {
    return Json.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function parseBody(operation: Operation, text: string): Json | undefined {
  const body = text === "" ? undefined : parseJson(text);
  if (text !== "" && body === undefined && operation.method !== "GET") {
    throw new Refused(400, "Problems parsing JSON");
  }
  return body;
}
