import replyFrom from "@fastify/reply-from";
import type { WebSocket } from "@fastify/websocket";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z } from "zod";
import { Event } from "../../src/prefect-api/events.ts";
import { CreateLog } from "../../src/prefect-api/logs.ts";
import { parseJson } from "../../src/prefect-api/parse-json.ts";
import { CLOSE_MALFORMED } from "../../src/prefect-api/socket-messages.ts";
import { stopEarly } from "../../src/prefect-api/stop-early.ts";
import { registerSocketSupport, requireSubprotocol } from "../../src/sockets/socket-support.ts";
import { sendAway } from "./away.ts";
import { forwardRequest } from "./forward-request.ts";
import { KEEP_OR_REFUSE_HEADER } from "./keep-or-refuse.ts";
import { decideAccess, readPath } from "./relay-access.ts";
import type { RelayDeps } from "./relay-deps.ts";
import { passThrough, takeEvents } from "./relay-sockets.ts";
import { parseRunAuthString, type RunIdentity, readBasicAuthString } from "./run-token.ts";
import { ServerVersion } from "./server-version.ts";
import { SETTLED_PATH, SettledAnswer } from "./settled.ts";

/** As the plane's own: what it would refuse is not kept for it. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** Slow as it may be, a request has arrived by then. Prefect's clients give up after 60 s. */
const REQUEST_TIMEOUT_MS = 120_000;
/** The real client gives up on an answer after 60 s and counts that as a failure: it hears of an outage before. */
export const ANSWER_MS = 40_000;
/** A final state waits this long for the lines that were said before it. */
const SETTLE_MS = 5000;
/** To the plane; requests wait for one. */
const MAX_CONNECTIONS = 256;
const SET_STATE = /^\/api\/flow_runs\/([0-9a-f-]{36})\/set_state\/?$/i;
const NO_ROOM_STATUS = 507;

/**
 * What containers take for the plane. Logs and events go into the spool and are answered at once, whatever the plane
 * does; the rest goes through to it. While it is away, containers are told to come back, which the real client does for
 * as long as it takes without counting it as a failure (surface §1.1).
 */
export async function buildRelayApp(deps: RelayDeps): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    routerOptions: { maxParamLength: 2000 },
    forceCloseConnections: true,
  });
  const identities = new WeakMap<FastifyRequest, RunIdentity>();
  const version = new ServerVersion(deps.upstream);
  await registerSocketSupport(app);
  await app.register(replyFrom, {
    base: new URL(deps.upstream.apiUrl).origin,
    undici: {
      headersTimeout: deps.answerMs,
      bodyTimeout: deps.answerMs,
      connections: MAX_CONNECTIONS,
      // Left out, the plugin takes any certificate.
      tls: { rejectUnauthorized: true },
    },
    disableRequestLogging: true,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

  app.get("/relay/health", (_request, reply) =>
    reply.send({ plane: deps.plane.isThere, waiting_bytes: deps.spool.waitingBytes }),
  );
  app.get(SETTLED_PATH, async (_request, reply) => {
    const waited = AbortSignal.timeout(SETTLE_MS);
    await deps.spool.untilSettled(waited);
    return reply.send(SettledAnswer.parse({ settled: !waited.aborted }));
  });
  await app.register((api, _options, done) => {
    api.addHook("onRequest", (request, reply, next) => {
      const identity = identify(deps, request);
      // Sockets bring their credentials in their first frame.
      const isKnown = request.ws || identity !== undefined;
      const refusal = isKnown ? decideAccess(request.method, request.url) : UNAUTHORIZED;
      if (refusal !== undefined) {
        void reply.code(refusal.status).send(refusal.body);
        return;
      }
      if (identity !== undefined) {
        identities.set(request, identity);
      }
      next();
    });
    const forward = async (request: FastifyRequest, reply: FastifyReply) => {
      const [, stateOf] = SET_STATE.exec(readPath(request.url) ?? "") ?? [];
      if (stateOf !== undefined && deps.plane.isThere) {
        // Whoever watches the run sees its last lines before its end.
        await deps.spool.untilSettled(AbortSignal.timeout(SETTLE_MS));
      }
      const identity = identities.get(request);
      const isOwnState = stateOf !== undefined && stateOf.toLowerCase() === identity?.flow_run_id;
      const fencingToken = isOwnState ? identity.fencing_token : null;
      return forwardRequest(deps, request, reply, { path: request.url.slice("/api".length), fencingToken });
    };
    void api.register((spooled, _spooledOptions, spooledDone) => {
      registerSpooled(spooled, deps);
      spooledDone();
    });
    api.get("/api/admin/version", async (_request, reply) => reply.type("application/json").send(await version.find()));
    api.addHook("preValidation", requireSubprotocol);
    api.get("/api/events/in", { websocket: true }, (socket) => endBadly(deps, socket, takeEvents(deps, socket)));
    api.route({
      method: "GET",
      url: "/api/*",
      handler: forward,
      wsHandler: (socket, request) => endBadly(deps, socket, passThrough(deps, socket, request)),
    });
    api.route({ method: ["POST", "PUT", "PATCH", "DELETE"], url: "/api/*", handler: forward });
    done();
  });
  return app;
}

/** What one run's frames do to the code that reads them must not end the relay of all runs. */
function endBadly({ logger }: RelayDeps, socket: WebSocket, reading: Promise<void>): void {
  reading.catch((error: unknown) => {
    logger.warn({ err: error }, "A socket's frames could not be dealt with");
    socket.close(CLOSE_MALFORMED, "a frame could not be dealt with");
  });
}

const UNAUTHORIZED = { status: 401, body: { exception_message: "Unauthorized", code: "UNAUTHORIZED" } };

function identify(deps: RelayDeps, request: FastifyRequest): RunIdentity | undefined {
  const authString = readBasicAuthString(request.headers.authorization);
  return authString === undefined ? undefined : parseRunAuthString(deps.secret, authString);
}

const Logs = stopEarly(z.array(CreateLog));
const Events = stopEarly(z.array(Event));

function registerSpooled(api: FastifyInstance, deps: RelayDeps): void {
  api.removeAllContentTypeParsers();
  api.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  for (const path of ["/api/logs", "/api/logs/"]) {
    api.post(path, (request, reply) => {
      const logs = parseBody(Logs, request.body);
      if (!logs.success) {
        return reply.code(422).send(describeProblem(logs.error));
      }
      if (request.headers[KEEP_OR_REFUSE_HEADER] === undefined) {
        deps.inbox.addLogs(logs.data);
      } else if (!deps.inbox.keepLogs(logs.data)) {
        return reply.code(NO_ROOM_STATUS).send({ exception_message: "The relay has no room." });
      }
      return reply.code(201).type("application/json").send("null");
    });
  }
  for (const path of ["/api/events", "/api/events/"]) {
    api.post(path, (request, reply) => {
      const events = parseBody(Events, request.body);
      if (!events.success) {
        return reply.code(422).send(describeProblem(events.error));
      }
      return deps.inbox.addEvents(events.data) ? reply.code(204).send() : sendAway(reply);
    });
  }
}

function parseBody<S extends z.ZodType>(schema: S, body: unknown) {
  try {
    return schema.safeParse(parseJson(String(body)));
  } catch {
    return schema.safeParse(undefined);
  }
}

function describeProblem(error: z.ZodError) {
  return { exception_message: "Invalid request received.", exception_detail: z.prettifyError(error) };
}
