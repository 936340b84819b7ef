import { randomUUID } from "node:crypto";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { type Acquisition, acquireSlots, releaseSlots, renewLease } from "../../orchestration/acquire-slots.ts";
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
import { isUuid, Uuid } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";
import type { Nouns } from "../../storage/store.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ByIdOrName = z.object({ id_or_name: z.string() });
const ByLease = z.object({ lease_id: Uuid });
/** Prefect's guess at how long a slot is held, until there is a measurement. */
const DEFAULT_OCCUPANCY_SECONDS = 2;

async function getLimit({ concurrencyLimits }: Nouns, idOrName: string): Promise<ConcurrencyLimit> {
  const byId = isUuid(idOrName) ? await concurrencyLimits.find(idOrName.toLowerCase()) : undefined;
  const found = byId ?? (await concurrencyLimits.findByName(idOrName));
  if (found === undefined) {
    throw new UserError("NOT_FOUND", "Concurrency Limit not found");
  }
  return found;
}

export function registerConcurrencyLimits(api: App, deps: AppDeps): void {
  registerSlots(api, deps);
  const { store, clock } = deps;

  api.post("/v2/concurrency_limits", { schema: { body: CreateConcurrencyLimit } }, async ({ body }, reply) => {
    const now = timestampFromDate(clock.now());
    const { active_slots, ...limit } = body;
    const row = { id: randomUUID(), created: now, updated: now, ...limit };
    const added = { ...row, avg_slot_occupancy_seconds: DEFAULT_OCCUPANCY_SECONDS };
    await naming(body.name, () =>
      store.transaction(async (tx) => {
        await tx.concurrencyLimits.insert(added);
        await tx.concurrencyLimits.addUnleasedSlots([added.id], active_slots);
      }),
    );
    return reply.code(201).send(await getLimit(store, added.id));
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
      await naming(body.name ?? "", () =>
        store.transaction(async (tx) => {
          const limit = await getLimit(tx, params.id_or_name);
          await tx.concurrencyLimits.update(limit.id, toChanges(body));
        }),
      );
      return reply.code(204).send();
    },
  );

  api.delete("/v2/concurrency_limits/:id_or_name", { schema: { params: ByIdOrName } }, async ({ params }, reply) => {
    await store.transaction(async (tx) => {
      const limit = await getLimit(tx, params.id_or_name);
      await tx.concurrencyLimits.remove(limit.id);
    });
    return reply.code(204).send();
  });
}

/** What Prefect's server tells of a limit once it is made. */
function toPublic({ denied_slots: _, avg_slot_occupancy_seconds: __, ...limit }: ConcurrencyLimit) {
  return limit;
}

/** `active_slots` sets what is held without a lease: leases are freed by their holders, or end. */
function toChanges({ active, name, limit, active_slots, denied_slots, slot_decay_per_second }: UpdateConcurrencyLimit) {
  return {
    ...(active != null && { active }),
    ...(name != null && { name }),
    ...(limit != null && { limit }),
    ...(active_slots != null && { unleased_slots: active_slots }),
    ...(denied_slots != null && { denied_slots }),
    ...(slot_decay_per_second != null && { slot_decay_per_second }),
  };
}

/** Says which name is taken. */
async function naming(name: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    if (hasCode(cause, "ALREADY_EXISTS")) {
      throw new UserError("ALREADY_EXISTS", `A concurrency limit with the name "${name}" already exists.`, { cause });
    }
    throw cause;
  }
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
    releaseSlots(store, body.names, body.slots),
  );

  api.post(
    "/v2/concurrency_limits/decrement-with-lease",
    { schema: { body: DecrementWithLease } },
    async ({ body }, reply) => {
      await store.transaction((tx) => tx.leases.remove(body.lease_id));
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
