import { z } from "zod";
import { JsonObject } from "../prefect-api/primitives.ts";
import { buildPath, type Connection, find } from "./http.ts";

const BlockDocument = z.object({
  id: z.string(),
  name: z.string().nullish(),
  data: JsonObject,
  block_type_name: z.string().nullish(),
  block_type: z.looseObject({ slug: z.string() }).nullish(),
});
export type BlockDocument = z.infer<typeof BlockDocument>;

/** Read with their secrets: never log what these answer. */
export function createBlockDocumentRoutes(connection: Connection) {
  return {
    find: (id: string): Promise<BlockDocument | undefined> =>
      find(connection, BlockDocument, {
        method: "GET",
        path: `${buildPath`/block_documents/${id}`}?include_secrets=true`,
      }),
    findByName: (blockTypeSlug: string, name: string): Promise<BlockDocument | undefined> => {
      const path = buildPath`/block_types/slug/${blockTypeSlug}/block_documents/name/${name}`;
      return find(connection, BlockDocument, { method: "GET", path: `${path}?include_secrets=true` });
    },
  };
}
