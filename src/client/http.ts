import { z } from "zod";
import { API_VERSION } from "../prefect-api/primitives.ts";
import { sleep } from "../shared/abort.ts";
import { errorMessage, TransientError, UserError } from "../shared/errors.ts";
import { buildCredentials, type Credentials } from "./credentials.ts";
import { buildRefusal, readDetail } from "./refusal.ts";
import { FLOWYARD_VERSION } from "./version.ts";

export interface RetryOptions {
  /** Tries after the first one; Prefect's clients make 5. */
  retries: number;
  /** Wait before the first retry without `Retry-After`; doubles each time. */
  firstDelayMs: number;
}

export interface ConnectionOptions extends Credentials {
  /** Base URL of the API; ends in `/api` by convention. */
  apiUrl: string;
  signal?: AbortSignal | undefined;
  /** Once aborted, a request under way is finished, and one that failed is not tried again. */
  patience?: AbortSignal | undefined;
  retry?: Partial<RetryOptions> | undefined;
  /** Told before each wait that a request is tried again after. */
  onRetry?: ((retry: UpcomingRetry) => void) | undefined;
}

export interface UpcomingRetry {
  error: TransientError;
  /** The server says that it is away for a while and will be back. */
  isMaintenance: boolean;
  /** Until the next try. */
  delayMs: number;
  /** Until the last try, about, when the server goes on like this; at least `delayMs`. */
  patienceMs: number;
}

export interface Call {
  method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Begins with a slash; parts that vary are already encoded (`buildPath`). */
  path: string;
  body?: unknown;
  headers?: Record<string, string> | undefined;
  signal?: AbortSignal | undefined;
}

export interface Answer {
  status: number;
  /** Parsed JSON; undefined when the body is empty. */
  body: unknown;
}

/** One server and how to speak to it. Safe to use from many places at once. */
export interface Connection {
  readonly apiUrl: string;
  readonly credentials: Credentials;
  /** Sends, retries, and answers with any 2xx and with 404; every other status is thrown as an error of ours. */
  exchange(call: Call): Promise<Answer>;
}

/** Before the server was reached once, only a connection that it dropped is tried again: anything else is a wrong URL. */
const RETRIED_AT_FIRST: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);
const RETRIED_STATUS: ReadonlySet<number> = new Set([408, 429, 502, 503]);
const REQUEST_TIMEOUT_MS = 60_000;
const MAX_RETRY_DELAY_MS = 60_000;
const DEFAULT_RETRY: RetryOptions = { retries: 5, firstDelayMs: 1000 };

/** Undici wraps the socket's error; the first code found tells what happened. */
function findErrorCode(thrown: unknown): string | undefined {
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
    if ("code" in error && typeof error.code === "string") {
      return error.code;
    }
    if (error instanceof AggregateError && error.errors.length > 0) {
      return findErrorCode(error.errors[0]);
    }
  }
  return undefined;
}

function deepestCause(thrown: unknown): unknown {
  return thrown instanceof Error && thrown.cause instanceof Error ? deepestCause(thrown.cause) : thrown;
}

function describeTransportError(apiUrl: string, thrown: unknown): string {
  const code = findErrorCode(thrown);
  switch (code) {
    case "ECONNREFUSED":
      return `nothing listens at ${apiUrl}`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the host name in ${apiUrl} is unknown`;
    default:
      return thrown instanceof Error && thrown.name === "TimeoutError"
        ? `${apiUrl} did not answer within ${REQUEST_TIMEOUT_MS / 1000} s`
        : `talking to ${apiUrl} failed: ${code ?? errorMessage(deepestCause(thrown))}`;
  }
}

export function buildUnreachable(apiUrl: string, thrown: unknown): TransientError {
  return new TransientError(
    "PLANE_UNREACHABLE",
    `The control plane cannot be reached: ${describeTransportError(apiUrl, thrown)}. ` +
      "Start one with `flowyard server start`, or set PREFECT_API_URL to the API of the one to use.",
    { cause: thrown },
  );
}

function parseRetryAfterMs(header: string | null): number | undefined {
  if (header === null) {
    return undefined;
  }
  const seconds = Number(header);
  const delayMs = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1000;
  return Number.isNaN(delayMs) ? undefined : Math.max(0, delayMs);
}

async function parseBody(apiUrl: string, call: Call, response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === "") {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (!response.ok) {
      return text;
    }
    throw buildUnexpectedAnswer(apiUrl, call, "its body is not JSON", cause);
  }
}

export function buildUnexpectedAnswer(apiUrl: string, call: Call, problem: string, cause: unknown): UserError {
  return new UserError(
    "PLANE_ANSWER_INVALID",
    `${call.method} ${apiUrl}${call.path} was answered with something that is not Prefect's API: ${problem}.`,
    { hint: "Check the API URL: it normally ends in /api.", cause },
  );
}

type Attempt =
  | { done: true; answer: Answer }
  | { done: false; error: TransientError; retryAfterMs: number | undefined; counted: boolean };

export function createConnection(options: ConnectionOptions): Connection {
  const apiUrl = parseApiUrl(options.apiUrl);
  const policy = { ...DEFAULT_RETRY, ...options.retry };
  const never = new AbortController().signal;
  const patience = options.patience ?? never;
  let reached = false;

  async function attempt(call: Call, signal: AbortSignal): Promise<Attempt> {
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(`${apiUrl}${call.path}`, buildRequest(options, call, signal));
      body = await parseBody(apiUrl, call, response);
    } catch (thrown) {
      if (thrown instanceof UserError || signal.aborted) {
        throw thrown;
      }
      const error = buildUnreachable(apiUrl, thrown);
      if (!reached && !RETRIED_AT_FIRST.has(findErrorCode(thrown) ?? "")) {
        throw error;
      }
      return { done: false, error, retryAfterMs: undefined, counted: true };
    }
    reached = true;
    if (response.ok || response.status === 404) {
      return { done: true, answer: { status: response.status, body } };
    }
    if (!RETRIED_STATUS.has(response.status)) {
      throw buildRefusal(apiUrl, call, response.status, body);
    }
    const retryAfterMs = parseRetryAfterMs(response.headers.get("retry-after"));
    return {
      done: false,
      error: new TransientError(
        "PLANE_FAILED",
        `The control plane at ${apiUrl} answered ${response.status} to ${call.method} ${call.path}: ${readDetail(body)}`,
      ),
      retryAfterMs,
      counted: response.headers.get("prefect-maintenance")?.toLowerCase() !== "true",
    };
  }

  async function exchange(call: Call): Promise<Answer> {
    const signals = [options.signal, call.signal].filter((signal) => signal !== undefined);
    const signal = signals.length === 0 ? never : AbortSignal.any(signals);
    for (let failed = 0; ; ) {
      const result = await attempt(call, signal);
      if (result.done) {
        return result.answer;
      }
      if (patience.aborted || (result.counted && failed >= policy.retries)) {
        throw result.error;
      }
      const delayMs = result.retryAfterMs ?? policy.firstDelayMs * 2 ** failed;
      failed += result.counted ? 1 : 0;
      const pauseMs = Math.min(delayMs, MAX_RETRY_DELAY_MS) * (0.8 + Math.random() * 0.4);
      const patienceMs = pauseMs + policy.firstDelayMs * (2 ** policy.retries - 2 ** failed);
      options.onRetry?.({ error: result.error, isMaintenance: !result.counted, delayMs: pauseMs, patienceMs });
      await sleep(pauseMs, AbortSignal.any([signal, patience]));
      signal.throwIfAborted();
      if (patience.aborted) {
        throw result.error;
      }
    }
  }

  return { apiUrl, credentials: { authString: options.authString, apiKey: options.apiKey }, exchange };
}

function parseApiUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new UserError("CONFIG_INVALID", `PREFECT_API_URL is "${text}", which is not an http or https URL.`, {
      hint: "Set it to something like http://127.0.0.1:4200/api.",
    });
  }
  return text.replace(/\/+$/, "");
}

function buildRequest(options: ConnectionOptions, call: Call, signal: AbortSignal): RequestInit {
  const headers: Record<string, string> = {
    accept: "application/json",
    "user-agent": `flowyard/${FLOWYARD_VERSION}`,
    "x-prefect-api-version": API_VERSION,
    ...buildCredentials(options),
    ...call.headers,
  };
  const request: RequestInit = {
    method: call.method,
    headers,
    signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
  };
  if (call.body !== undefined) {
    headers["content-type"] = "application/json";
    request.body = JSON.stringify(call.body);
  }
  return request;
}

/** A path with its varying parts encoded: buildPath`/work_pools/${name}/queues`. */
export function buildPath(texts: TemplateStringsArray, ...parts: string[]): string {
  return texts.reduce((path, text, index) => path + encodeURIComponent(parts[index - 1] ?? "") + text);
}

function parseAnswer<S extends z.ZodType>(connection: Connection, call: Call, schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body);
  if (!parsed.success) {
    throw buildUnexpectedAnswer(connection.apiUrl, call, z.prettifyError(parsed.error), parsed.error);
  }
  return parsed.data;
}

/** Sends and parses. 404 is thrown as UserError NOT_FOUND with the server's words. */
export async function request<S extends z.ZodType>(
  connection: Connection,
  schema: S,
  call: Call,
): Promise<z.output<S>> {
  const answer = await connection.exchange(call);
  if (answer.status === 404) {
    throw buildRefusal(connection.apiUrl, call, 404, answer.body);
  }
  return parseAnswer(connection, call, schema, answer.body);
}

/** As `request`, but undefined when the server knows no such thing. */
export async function find<S extends z.ZodType>(
  connection: Connection,
  schema: S,
  call: Call,
): Promise<z.output<S> | undefined> {
  const answer = await connection.exchange(call);
  return answer.status === 404 ? undefined : parseAnswer(connection, call, schema, answer.body);
}

/** As `request`, and says whether the server made the object (201) or had it already (200). */
export async function requestCreation<S extends z.ZodType>(
  connection: Connection,
  schema: S,
  call: Call,
): Promise<{ value: z.output<S>; created: boolean }> {
  const answer = await connection.exchange(call);
  if (answer.status === 404) {
    throw buildRefusal(connection.apiUrl, call, 404, answer.body);
  }
  return { value: parseAnswer(connection, call, schema, answer.body), created: answer.status === 201 };
}

/** For answers whose body says nothing. */
export async function command(connection: Connection, call: Call): Promise<void> {
  const answer = await connection.exchange(call);
  if (answer.status === 404) {
    throw buildRefusal(connection.apiUrl, call, 404, answer.body);
  }
}
