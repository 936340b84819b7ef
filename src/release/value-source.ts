import type { ValueSource } from "../prefect-api/server-values.ts";
import type { DeployClient } from "./request.ts";

export function buildValueSource(client: DeployClient): ValueSource {
  return {
    findVariable: (name) => client.variables.findByName(name),
    findBlockData: async (typeSlug, name) => (await client.blockDocuments.findByName(typeSlug, name))?.data,
  };
}
