import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { BlockDocument, CreateBlockDocument, UpdateBlockDocument } from "../../prefect-api/blocks.ts";
import { isUuid, type JsonObject } from "../../prefect-api/primitives.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { StoredBlockDocument } from "../../storage/blocks.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { announceChanges } from "../events/announce-changes.ts";
import { tellBlockDocument } from "../events/lifecycle-event.ts";
import { maskSecrets, unmaskSecrets } from "./mask-secrets.ts";

type Blocks = Pick<Store, "blocks">;

/** Blocks refer to blocks; a chain longer than this is a circle or a mistake. */
const MAX_DEPTH = 50;

/**
 * A document as clients read it: with the data of the documents that it refers to in the places of the references.
 * Secrets are masked unless they are asked for. Throws UserError INVALID_REQUEST for a circle of references.
 */
export async function readBlockDocument(
  store: Blocks,
  document: StoredBlockDocument,
  options: { includeSecrets: boolean },
  depth = 0,
): Promise<BlockDocument> {
  if (depth > MAX_DEPTH) {
    throw new UserError("INVALID_REQUEST", `Block document references go deeper than ${MAX_DEPTH} levels.`);
  }
  const schema = (await store.blocks.findSchema({ id: document.block_schema_id })) ?? null;
  const type = (await store.blocks.findType({ id: document.block_type_id })) ?? null;
  const data = { ...(options.includeSecrets ? document.data : maskSecrets(document.data, schema?.fields ?? {})) };
  const references: BlockDocument["block_document_references"] = {};
  for (const [key, id] of Object.entries(document.references)) {
    const found = await store.blocks.findDocument(id);
    if (found !== undefined) {
      const child = await readBlockDocument(store, found, options, depth + 1);
      data[key] = child.data;
      const { name, block_type, is_anonymous, block_document_references } = child;
      references[key] = { block_document: { id, name, block_type, is_anonymous, block_document_references } };
    }
  }
  return {
    id: document.id,
    created: document.created,
    updated: document.updated,
    name: document.name,
    data,
    block_schema_id: document.block_schema_id,
    block_schema: schema,
    block_type_id: document.block_type_id,
    block_type_name: type?.name ?? null,
    block_type: type,
    block_document_references: references,
    is_anonymous: document.is_anonymous,
  };
}

/** Throws UserError NOT_FOUND (type or schema), ALREADY_EXISTS, INVALID_REQUEST (a reference to nothing). */
export function createBlockDocument(
  store: Pick<Store, "transaction">,
  body: z.infer<typeof CreateBlockDocument>,
  now: Date,
): Promise<BlockDocument> {
  return store.transaction(async (tx) => {
    if ((await tx.blocks.findType({ id: body.block_type_id })) === undefined) {
      throw new UserError("NOT_FOUND", `Block type ${body.block_type_id} not found.`);
    }
    await requireSchema(tx, body.block_schema_id, body.block_type_id);
    const id = randomUUID();
    const name = body.name ?? `anonymous-${id}`;
    const same = { typeIds: [body.block_type_id], names: [name] };
    if ((await tx.blocks.countDocuments(same)) > 0) {
      throw new UserError("ALREADY_EXISTS", "Block already exists");
    }
    const timestamp = timestampFromDate(now);
    const document = {
      id,
      created: timestamp,
      updated: timestamp,
      name,
      block_schema_id: body.block_schema_id,
      block_type_id: body.block_type_id,
      is_anonymous: body.is_anonymous,
      ...separateReferences(body.data),
    };
    await tx.blocks.putDocument(document);
    const made = await readBlockDocument(tx, document, { includeSecrets: false });
    await announceChanges(tx, [tellBlockDocument("created", made)], now);
    return made;
  });
}

/** Throws UserError NOT_FOUND, INVALID_REQUEST. */
export function updateBlockDocument(
  store: Pick<Store, "transaction">,
  id: string,
  body: z.infer<typeof UpdateBlockDocument>,
  now: Date,
): Promise<void> {
  return store.transaction(async (tx) => {
    const stored = await tx.blocks.findDocument(id);
    if (stored === undefined) {
      throw new UserError("NOT_FOUND", "Block document not found");
    }
    const schema = await tx.blocks.findSchema({ id: stored.block_schema_id });
    const given = separateReferences(unmaskSecrets(body.data, stored.data, schema?.fields ?? {}));
    const kept = body.merge_existing_data ? withoutKeys(stored, Object.keys(body.data)) : { data: {}, references: {} };
    const document = {
      ...stored,
      updated: timestampFromDate(now),
      block_schema_id: body.block_schema_id ?? stored.block_schema_id,
      data: { ...kept.data, ...given.data },
      references: { ...kept.references, ...given.references },
    };
    await requireSchema(tx, document.block_schema_id, document.block_type_id);
    await tx.blocks.putDocument(document);
    // A circle is found by walking it; the transaction then takes the document back.
    const changed = await readBlockDocument(tx, document, { includeSecrets: false });
    await announceChanges(tx, [tellBlockDocument("updated", changed)], now);
  });
}

/** Throws UserError NOT_FOUND. */
export function deleteBlockDocument(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    const stored = await tx.blocks.findDocument(id);
    if (stored === undefined) {
      throw new UserError("NOT_FOUND", "Block document not found");
    }
    const document = await readBlockDocument(tx, stored, { includeSecrets: false });
    await announceChanges(tx, [tellBlockDocument("deleted", document)], now);
    await tx.blocks.removeDocument(id);
  });
}

async function requireSchema(tx: Tx, schemaId: string, typeId: string): Promise<void> {
  const schema = await tx.blocks.findSchema({ id: schemaId });
  if (schema === undefined) {
    throw new UserError("NOT_FOUND", `Block schema ${schemaId} not found.`);
  }
  if (schema.block_type_id !== typeId) {
    throw new UserError("INVALID_REQUEST", "Must migrate block document to a block schema of the same block type.");
  }
}

/** A key that is given anew replaces what was there, whether data or a reference. */
function withoutKeys({ data, references }: StoredBlockDocument, keys: readonly string[]) {
  const kept = <T>(values: Record<string, T>) =>
    Object.fromEntries(Object.entries(values).filter(([key]) => !keys.includes(key)));
  return { data: kept(data), references: kept(references) };
}

/** `{"$ref": {"block_document_id": …}}` stands for another document; only at the top, as in Prefect. */
function separateReferences(data: JsonObject): Pick<StoredBlockDocument, "data" | "references"> {
  const separated: Pick<StoredBlockDocument, "data" | "references"> = { data: {}, references: {} };
  for (const [key, value] of Object.entries(data)) {
    const reference = isObject(value) ? value["$ref"] : undefined;
    if (!isObject(reference)) {
      separated.data[key] = value;
      continue;
    }
    const id = reference["block_document_id"];
    if (typeof id !== "string" || !isUuid(id)) {
      throw new UserError("INVALID_REQUEST", `Received block reference without a block_document_id in key ${key}`);
    }
    separated.references[key] = id.toLowerCase();
  }
  return separated;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
