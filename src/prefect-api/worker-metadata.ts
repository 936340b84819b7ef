// The class template is newer than the view: it has `container_create_kwargs`. Ours also knows the view's
// `container_wait_timeout`. Source: prefect-docker 0.7.4, `DockerWorker.get_default_base_job_template()`.
import dockerTemplate from "./docker-base-job-template.json" with { type: "json" };
import type { JsonObject } from "./primitives.ts";
// Source: prefect 3.9.1 (Apache-2.0), prefect/server/api/collections_data/views/aggregate-worker-metadata.json.
import metadata from "./worker-metadata.json" with { type: "json" };

/** What the collections view says about one worker type. */
export interface WorkerMetadata {
  type: string;
  description: string;
  display_name: string;
  documentation_url: string;
  logo_url: string;
  install_command: string;
  is_beta: boolean;
  default_base_job_configuration: { job_configuration: JsonObject; variables: JsonObject };
}

/** The body of `GET /collections/views/aggregate-worker-metadata`: package → worker type → what is known of it. */
export const AGGREGATE_WORKER_METADATA: Readonly<Record<string, Readonly<Record<string, WorkerMetadata>>>> = metadata;

/** Every worker type that a pool can be created for, by its name. */
export function listWorkerMetadata(): WorkerMetadata[] {
  return Object.values(AGGREGATE_WORKER_METADATA).flatMap((byType) => Object.values(byType));
}

/**
 * The base job template that a new pool of this type starts from: for `docker` the worker class's, as `prefect` uses
 * where prefect-docker is installed, for the others the view's. The answer is the caller's to change.
 */
export function findDefaultBaseJobTemplate(workerType: string): JsonObject | undefined {
  if (workerType === "docker") {
    return structuredClone(dockerTemplate);
  }
  const found = listWorkerMetadata().find((entry) => entry.type === workerType);
  return found === undefined ? undefined : structuredClone(found.default_base_job_configuration);
}
