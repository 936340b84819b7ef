import type { FastifyReply } from "fastify";
import { z } from "zod";
import {
  type Acquisition,
  acquireSlots,
  releaseLease,
  releaseSlots,
  renewLease,
} from "../../orchestration/slots/acquire-slots.ts";
import { createLimit, deleteLimit, getLimit, updateLimit } from "../../orchestration/slots/concurrency-limits.ts";
import { listSlotHolders } from "../../orchestration/slots/list-slot-holders.ts";
import {
  CreateConcurrencyLimit,
  Decrement,
  DecrementWithLease,
  Increment,
  IncrementWithLease,
  RenewLease,
  UpdateConcurrencyLimit,
} from "../../prefect-api/concurrency-limits.ts";
import { paging } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ByIdOrName = z.object({ id_or_name: z.string() });
const ByLease = z.object({ lease_id: Uuid });

export function registerConcurrencyLimits(api: App, deps: AppDeps): void {
  registerSlots(api, deps);
  const { store, clock } = deps;

  api.post("/v2/concurrency_limits", { schema: { body: CreateConcurrencyLimit } }, async ({ body }, reply) => {
    const limit = await createLimit(store, body, clock.now());
    return reply.code(201).send(toCreated(limit));
  });

  api.get("/v2/concurrency_limits/:id_or_name", { schema: { params: ByIdOrName } }, async ({ params }) =>
    toPublic(await getLimit(store, params.id_or_name)),
  );

  api.post("/v2/concurrency_limits/filter", { schema: { body: z.object(paging) } }, async ({ body }) => {
    const limits = await store.concurrencyLimits.list({ limit: checkLimit(body.limit), offset: body.offset });
    return limits.map(toPublic);
  });

  api.patch(
    "/v2/concurrency_limits/:id_or_name",
    { schema: { params: ByIdOrName, body: UpdateConcurrencyLimit } },
    async ({ params, body }, reply) => {
      await updateLimit(store, params.id_or_name, body, clock.now());
      return reply.code(204).send();
    },
  );

  api.get("/flowyard/concurrency_limits/:id_or_name/holders", { schema: { params: ByIdOrName } }, ({ params }) =>
    listSlotHolders(store, params.id_or_name, clock.now()),
  );

  api.delete("/v2/concurrency_limits/:id_or_name", { schema: { params: ByIdOrName } }, async ({ params }, reply) => {
    await deleteLimit(store, params.id_or_name, clock.now());
    return reply.code(204).send();
  });
}

/** What Prefect's server tells of a limit once it is made. */
function toPublic({ avg_slot_occupancy_seconds: _, decayed_at: __, ...limit }: ConcurrencyLimit) {
  return limit;
}

/** Refusals are not counted: how long to wait is decided from what is taken. */
function toCreated({ decayed_at: _, ...limit }: ConcurrencyLimit) {
  const { slot_decay_per_second, avg_slot_occupancy_seconds, ...counts } = limit;
  return { ...counts, denied_slots: 0, slot_decay_per_second, avg_slot_occupancy_seconds };
}

function registerSlots(api: App, { store, clock }: AppDeps): void {
  api.post("/v2/concurrency_limits/increment", { schema: { body: Increment } }, async ({ body }, reply) => {
    const acquisition = await acquireSlots(store, { ...body, lease: null }, clock.now());
    return acquisition.acquired ? acquisition.limits : refuse(reply, acquisition);
  });

  api.post(
    "/v2/concurrency_limits/increment-with-lease",
    { schema: { body: IncrementWithLease } },
    async ({ body }, reply) => {
      const lease = { seconds: body.lease_duration, holder: body.holder ?? null };
      const acquisition = await acquireSlots(store, { ...body, lease }, clock.now());
      return acquisition.acquired
        ? { lease_id: acquisition.leaseId, limits: acquisition.limits }
        : refuse(reply, acquisition);
    },
  );

  api.post("/v2/concurrency_limits/decrement", { schema: { body: Decrement } }, ({ body }) =>
    releaseSlots(
      store,
      { names: body.names, slots: body.slots, occupancySeconds: body.occupancy_seconds ?? null },
      clock.now(),
    ),
  );

  api.post(
    "/v2/concurrency_limits/decrement-with-lease",
    { schema: { body: DecrementWithLease } },
    async ({ body }, reply) => {
      await releaseLease(store, body.lease_id, clock.now());
      return reply.code(204).send();
    },
  );

  api.post(
    "/v2/concurrency_limits/leases/:lease_id/renew",
    { schema: { params: ByLease, body: RenewLease } },
    async ({ params, body }, reply) => {
      await renewLease(store, params.lease_id, body.lease_duration, clock.now());
      return reply.code(204).send();
    },
  );
}

function refuse(reply: FastifyReply, { retryAfterSeconds }: Extract<Acquisition, { acquired: false }>): FastifyReply {
  return reply
    .code(423)
    .header("retry-after", String(retryAfterSeconds))
    .send({ detail: "All slots of a concurrency limit are taken.", code: "SLOTS_TAKEN" });
}
