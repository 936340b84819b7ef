import { z } from "zod";
import { JsonObject } from "../prefect-api/primitives.ts";
import { buildPath, type Connection, find, request } from "./http.ts";

const WorkerMetadata = z.object({
  type: z.string(),
  description: z.string().nullish(),
  display_name: z.string().nullish(),
  install_command: z.string().nullish(),
  default_base_job_configuration: JsonObject,
});
export type WorkerMetadata = z.infer<typeof WorkerMetadata>;

/** Package name → worker type → metadata. */
const WorkerMetadataView = z.record(z.string(), z.record(z.string(), WorkerMetadata));

export function createServerRoutes(connection: Connection) {
  return {
    isHealthy: () => request(connection, z.literal(true), { method: "GET", path: "/health" }),
    /** The package version that the server stands for, such as `3.9.1`. */
    getVersion: () => request(connection, z.string(), { method: "GET", path: "/admin/version" }),
    /** Every worker type that the server knows, with its base job template; empty when it has no such view. */
    async listWorkerTypes(): Promise<WorkerMetadata[]> {
      const path = buildPath`/collections/views/${"aggregate-worker-metadata"}`;
      const view = await find(connection, WorkerMetadataView, { method: "GET", path });
      return Object.values(view ?? {}).flatMap((types) => Object.values(types));
    },
  };
}
