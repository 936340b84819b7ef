import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { ERROR_CODES, type ErrorCode } from "../shared/error-codes.ts";
import { TransientError, UserError } from "../shared/errors.ts";
import { describeProblems, type ValidationProblem } from "./describe-problems.ts";
import type { RefusalLog } from "./refusal-log.ts";

/** What a body may be at most. Prefect's clients send logs in batches of up to 4 MB, and nothing larger. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A rejected body is repeated in the answer, as Prefect does, unless it is longer than this. */
const MAX_ECHO_CHARACTERS = 10_000;
/** Long enough for a database that starts again, short enough to go on soon. */
const RETRY_AFTER_SECONDS = 1;
const NOT_REPEATED = "too long to repeat";
/** Of a list with thousands of wrong items a few say enough. */
const MAX_PROBLEMS = 100;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Prefect's model layer answers for this route: its 404 says `exception_message` where routes say `detail`. */
    modelErrors?: boolean;
  }
}

/** The body is no JSON. The message is the reader's. */
export class UnreadableBody extends Error {
  override readonly name = "UnreadableBody";
}

/** Every error of a route ends here, as an answer that Prefect's clients read (surface §1.4), with our code beside. */
export function buildErrorHandler(refusals: RefusalLog) {
  return (error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    if (error instanceof TransientError) {
      refusals.note(error, request.log);
      return sendUnavailable(error, reply);
    }
    return answerError(error, request, reply);
  };
}

function answerError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof UserError) {
    return sendUserError(error.code, error.message, request, reply);
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    return sendInvalid(error.validationContext ?? "body", error.validation, request, reply);
  }
  if (error instanceof UnreadableBody) {
    return reply.code(422).send({
      exception_message: "Invalid request received.",
      exception_detail: [{ loc: ["body"], msg: `JSON decode error: ${error.message}`, type: "json_invalid" }],
      request_body: null,
      code: "INVALID_REQUEST",
    });
  }
  return sendOther(error, request, reply);
}

function sendUnavailable(error: TransientError, reply: FastifyReply): FastifyReply {
  return reply
    .code(503)
    .header("retry-after", RETRY_AFTER_SECONDS)
    .send({ exception_message: "Service Unavailable", detail: error.message, code: "SERVICE_UNAVAILABLE" });
}

/** A path that no route can have: bad escapes, or a part that is too long. It has reached no hook. */
export function answerUnroutable(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.code(error.statusCode ?? 400).send({ detail: error.message, code: "INVALID_REQUEST" });
}

function sendUserError(code: ErrorCode, message: string, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const key = request.routeOptions.config.modelErrors === true ? "exception_message" : "detail";
  return reply.code(ERROR_CODES[code].status).send({ [key]: message, code });
}

function sendInvalid(
  context: string,
  problems: readonly ValidationProblem[],
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (context === "params") {
    // Prefect's routes only match well-formed ids.
    return reply.code(404).send({ detail: "Not Found", code: "NOT_FOUND" });
  }
  const inBody = context === "body";
  const described = describeProblems(problems, inBody ? "body" : "query", inBody ? request.body : request.query);
  const length = JSON.stringify(request.body ?? null).length;
  const short = length <= MAX_ECHO_CHARACTERS;
  return reply.code(422).send({
    exception_message: "Invalid request received.",
    exception_detail: described
      .slice(0, MAX_PROBLEMS)
      .map((problem) => (short ? problem : { ...problem, input: NOT_REPEATED })),
    request_body: short ? (request.body ?? null) : `${NOT_REPEATED} (${length} characters)`,
    code: "INVALID_REQUEST",
  });
}

function sendOther(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : 500;
  if (status === 413) {
    return reply.code(413).send({
      detail: `The request body is larger than the limit of ${MAX_BODY_BYTES} bytes (8 MiB).`,
      code: "BODY_TOO_LARGE",
    });
  }
  if (status >= 400 && status < 500) {
    return reply.code(status).send({ detail: error.message, code: "INVALID_REQUEST" });
  }
  request.log.error({ err: error, method: request.method, route: request.routeOptions.url }, "unexpected error");
  return reply.code(500).send({ exception_message: "Internal Server Error", request_id: request.id });
}
