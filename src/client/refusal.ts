import { z } from "zod";
import { TransientError, UserError } from "../shared/errors.ts";
import type { Call } from "./http.ts";

/** The server's own words about a refusal: the `cause` of the error that we throw for it. */
class ServerRefusal extends Error {
  override readonly name = "ServerRefusal";
  readonly status: number;
  /** Parsed JSON, as it came. */
  readonly body: unknown;

  constructor(status: number, detail: string, body: unknown) {
    super(detail);
    this.status = status;
    this.body = body;
  }
}

/** The HTTP status behind an error of the client, when a server answered at all. */
export function refusalStatus(thrown: unknown): number | undefined {
  return thrown instanceof Error && thrown.cause instanceof ServerRefusal ? thrown.cause.status : undefined;
}

/** All that a server said with its refusal. */
export function refusalBody(thrown: unknown): unknown {
  return thrown instanceof Error && thrown.cause instanceof ServerRefusal ? thrown.cause.body : undefined;
}

/** The server's own sentence behind an error of the client. */
export function refusalDetail(thrown: unknown): string | undefined {
  return thrown instanceof Error && thrown.cause instanceof ServerRefusal ? thrown.cause.message : undefined;
}

const Issue = z.object({ loc: z.array(z.union([z.string(), z.number()])).default([]), msg: z.string() });
const ErrorBody = z.object({
  detail: z.union([z.string(), z.array(Issue)]).nullish(),
  exception_message: z.string().nullish(),
  exception_detail: z.union([z.array(Issue), z.string()]).nullish(),
});
const MAX_RAW_CHARACTERS = 300;

function describeIssues(issues: z.infer<typeof Issue>[]): string {
  return issues.map((issue) => `${issue.loc.join(".") || "body"}: ${issue.msg}`).join("; ");
}

/** The sentence for a person in any of the error bodies that Prefect's server and ours send. */
export function readDetail(body: unknown): string {
  const parsed = ErrorBody.safeParse(body);
  if (!parsed.success) {
    const text = typeof body === "string" ? body : (JSON.stringify(body) ?? "no body");
    return text.slice(0, MAX_RAW_CHARACTERS);
  }
  const { detail, exception_message, exception_detail } = parsed.data;
  if (Array.isArray(exception_detail) && exception_detail.length > 0) {
    return `${exception_message ?? "Invalid request"} ${describeIssues(exception_detail)}`;
  }
  if (Array.isArray(detail)) {
    return describeIssues(detail);
  }
  return detail ?? exception_message ?? "no reason given";
}

const MISSING_ROUTE_DETAIL = "Not Found";

export function buildRefusal(apiUrl: string, call: Call, status: number, body: unknown): UserError | TransientError {
  const detail = readDetail(body);
  const cause = new ServerRefusal(status, detail, body);
  if (status === 401) {
    return new UserError("UNAUTHORIZED", `The control plane at ${apiUrl} refused the credentials (HTTP ${status}).`, {
      hint: "Set PREFECT_API_AUTH_STRING (user:password) or PREFECT_API_KEY, or store it with `flowyard config set`.",
      cause,
    });
  }
  if (status === 404) {
    const hint = "Check the API URL: it normally ends in /api.";
    return detail === MISSING_ROUTE_DETAIL
      ? new UserError("NOT_FOUND", `${apiUrl} has no ${call.method} ${call.path} (HTTP 404).`, { hint, cause })
      : new UserError("NOT_FOUND", detail, { cause });
  }
  if (status >= 500) {
    const message = `The control plane at ${apiUrl} failed on ${call.method} ${call.path} (HTTP ${status}): ${detail}`;
    return new TransientError("PLANE_FAILED", message, { cause });
  }
  return new UserError(
    "PLANE_REFUSED",
    `The control plane refused ${call.method} ${call.path} (HTTP ${status}): ${detail}`,
    {
      cause,
    },
  );
}
