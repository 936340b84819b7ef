import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { BlockType, CreateBlockType, UpdateBlockType } from "../../prefect-api/blocks.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { hasCode, UserError } from "../../shared/errors.ts";
import type { Store, Tx } from "../../storage/store.ts";
import { announceChanges } from "../events/announce-changes.ts";
import { tellBlockType } from "../events/lifecycle-event.ts";

/** Throws UserError ALREADY_EXISTS. */
export async function createBlockType(
  store: Pick<Store, "transaction">,
  body: CreateBlockType,
  now: Date,
): Promise<BlockType> {
  const created = timestampFromDate(now);
  const type: BlockType = {
    id: randomUUID(),
    created,
    updated: created,
    name: body.name,
    slug: body.slug,
    logo_url: body.logo_url ?? null,
    documentation_url: body.documentation_url ?? null,
    description: body.description ?? null,
    code_example: body.code_example ?? null,
    is_protected: false,
  };
  try {
    await store.transaction(async (tx) => {
      await tx.blocks.insertType(type);
      await announceChanges(tx, [tellBlockType("created", type)], now);
    });
  } catch (cause) {
    if (hasCode(cause, "ALREADY_EXISTS")) {
      throw new UserError("ALREADY_EXISTS", `Block type with name "${body.name}" already exists`, { cause });
    }
    throw cause;
  }
  return type;
}

/** Only the keys that are present change anything. Throws UserError NOT_FOUND. */
export function updateBlockType(
  store: Pick<Store, "transaction">,
  id: string,
  body: z.infer<typeof UpdateBlockType>,
  now: Date,
): Promise<void> {
  const changes = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  return store.transaction(async (tx) => {
    await tx.blocks.updateType(id, changes, timestampFromDate(now));
    await announceChanges(tx, [tellBlockType("updated", await getBlockType(tx, { id }))], now);
  });
}

/** Throws UserError NOT_FOUND. */
export function deleteBlockType(store: Pick<Store, "transaction">, id: string, now: Date): Promise<void> {
  return store.transaction(async (tx) => {
    await announceChanges(tx, [tellBlockType("deleted", await getBlockType(tx, { id }))], now);
    await tx.blocks.removeType(id);
  });
}

/** Throws UserError NOT_FOUND. */
export async function getBlockType(
  { blocks }: Pick<Tx, "blocks">,
  key: { id: string } | { slug: string },
): Promise<BlockType> {
  const type = await blocks.findType(key);
  if (type === undefined) {
    throw new UserError("NOT_FOUND", "Block type not found");
  }
  return type;
}
