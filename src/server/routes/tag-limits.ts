import { z } from "zod";
import {
  acquireTagSlots,
  deleteTagLimit,
  getTagLimit,
  listTagLimits,
  releaseTagSlots,
  resetTagLimit,
  saveTagLimit,
} from "../../orchestration/slots/tag-limits.ts";
import { paging } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { ChangeTagSlots, CreateTagLimit, ResetTagLimit } from "../../prefect-api/tag-limits.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByTag = z.object({ tag: z.string() });
const NULL_BODY = "null";

/** The first version of concurrency limits, for task tags alone: the limits `tag:<tag>` of the second. */
export function registerTagLimits(api: App, deps: AppDeps): void {
  registerTagSlots(api, deps);
  const { store, clock } = deps;

  api.post("/concurrency_limits", { schema: { body: CreateTagLimit } }, async ({ body }, reply) => {
    const saved = await saveTagLimit(store, body, clock.now());
    return reply.code(saved.created ? 201 : 200).send(saved.limit);
  });

  api.post("/concurrency_limits/filter", { schema: { body: z.object(paging) } }, ({ body }) =>
    listTagLimits(store, { limit: checkLimit(body.limit), offset: body.offset }, clock.now()),
  );

  api.get("/concurrency_limits/:id", { schema: { params: ById } }, ({ params }) =>
    getTagLimit(store, params, clock.now()),
  );

  api.get("/concurrency_limits/tag/:tag", { schema: { params: ByTag } }, ({ params }) =>
    getTagLimit(store, params, clock.now()),
  );

  api.delete("/concurrency_limits/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    await deleteTagLimit(store, params, clock.now());
    return reply.type("application/json").send(NULL_BODY);
  });

  api.delete("/concurrency_limits/tag/:tag", { schema: { params: ByTag } }, async ({ params }, reply) => {
    await deleteTagLimit(store, params, clock.now());
    return reply.type("application/json").send(NULL_BODY);
  });

  api.post(
    "/concurrency_limits/tag/:tag/reset",
    { schema: { params: ByTag, body: ResetTagLimit } },
    async ({ params, body }, reply) => {
      await resetTagLimit(store, params.tag, body.slot_override ?? [], clock.now());
      return reply.type("application/json").send(NULL_BODY);
    },
  );
}

function registerTagSlots(api: App, { store, clock }: AppDeps): void {
  api.post("/concurrency_limits/increment", { schema: { body: ChangeTagSlots } }, async ({ body }, reply) => {
    const acquisition = await acquireTagSlots(store, body.names, body.task_run_id, clock.now());
    if (acquisition.acquired) {
      return acquisition.limits;
    }
    const { retryAfterSeconds, reason } = acquisition;
    if (retryAfterSeconds !== null) {
      reply.header("retry-after", String(retryAfterSeconds));
    }
    return reply.code(423).send({ detail: reason, code: "SLOTS_TAKEN" });
  });

  api.post("/concurrency_limits/decrement", { schema: { body: ChangeTagSlots } }, ({ body }) =>
    releaseTagSlots(store, body.names, body.task_run_id),
  );
}
