import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { FENCING_TOKEN_HEADER } from "../../src/flowyard-api/claims.ts";
import { saysAway, sendAway } from "./away.ts";
import type { RelayDeps } from "./relay-deps.ts";

/** An answer up to this size is read whole before any of it goes on, so that one that breaks off can be asked for again. */
const MAX_HELD_BYTES = 8 * 1024 * 1024;
/** Of one connection to the next, of one side to the other, and what only the relay may say. */
const NOT_PASSED_ON =
  /^(?:authorization|cookie|expect|forwarded|http2-settings|keep-alive|te|trailer|transfer-encoding|upgrade|flowyard-.*|prefect-automation-.*|proxy-.*|x-forwarded-.*)$/;
/** What the plane says of its connection to the relay. */
const OF_ONE_CONNECTION: ReadonlySet<string> = new Set(["connection", "keep-alive", "upgrade", "trailer"]);
/** What undici calls a request that it cannot send: no fault of the plane's. */
const UNSENDABLE = /^UND_ERR_(?:INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)$/;

interface Forwarded {
  /** The path below `/api`, with its query, as it came. */
  path: string;
  /** Of the claim for which the run speaks; null where it says nothing about its own state. */
  fencingToken: number | null;
  /** Told what the plane answered, unless that is very long. */
  onAnswer: (status: number, body: Buffer) => void;
}

/** Sends a request to the plane under the worker's credentials, and its answer back. */
export function forwardRequest(
  deps: RelayDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { path, fencingToken, onAnswer }: Forwarded,
): FastifyReply {
  const { apiUrl, authorization } = deps.upstream;
  return reply.from(`${new URL(apiUrl).pathname.replace(/\/$/, "")}${path}`, {
    ...readBody(request),
    // The real client tries again; here that would hold a connection and tell it nothing.
    retryDelay: () => null,
    rewriteRequestHeaders: ({ method }, headers) => {
      const isBodiless = method === "GET" || method === "HEAD";
      const passed = Object.entries(headers).filter(
        ([name]) => !(NOT_PASSED_ON.test(name) || (isBodiless && name === "content-length")),
      );
      return {
        ...Object.fromEntries(passed),
        ...(authorization === undefined ? {} : { authorization }),
        ...(fencingToken === null ? {} : { [FENCING_TOKEN_HEADER]: String(fencingToken) }),
      };
    },
    rewriteHeaders: (headers) =>
      Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_ONE_CONNECTION.has(name))),
    onResponse: (_request, _answer, response) => {
      const body = readStream(response);
      deps.plane.isThere = !saysAway(reply.statusCode, String(reply.getHeader("content-type")));
      if (deps.plane.isThere) {
        void passAnswer(deps, reply, { body, onAnswer });
      } else {
        body.on("error", () => undefined).resume();
        sendAway(reply);
      }
    },
    onError: (_reply, { error }) => {
      if (UNSENDABLE.test(findCode(error))) {
        void reply.code(400).send({ exception_message: "This request cannot be passed on.", code: "INVALID_REQUEST" });
        return;
      }
      deps.plane.isThere = false;
      sendAway(reply);
    },
  });
}

/** Read whole before: who sends slowly holds no connection to the plane. */
function readBody({ method, body, headers }: FastifyRequest): { body?: Buffer | null; contentType?: string } {
  if (method === "GET" || method === "HEAD") {
    return {};
  }
  if (!Buffer.isBuffer(body) || body.length === 0) {
    return { body: null };
  }
  return { body, contentType: headers["content-type"] ?? "application/json" };
}

function readStream(response: unknown): Readable {
  if (typeof response === "object" && response !== null && "stream" in response) {
    const { stream } = response;
    if (stream instanceof Readable) {
      return stream;
    }
  }
  throw new TypeError("an answer of the plane is no stream");
}

async function passAnswer(
  deps: RelayDeps,
  reply: FastifyReply,
  { body, onAnswer }: Pick<Forwarded, "onAnswer"> & { body: Readable },
): Promise<void> {
  const held: Buffer[] = [];
  let size = 0;
  const rest = body[Symbol.asyncIterator]();
  try {
    while (size <= MAX_HELD_BYTES) {
      const { done, value } = await rest.next();
      if (done === true) {
        const whole = Buffer.concat(held);
        onAnswer(reply.statusCode, whole);
        void reply.send(whole);
        return;
      }
      held.push(Buffer.from(value));
      size += value.length;
    }
  } catch {
    deps.plane.isThere = false;
    sendAway(reply);
    return;
  }
  void reply.send(Readable.from(continueWith(held, rest)));
}

async function* continueWith(held: readonly Buffer[], rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield* held;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
    yield next.value;
  }
}

function findCode(thrown: unknown): string {
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
    if ("code" in error && typeof error.code === "string" && error.code.startsWith("UND_ERR_")) {
      return error.code;
    }
  }
  return "";
}
