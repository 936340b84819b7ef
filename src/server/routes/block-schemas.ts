import { randomUUID } from "node:crypto";
import { z } from "zod";
import { computeBlockChecksum } from "../../orchestration/blocks/block-checksum.ts";
import { type BlockSchema, BlockSchemaFilter, CreateBlockSchema } from "../../prefect-api/blocks.ts";
import { paging } from "../../prefect-api/filters.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { App, AppDeps } from "../app-deps.ts";

import { checkLimit } from "../paging.ts";

const ById = z.object({ id: Uuid });
const ByChecksum = z.object({ checksum: z.string() });
const Version = z.object({ version: z.string().optional() });
const FilterBlockSchemas = z.object({
  block_schemas: BlockSchemaFilter,
  ...paging,
});

function required<T>(found: T | undefined | false): T {
  if (found === undefined || found === false) {
    throw new UserError("NOT_FOUND", "Block schema not found");
  }
  return found;
}

export function registerBlockSchemas(api: App, { store, clock }: AppDeps): void {
  api.post("/block_schemas", { schema: { body: CreateBlockSchema } }, async ({ body }, reply) => {
    const checksum = computeBlockChecksum(body.fields);
    const { schema, created } = await store.transaction(async (tx) => {
      const type = await tx.blocks.findType({ id: body.block_type_id });
      if (type === undefined) {
        throw new UserError("NOT_FOUND", `Block type ${body.block_type_id} not found.`);
      }
      const existing = await tx.blocks.findSchema({ checksum, version: body.version });
      if (existing !== undefined) {
        return { schema: existing, created: false };
      }
      const now = timestampFromDate(clock.now());
      const { fields, block_type_id, ...rest } = body;
      const made = { id: randomUUID(), created: now, updated: now, checksum, fields, block_type_id };
      const added: BlockSchema = { ...made, block_type: type, ...rest };
      const { block_type: _, ...row } = added;
      await tx.blocks.insertSchema(row);
      return { schema: added, created: true };
    });
    return reply.code(created ? 201 : 200).send(schema);
  });

  api.get("/block_schemas/:id", { schema: { params: ById } }, async ({ params }) =>
    required(await store.blocks.findSchema(params)),
  );

  api.get(
    "/block_schemas/checksum/:checksum",
    { schema: { params: ByChecksum, querystring: Version } },
    async ({ params, query }) =>
      required(await store.blocks.findSchema({ checksum: params.checksum, version: query.version ?? null })),
  );

  api.post("/block_schemas/filter", { schema: { body: FilterBlockSchemas } }, ({ body }) =>
    store.blocks.listSchemas(body.block_schemas, {
      limit: checkLimit(body.limit),
      offset: body.offset,
    }),
  );

  api.delete("/block_schemas/:id", { schema: { params: ById } }, async ({ params }, reply) => {
    required(await store.transaction((tx) => tx.blocks.removeSchema(params.id)));
    return reply.code(204).send();
  });
}
