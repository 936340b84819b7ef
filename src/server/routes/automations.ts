import { randomUUID } from "node:crypto";
import { z } from "zod";
import {
  deleteAutomation,
  getAutomation,
  putAutomation,
  setAutomationEnabled,
} from "../../orchestration/automations.ts";
import type { Automation } from "../../prefect-api/automations.ts";
import { CreateAutomation } from "../../prefect-api/automations.ts";
import { AutomationFilter, FilterAutomations } from "../../prefect-api/filters.ts";
import { MAX_PAGE_SIZE, Uuid } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByResource = z.object({ resourceId: z.string() });
/** A put without `enabled` leaves an operator's pause alone, as Prefect's server does. */
const UpdateAutomation = CreateAutomation.omit({ owner_resource: true }).extend({ enabled: z.boolean().optional() });
const PatchAutomation = z.strictObject({ enabled: z.boolean().default(true) });
const CountAutomations = z.object({ automations: AutomationFilter });

/** Stored and answered as they were sent; their triggers are not evaluated. */
export function registerAutomations(api: App, { store, clock }: AppDeps): void {
  const config = { modelErrors: true };

  api.post("/automations", { schema: { body: CreateAutomation } }, async (request, reply) => {
    const now = clock.now();
    const created = timestampFromDate(now);
    const { owner_resource: owner, ...sent } = request.body;
    const automation: Automation = { ...sent, id: randomUUID(), created, updated: created };
    await store.transaction((tx) => putAutomation(tx, automation, owner ?? null, now));
    return reply.code(201).send(automation);
  });

  api.get("/automations/:id", { schema: { params: ById }, config }, ({ params }) => getAutomation(store, params.id));

  api.put(
    "/automations/:id",
    { schema: { params: ById, body: UpdateAutomation }, config },
    async ({ params, body }, reply) => {
      await store.transaction(async (tx) => {
        const now = clock.now();
        const stored = await getAutomation(tx, params.id);
        const owner = await tx.automations.findOwner(params.id);
        await putAutomation(
          tx,
          { ...stored, ...body, enabled: body.enabled ?? stored.enabled, updated: timestampFromDate(now) },
          owner,
          now,
        );
      });
      return reply.code(204).send();
    },
  );

  api.patch(
    "/automations/:id",
    { schema: { params: ById, body: PatchAutomation }, config },
    async ({ params, body }, reply) => {
      await setAutomationEnabled(store, params.id, body.enabled, clock.now());
      return reply.code(204).send();
    },
  );

  api.delete("/automations/:id", { schema: { params: ById }, config }, async ({ params }, reply) => {
    await deleteAutomation(store, params.id, clock.now());
    return reply.code(204).send();
  });

  api.post("/automations/filter", { schema: { body: FilterAutomations } }, ({ body }) =>
    store.automations.list(body.automations, { sort: body.sort, limit: checkLimit(body.limit), offset: body.offset }),
  );

  api.post("/automations/count", { schema: { body: CountAutomations } }, ({ body }) =>
    store.automations.count(body.automations),
  );

  api.get("/automations/related-to/:resourceId", { schema: { params: ByResource } }, ({ params }) =>
    store.automations.listRelatedTo(params.resourceId, MAX_PAGE_SIZE),
  );

  api.delete("/automations/owned-by/:resourceId", { schema: { params: ByResource } }, async ({ params }, reply) => {
    await store.transaction((tx) => tx.automations.removeOwnedBy(params.resourceId));
    return reply.code(202).send(null);
  });
}
