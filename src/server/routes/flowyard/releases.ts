import type { FastifyReply } from "fastify";
import { z } from "zod";
import { ApplyRelease, FilterReleases, FindDrift, ReleaseCandidate, RollBack } from "../../../flowyard-api/releases.ts";
import {
  applyRelease,
  diffReleases,
  findDrift,
  getRelease,
  planRelease,
  planRollback,
  type ReleaseOutcome,
  rollBack,
} from "../../../orchestration/releases/releases.ts";
import { Uuid } from "../../../prefect-api/primitives.ts";
import { ERROR_CODES } from "../../../shared/error-codes.ts";
import type { App, RouteDeps } from "../../app-deps.ts";

const ById = z.object({ id: Uuid });
const DiffFrom = z.object({ from: Uuid.optional() });

/** No answer of these has a release's candidate: values that look secret leave the plane hidden or not at all. */
export function registerReleases(api: App, deps: RouteDeps): void {
  const { store, clock } = deps;

  api.post("/flowyard/releases/plan", { schema: { body: ReleaseCandidate } }, ({ body }) =>
    planRelease(deps, body, clock.now()),
  );

  api.post("/flowyard/releases", { schema: { body: ApplyRelease } }, async ({ body }, reply) => {
    const outcome = await applyRelease(deps, body.candidate, body.plan_hash ?? null, clock.now());
    return sendOutcome(reply, outcome);
  });

  api.post("/flowyard/releases/rollback/plan", { schema: { body: RollBack } }, ({ body }) =>
    planRollback(deps, body, clock.now()),
  );

  api.post("/flowyard/releases/rollback", { schema: { body: RollBack } }, async ({ body }, reply) =>
    sendOutcome(reply, await rollBack(deps, body, clock.now())),
  );

  api.post("/flowyard/releases/drift", { schema: { body: FindDrift } }, ({ body }) =>
    findDrift(deps, body.scope, clock.now()),
  );

  api.post("/flowyard/releases/filter", { schema: { body: FilterReleases } }, ({ body }) =>
    store.releases.list({ ...body.scope, live: body.live ?? undefined }, { limit: body.limit, offset: body.offset }),
  );

  api.get("/flowyard/releases/:id", { schema: { params: ById } }, ({ params }) => getRelease(store, params.id));

  api.get("/flowyard/releases/:id/diff", { schema: { params: ById, querystring: DiffFrom } }, ({ params, query }) =>
    diffReleases(deps, params.id, query.from ?? null, clock.now()),
  );
}

function sendOutcome(reply: FastifyReply, outcome: ReleaseOutcome): FastifyReply {
  return "refused" in outcome
    ? reply.code(ERROR_CODES[outcome.refused.code].status).send(outcome.refused)
    : reply.code(outcome.applied.changed ? 201 : 200).send(outcome.applied);
}
