import { randomUUID } from "node:crypto";
import { z } from "zod";
import { readBlockDocument } from "../../orchestration/block-documents.ts";
import { type BlockType, CreateBlockType, UpdateBlockType } from "../../prefect-api/blocks.ts";
import { paging } from "../../prefect-api/filters.ts";
import { MAX_PAGE_SIZE, Uuid } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const BySlug = z.object({ slug: z.string() });
const BySlugAndName = z.object({ slug: z.string(), name: z.string() });
/** Query strings carry booleans as Python and people write them. */
export const IncludeSecrets = z.object({
  include_secrets: z
    .string()
    .transform((text) => ["true", "1", "yes", "on"].includes(text.toLowerCase()))
    .default(false),
});
const FilterBlockTypes = z.object({
  block_types: z
    .object({
      name: z.object({ like_: z.string().nullish() }).nullish(),
      slug: z.object({ any_: z.array(z.string()).nullish() }).nullish(),
    })
    .nullish(),
  block_schemas: z.unknown().optional(),
  ...paging,
});

function required<T>(found: T | undefined | false, what = "Block type not found"): T {
  if (found === undefined || found === false) {
    throw new UserError("NOT_FOUND", what);
  }
  return found;
}

export function registerBlockTypes(api: App, deps: AppDeps): void {
  const { store, clock } = deps;
  registerDocumentsOfType(api, deps);

  api.post("/block_types", { schema: { body: CreateBlockType } }, async ({ body }, reply) => {
    const now = timestampFromDate(clock.now());
    const type: BlockType = {
      id: randomUUID(),
      created: now,
      updated: now,
      name: body.name,
      slug: body.slug,
      logo_url: body.logo_url ?? null,
      documentation_url: body.documentation_url ?? null,
      description: body.description ?? null,
      code_example: body.code_example ?? null,
      is_protected: false,
    };
    try {
      await store.transaction((tx) => tx.blocks.insertType(type));
    } catch (cause) {
      if (hasCode(cause, "ALREADY_EXISTS")) {
        throw new UserError("ALREADY_EXISTS", `Block type with name "${body.name}" already exists`, { cause });
      }
      throw cause;
    }
    return reply.code(201).send(type);
  });

  api.get("/block_types/:id", { schema: { params: ById } }, async ({ params }) =>
    required(await store.blocks.findType(params)),
  );

  api.get("/block_types/slug/:slug", { schema: { params: BySlug } }, async ({ params }) =>
    required(await store.blocks.findType(params)),
  );

  api.post("/block_types/filter", { schema: { body: FilterBlockTypes } }, ({ body }) =>
    store.blocks.listTypes(
      { nameLike: body.block_types?.name?.like_, slugs: body.block_types?.slug?.any_ },
      { limit: checkLimit(body.limit), offset: body.offset },
    ),
  );

  api.patch(
    "/block_types/:id",
    { schema: { params: ById, body: UpdateBlockType } },
    async ({ params, body }, reply) => {
      const changes = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
      const updated = timestampFromDate(clock.now());
      required(await store.transaction((tx) => tx.blocks.updateType(params.id, changes, updated)));
      return reply.code(204).send();
    },
  );

  api.delete("/block_types/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    required(await store.transaction((tx) => tx.blocks.removeType(params.id)));
    return reply.code(204).send();
  });
}

function registerDocumentsOfType(api: App, { store }: AppDeps): void {
  api.get(
    "/block_types/slug/:slug/block_documents",
    { schema: { params: BySlug, querystring: IncludeSecrets } },
    async ({ params, query }) => {
      const type = required(await store.blocks.findType({ slug: params.slug }));
      const documents = await store.blocks.listDocuments({ typeIds: [type.id] }, { limit: MAX_PAGE_SIZE, offset: 0 });
      const includeSecrets = query.include_secrets;
      return Promise.all(documents.map((document) => readBlockDocument(store, document, { includeSecrets })));
    },
  );

  api.get(
    "/block_types/slug/:slug/block_documents/name/:name",
    { schema: { params: BySlugAndName, querystring: IncludeSecrets } },
    async ({ params, query }) => {
      const filter = { typeSlugs: [params.slug], names: [params.name] };
      const [document] = await store.blocks.listDocuments(filter, { limit: 1, offset: 0 });
      return readBlockDocument(store, required(document, "Block document not found"), {
        includeSecrets: query.include_secrets,
      });
    },
  );
}
