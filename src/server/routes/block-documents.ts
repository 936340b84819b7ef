import { z } from "zod";
import {
  createBlockDocument,
  deleteBlockDocument,
  readBlockDocument,
  updateBlockDocument,
} from "../../orchestration/blocks/block-documents.ts";
import { BlockSchemaFilter, CreateBlockDocument, UpdateBlockDocument } from "../../prefect-api/blocks.ts";
import { paging } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";
import { IncludeSecrets } from "./block-types.ts";

const ById = z.object({ id: Uuid });
const AnyId = z.object({ any_: z.array(Uuid).nullish() }).nullish();
const AnyText = z.object({ any_: z.array(z.string()).nullish() }).nullish();

const filterKeys = {
  block_documents: z
    .object({
      id: AnyId,
      name: z.object({ any_: z.array(z.string()).nullish(), like_: z.string().nullish() }).nullish(),
      block_type_id: AnyId,
      is_anonymous: z.object({ eq_: z.boolean().nullish() }).nullish(),
    })
    .nullish(),
  block_types: z.object({ slug: AnyText }).nullish(),
  block_schemas: BlockSchemaFilter,
};
const FilterBlockDocuments = z.object({ ...filterKeys, include_secrets: z.boolean().nullish(), ...paging });
const CountBlockDocuments = z.object(filterKeys);

function toFilter({
  block_documents: documents,
  block_types: types,
  block_schemas,
}: z.infer<typeof CountBlockDocuments>) {
  return {
    ids: documents?.id?.any_,
    names: documents?.name?.any_,
    nameLike: documents?.name?.like_,
    schemas: block_schemas,
    typeIds: documents?.block_type_id?.any_,
    typeSlugs: types?.slug?.any_,
    // Without any filter the anonymous ones, which clients make for themselves, are left out.
    anonymous: documents ? documents.is_anonymous?.eq_ : false,
  };
}

function required<T>(found: T | undefined | false): T {
  if (found === undefined || found === false) {
    throw new UserError("NOT_FOUND", "Block document not found");
  }
  return found;
}

export function registerBlockDocuments(api: App, { store, clock }: AppDeps): void {
  api.post("/block_documents", { schema: { body: CreateBlockDocument } }, async ({ body }, reply) =>
    reply.code(201).send(await createBlockDocument(store, body, clock.now())),
  );

  api.get("/block_documents/:id", { schema: { params: ById, querystring: IncludeSecrets } }, async (request) => {
    const document = required(await store.blocks.findDocument(request.params.id));
    return readBlockDocument(store, document, { includeSecrets: request.query.include_secrets });
  });

  api.post("/block_documents/filter", { schema: { body: FilterBlockDocuments } }, async ({ body }) => {
    const page = { limit: checkLimit(body.limit), offset: body.offset };
    const documents = await store.blocks.listDocuments(toFilter(body), page);
    const includeSecrets = body.include_secrets ?? false;
    return Promise.all(documents.map((document) => readBlockDocument(store, document, { includeSecrets })));
  });

  api.post("/block_documents/count", { schema: { body: CountBlockDocuments } }, ({ body }) =>
    store.blocks.countDocuments(toFilter(body)),
  );

  api.patch(
    "/block_documents/:id",
    { schema: { params: ById, body: UpdateBlockDocument } },
    async ({ params, body }, reply) => {
      await updateBlockDocument(store, params.id, body, clock.now());
      return reply.code(204).send();
    },
  );

  api.delete("/block_documents/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    await deleteBlockDocument(store, params.id, clock.now());
    return reply.code(204).send();
  });
}
