import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { sendAway, sendLater } from "./away.ts";
import { readNamedRuns } from "./named-runs.ts";
import { type Access, decideAccess, refuseBeyond, type Target, TOKEN_ENDED } from "./relay-access.ts";
import type { RelayDeps } from "./relay-deps.ts";
import { parseRunAuthString, type RunIdentity, readBasicAuthString } from "./run-token.ts";
import { Shares } from "./shares.ts";

/** Requests of one run at the same time; more wait, so that no run keeps the others from the plane. */
const MAX_AT_ONCE = 64;

const UNAUTHORIZED = { exception_message: "Unauthorized", code: "UNAUTHORIZED" };

interface Admitted {
  identity: RunIdentity | undefined;
  access: Access;
}

/** Lets requests in that a run may make. Answers who made one; undefined for a socket, which tells in its first frame. */
export function admitRuns(
  api: FastifyInstance,
  deps: RelayDeps,
): { identityOf: (request: FastifyRequest) => RunIdentity | undefined } {
  const admitted = new WeakMap<FastifyRequest, Admitted>();
  const shares = new Shares(MAX_AT_ONCE);

  api.addHook("onRequest", async (request, reply) => {
    const identity = identify(deps, request);
    if (identity === undefined && !request.ws) {
      return reply.code(401).send(UNAUTHORIZED);
    }
    const { method, url } = request;
    const use = identity?.use ?? "run";
    const access = decideAccess({ method, url, isSocket: request.ws, use, reach: deps.runsReach });
    if (access.kind === "refused") {
      return refuse(deps, request, reply, access.refusal);
    }
    admitted.set(request, { identity, access });
    if (identity === undefined || request.ws) {
      return;
    }
    if (!shares.take(identity.flow_run_id)) {
      return sendLater(reply, `A run may make ${MAX_AT_ONCE} requests at the same time.`);
    }
    reply.raw.once("close", () => shares.giveBack(identity.flow_run_id));
    if (identity.use === "run" && (await deps.standing.isOver(identity.flow_run_id))) {
      return refuse(deps, request, reply, TOKEN_ENDED);
    }
  });

  api.addHook("preHandler", async (request, reply) => {
    const { identity, access } = admitted.get(request) ?? {};
    if (identity === undefined || access === undefined) {
      return;
    }
    const targets = listTargets(request, access);
    if (targets === undefined) {
      const exception_message = "Invalid request received.";
      return reply.code(422).send({ exception_message, code: "INVALID_REQUEST" });
    }
    for (const target of targets) {
      const belonging = await deps.standing.findBelonging(identity.flow_run_id, target);
      if (belonging === "unknown") {
        return sendAway(reply);
      }
      if (belonging === "other") {
        return refuse(deps, request, reply, refuseBeyond(request.method, request.url).refusal);
      }
    }
  });

  return { identityOf: (request) => admitted.get(request)?.identity };
}

function identify(deps: RelayDeps, request: FastifyRequest): RunIdentity | undefined {
  const authString = readBasicAuthString(request.headers.authorization);
  return authString === undefined ? undefined : parseRunAuthString(deps.secret, authString);
}

/** The runs that must be the run's own; undefined for a body that cannot be read. */
function listTargets(request: FastifyRequest, access: Access): readonly Target[] | undefined {
  switch (access.kind) {
    case "own":
      return [access.target];
    case "creates":
      return readNamedRuns(request.body, access.key);
    case "open":
    case "refused":
      return [];
  }
}

function refuse(
  { logger }: RelayDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, body }: { status: number; body: { exception_message: string; code: string } },
): FastifyReply {
  logger.debug({ code: body.code, method: request.method }, "A run was refused");
  return reply.code(status).send(body);
}
