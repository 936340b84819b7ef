import { z } from "zod";
import { JsonObject, ListedIds, ListedTexts, ObjectName, Uuid } from "./primitives.ts";
import type { Timestamp } from "./timestamp.ts";

const Slug = z.string().regex(/^[a-z0-9-]+$/, "slug must only contain lowercase letters, numbers, and dashes");

const blockTypeKeys = {
  logo_url: z.string().nullish(),
  documentation_url: z.string().nullish(),
  description: z.string().nullish(),
  code_example: z.string().nullish(),
};

export const CreateBlockType = z.strictObject({ name: ObjectName, slug: Slug, ...blockTypeKeys });
export type CreateBlockType = z.infer<typeof CreateBlockType>;

/** Clients send the whole type back; what may not change is dropped. */
export const UpdateBlockType = z.object(blockTypeKeys);

export interface BlockType {
  id: string;
  created: Timestamp;
  updated: Timestamp;
  name: string;
  slug: string;
  logo_url: string | null;
  documentation_url: string | null;
  description: string | null;
  code_example: string | null;
  is_protected: boolean;
}

export const CreateBlockSchema = z.strictObject({
  fields: JsonObject.default({}),
  block_type_id: Uuid,
  capabilities: z.array(z.string()).default([]),
  version: z.string().default("non-versioned"),
});

const AnyId = z.object({ any_: ListedIds }).nullish();

export const BlockSchemaFilter = z
  .object({
    operator: z.enum(["and_", "or_"]).default("and_"),
    id: AnyId,
    block_type_id: AnyId,
    version: z.object({ any_: ListedTexts }).nullish(),
    block_capabilities: z.object({ all_: z.array(z.string()).nullish() }).nullish(),
  })
  .nullish();
export type BlockSchemaFilter = z.infer<typeof BlockSchemaFilter>;

export interface BlockSchema {
  id: string;
  created: Timestamp;
  updated: Timestamp;
  checksum: string;
  fields: JsonObject;
  block_type_id: string;
  block_type: BlockType | null;
  capabilities: string[];
  version: string;
}

export const CreateBlockDocument = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9-]+$/, "name must only contain lowercase letters, numbers, and dashes")
      .nullish(),
    data: JsonObject.default({}),
    block_schema_id: Uuid,
    block_type_id: Uuid,
    is_anonymous: z.boolean().default(false),
  })
  .refine((document) => document.is_anonymous || Boolean(document.name), {
    error: "Names must be provided for block documents.",
    path: ["name"],
  });

export const UpdateBlockDocument = z.strictObject({
  block_schema_id: Uuid.nullish(),
  data: JsonObject.default({}),
  merge_existing_data: z.boolean().default(true),
});

export interface BlockDocument {
  id: string;
  created: Timestamp;
  updated: Timestamp;
  name: string | null;
  data: JsonObject;
  block_schema_id: string;
  block_schema: BlockSchema | null;
  block_type_id: string;
  block_type_name: string | null;
  block_type: BlockType | null;
  block_document_references: Record<string, { block_document: ReferencedBlockDocument }>;
  is_anonymous: boolean;
}

export interface ReferencedBlockDocument
  extends Pick<BlockDocument, "id" | "name" | "block_type" | "is_anonymous" | "block_document_references"> {}
