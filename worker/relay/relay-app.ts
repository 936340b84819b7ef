import replyFrom from "@fastify/reply-from";
import type { WebSocket } from "@fastify/websocket";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { CLOSE_MALFORMED } from "../../src/prefect-api/socket-messages.ts";
import { registerSocketSupport, requireSubprotocol } from "../../src/sockets/socket-support.ts";
import { admitRuns } from "./admission.ts";
import { forwardRequest } from "./forward-request.ts";
import { readMadeRun } from "./named-runs.ts";
import { readPath } from "./relay-access.ts";
import type { RelayDeps } from "./relay-deps.ts";
import { passThrough, takeEvents } from "./relay-sockets.ts";
import type { RunIdentity } from "./run-token.ts";
import { ServerVersion } from "./server-version.ts";
import { SETTLED_PATH, SettledAnswer } from "./settled.ts";
import { limitConnections } from "./shares.ts";
import { registerSpooled } from "./spooled-routes.ts";

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
const SET_STATE = /^\/api\/flow_runs\/([^/]+)\/set_state$/;
const CREATED_STATUS = 201;
const MAKES_RUN = /^\/api\/(?:(?:flow|task)_runs|deployments\/[^/]+\/create_flow_run)$/;

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
  limitConnections(app.server);
  const version = new ServerVersion(deps.upstream);
  await registerSocketSupport(app);
  await app.register(replyFrom, {
    base: new URL(deps.upstream.apiUrl).origin,
    undici: {
      headersTimeout: deps.answerMs,
      bodyTimeout: deps.answerMs,
      connections: MAX_CONNECTIONS,
      // Left out, the plugin takes any certificate.
      connect: { rejectUnauthorized: true },
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
    const { identityOf } = admitRuns(api, deps);
    const forward = (request: FastifyRequest, reply: FastifyReply) =>
      forwardForRun(deps, request, reply, identityOf(request));
    registerSpooled(api, deps, identityOf);
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

async function forwardForRun(
  deps: RelayDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  identity: RunIdentity | undefined,
): Promise<FastifyReply> {
  const path = readPath(request.url) ?? "";
  const [, stateOf] = SET_STATE.exec(path) ?? [];
  if (stateOf !== undefined && deps.plane.isThere) {
    // Whoever watches the run sees its last lines before its end.
    await deps.spool.untilSettled(AbortSignal.timeout(SETTLE_MS));
  }
  const isOwnState = stateOf !== undefined && stateOf.toLowerCase() === identity?.flow_run_id;
  const makes = request.method === "POST" && MAKES_RUN.test(path);
  return forwardRequest(deps, request, reply, {
    path: request.url.slice("/api".length),
    fencingToken: isOwnState ? identity.fencing_token : null,
    onAnswer: (status, body) => {
      if (isOwnState) {
        deps.standing.forget(identity.flow_run_id);
      }
      const made = makes ? readMadeRun(body) : undefined;
      if (made?.above) {
        deps.standing.learn(made.id, made.above);
      } else if (made !== undefined && status === CREATED_STATUS && identity !== undefined) {
        deps.created.note(made.id, identity.flow_run_id);
      }
    },
  });
}
