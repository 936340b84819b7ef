import type { Deployment } from "../prefect-api/deployments.ts";
import type { JsonObject, Labels } from "../prefect-api/primitives.ts";
import { fromBit, fromJson, fromJsonOrNull, toBit, toJson, toJsonOrNull } from "./columns.ts";
import type { Database } from "./database-types.ts";
import { isRecentlyPolled } from "./work-queues.ts";

/** What a deployment's row holds, in the wire's words. */
export type StoredDeployment = Pick<
  Deployment,
  | "id"
  | "created"
  | "updated"
  | "name"
  | "flow_id"
  | "version"
  | "description"
  | "paused"
  | "concurrency_options"
  | "job_variables"
  | "parameters"
  | "tags"
  | "labels"
  | "work_queue_id"
  | "parameter_openapi_schema"
  | "path"
  | "pull_steps"
  | "entrypoint"
  | "storage_document_id"
  | "infrastructure_document_id"
  | "created_by"
  | "updated_by"
  | "enforce_parameter_schema"
> & { concurrency_limit_id: string | null };

export type DeploymentChanges = Partial<Omit<StoredDeployment, "id" | "created" | "name" | "flow_id">>;

/** What a new run takes from its deployment. The schema is only parsed when it changed. */
export interface RunSource {
  id: string;
  flow_id: string;
  flow_name: string;
  flow_tags: string[];
  name: string;
  version: string | null;
  parameters: JsonObject;
  tags: string[];
  labels: Labels;
  job_variables: JsonObject;
  infrastructure_document_id: string | null;
  enforce_parameter_schema: boolean;
  parameterSchema: { text: string; load: () => JsonObject } | null;
  work_queue_id: string | null;
  work_queue_name: string | null;
  work_pool_id: string | null;
  work_pool_name: string | null;
  work_pool_type: string | null;
  work_pool_updated: string | null;
}

export type DeploymentRow = Database["deployments"] & {
  work_queue_name: string | null;
  last_polled: string | null;
  work_pool_name: string | null;
};

export function deploymentFromRow(
  row: DeploymentRow,
  now: string,
  parts: Pick<Deployment, "schedules"> & { limit: Deployment["global_concurrency_limit"] },
): Deployment {
  const lastPolled = (row.served_at ?? "") > (row.last_polled ?? "") ? row.served_at : row.last_polled;
  return {
    id: row.id,
    created: row.created,
    updated: row.updated,
    name: row.name,
    version: row.version,
    description: row.description,
    flow_id: row.flow_id,
    paused: fromBit(row.paused),
    schedules: parts.schedules,
    concurrency_limit: null,
    global_concurrency_limit: parts.limit,
    concurrency_options: fromJsonOrNull(row.concurrency_options),
    job_variables: fromJson(row.job_variables),
    parameters: fromJson(row.parameters),
    tags: fromJson(row.tags),
    labels: fromJson(row.labels),
    work_queue_name: row.work_queue_name,
    work_queue_id: row.work_queue_id,
    last_polled: lastPolled,
    parameter_openapi_schema: fromJsonOrNull(row.parameter_openapi_schema),
    path: row.path,
    pull_steps: fromJsonOrNull(row.pull_steps),
    entrypoint: row.entrypoint,
    storage_document_id: row.storage_document_id,
    infrastructure_document_id: row.infrastructure_document_id,
    created_by: fromJsonOrNull(row.created_by),
    updated_by: fromJsonOrNull(row.updated_by),
    work_pool_name: row.work_pool_name,
    status: isRecentlyPolled(lastPolled, now) ? "READY" : "NOT_READY",
    enforce_parameter_schema: fromBit(row.enforce_parameter_schema),
  };
}

/** Keys that are absent stay absent: an UPDATE must not touch them. */
export function changesToRow(changes: DeploymentChanges) {
  const {
    paused,
    concurrency_options,
    job_variables,
    parameters,
    tags,
    labels,
    parameter_openapi_schema,
    pull_steps,
    created_by,
    updated_by,
    enforce_parameter_schema,
    ...plain
  } = changes;
  return {
    ...plain,
    ...(paused !== undefined && { paused: toBit(paused) }),
    ...(concurrency_options !== undefined && { concurrency_options: toJsonOrNull(concurrency_options) }),
    ...(job_variables !== undefined && { job_variables: toJson(job_variables) }),
    ...(parameters !== undefined && { parameters: toJson(parameters) }),
    ...(tags !== undefined && { tags: toJson(tags) }),
    ...(labels !== undefined && { labels: toJson(labels ?? {}) }),
    ...(parameter_openapi_schema !== undefined && {
      parameter_openapi_schema: toJsonOrNull(parameter_openapi_schema),
    }),
    ...(pull_steps !== undefined && { pull_steps: toJsonOrNull(pull_steps) }),
    ...(created_by !== undefined && { created_by: toJsonOrNull(created_by) }),
    ...(updated_by !== undefined && { updated_by: toJsonOrNull(updated_by) }),
    ...(enforce_parameter_schema !== undefined && { enforce_parameter_schema: toBit(enforce_parameter_schema) }),
  };
}
