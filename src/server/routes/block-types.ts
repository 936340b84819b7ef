import { z } from "zod";
import { readBlockDocument } from "../../orchestration/blocks/block-documents.ts";
import {
  createBlockType,
  deleteBlockType,
  getBlockType,
  updateBlockType,
} from "../../orchestration/blocks/block-types.ts";
import { BlockSchemaFilter, CreateBlockType, UpdateBlockType } from "../../prefect-api/blocks.ts";
import { paging } from "../../prefect-api/filters.ts";
import { MAX_PAGE_SIZE, Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
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
  block_schemas: BlockSchemaFilter,
  ...paging,
});

export function registerBlockTypes(api: App, deps: AppDeps): void {
  const { store, clock } = deps;
  registerDocumentsOfType(api, deps);

  api.post("/block_types", { schema: { body: CreateBlockType } }, async ({ body }, reply) =>
    reply.code(201).send(await createBlockType(store, body, clock.now())),
  );

  api.get("/block_types/:id", { schema: { params: ById } }, ({ params }) => getBlockType(store, params));

  api.get("/block_types/slug/:slug", { schema: { params: BySlug } }, ({ params }) => getBlockType(store, params));

  api.post("/block_types/filter", { schema: { body: FilterBlockTypes } }, ({ body }) =>
    store.blocks.listTypes(
      {
        nameLike: body.block_types?.name?.like_,
        slugs: body.block_types?.slug?.any_,
        schemas: body.block_schemas,
      },
      { limit: checkLimit(body.limit), offset: body.offset },
    ),
  );

  api.patch(
    "/block_types/:id",
    { schema: { params: ById, body: UpdateBlockType } },
    async ({ params, body }, reply) => {
      await updateBlockType(store, params.id, body, clock.now());
      return reply.code(204).send();
    },
  );

  api.delete("/block_types/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    await deleteBlockType(store, params.id, clock.now());
    return reply.code(204).send();
  });
}

function registerDocumentsOfType(api: App, { store }: AppDeps): void {
  api.get(
    "/block_types/slug/:slug/block_documents",
    { schema: { params: BySlug, querystring: IncludeSecrets } },
    async ({ params, query }) => {
      const type = await getBlockType(store, params);
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
      if (document === undefined) {
        throw new UserError("NOT_FOUND", "Block document not found");
      }
      return readBlockDocument(store, document, { includeSecrets: query.include_secrets });
    },
  );
}
