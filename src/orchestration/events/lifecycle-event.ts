import { v5 as uuidv5 } from "uuid";
import { isSameJson } from "../../flowyard-api/canonical-json.ts";
import { hideSecrets } from "../../flowyard-api/hide-secrets.ts";
import type { Artifact } from "../../prefect-api/artifacts.ts";
import type { Automation } from "../../prefect-api/automations.ts";
import type { BlockDocument, BlockType } from "../../prefect-api/blocks.ts";
import type { Deployment } from "../../prefect-api/deployments.ts";
import type { Event, EventResource } from "../../prefect-api/events.ts";
import type { Flow } from "../../prefect-api/flows.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import type { Variable } from "../../prefect-api/variables.ts";
import type { WorkPool } from "../../prefect-api/work-pools.ts";
import type { WorkQueue } from "../../prefect-api/work-queues.ts";
import type { ConcurrencyLimit } from "../../storage/concurrency-limits.ts";
import type { DeploymentSurroundings } from "../../storage/statuses.ts";
import { describe, describePool, describeSurroundings } from "./status-event.ts";

const ARTIFACT_KEYS = "6d0f7f0e-2b0c-4a6e-9a55-1f3c9f3d5c21";

export type Verb = "created" | "updated" | "deleted";
export type News = Pick<Event, "event" | "resource" | "related" | "payload">;
type NamedPool = Pick<WorkPool, "id" | "name" | "type">;

/** The same names, labels and payloads as Prefect's server: `prefect.<kind>.created`, `.updated` and `.deleted`. */
function tell(kind: string, verb: Verb, { id, name }: { id: string; name: string | null }, payload: JsonObject): News {
  return {
    event: `prefect.${kind}.${verb}`,
    resource: {
      "prefect.resource.id": `prefect.${kind}.${id}`,
      ...(name === null ? {} : { "prefect.resource.name": name }),
    },
    related: [],
    payload,
  };
}

export function tellFlow(verb: Verb, flow: Flow): News {
  return tell("flow", verb, flow, { name: flow.name, tags: flow.tags, labels: flow.labels });
}

export function tellVariable(verb: Verb, variable: Variable): News {
  return tell("variable", verb, variable, { name: variable.name, value: variable.value, tags: variable.tags });
}

export function tellLimit(verb: Verb, limit: ConcurrencyLimit): News {
  const { name, limit: slots, active, slot_decay_per_second } = limit;
  return tell("concurrency-limit", verb, limit, { name, limit: slots, active, slot_decay_per_second });
}

export function tellBlockType(verb: Verb, type: BlockType): News {
  const { name, slug, logo_url, documentation_url, description, code_example, is_protected } = type;
  const payload = { name, slug, logo_url, documentation_url, description, code_example, is_protected };
  return tell("block-type", verb, type, payload);
}

/** Of a document's data only plain texts, and no secret, masked or not. */
export function tellBlockDocument(verb: Verb, document: BlockDocument): News {
  const { name, data, block_schema: schema, block_type_id: typeId, block_type_name: typeName } = document;
  const secrets = schema?.fields["secret_fields"];
  const texts = Object.entries(data).filter(
    ([key, value]) => typeof value === "string" && !(Array.isArray(secrets) && secrets.includes(key)),
  );
  const type = describe("block-type", "block-type", typeId, typeName ?? undefined);
  return {
    ...tell("block-document", verb, document, {
      name,
      data: Object.fromEntries(texts),
      block_schema: schema && { capabilities: schema.capabilities, block_type: { id: typeId, name: typeName ?? "" } },
    }),
    related: [type, describe("block-schema", "block-schema", document.block_schema_id)],
  };
}

/** The artifacts of a key have no row of their own, and so no id but one that follows from the key. */
export function tellArtifacts(verb: Verb, key: string, latest: Artifact): News {
  const { type, data, description, flow_run_id: flowRunId, task_run_id: taskRunId } = latest;
  return {
    ...tell(
      "artifact-collection",
      verb,
      { id: uuidv5(key, ARTIFACT_KEYS), name: key },
      { key, type, data, description },
    ),
    related: [
      describe("artifact", "latest", latest.id),
      ...(flowRunId === null ? [] : [describe("flow-run", "flow-run", flowRunId)]),
      ...(taskRunId === null ? [] : [describe("task-run", "task-run", taskRunId)]),
    ],
  };
}

export function tellAutomation(verb: Verb, automation: Automation): News {
  return tell("automation", verb, automation, { ...automation });
}

export function tellPool(verb: Exclude<Verb, "updated">, pool: WorkPool): News {
  const { default_queue_id: queueId, storage_configuration: storage } = pool;
  const blockId = storage.default_result_storage_block_id;
  return {
    ...tellOfPool(verb, pool, {}),
    related: [
      ...(queueId === null ? [] : [describe("work-queue", "default-queue", queueId)]),
      ...(blockId ? [describe("block-document", "result-storage", blockId)] : []),
    ],
  };
}

/** Undefined: nothing that is told has changed. A pause is told as a status. */
export function tellPoolChange(before: WorkPool, after: WorkPool): News | undefined {
  const updates = compare(before, after, [
    "description",
    "base_job_template",
    "concurrency_limit",
    "storage_configuration",
  ]);
  return updates && tellOfPool("updated", after, updates);
}

function tellOfPool(verb: Verb, pool: NamedPool, payload: JsonObject): News {
  const news = tell("work-pool", verb, pool, payload);
  const labels = { "prefect.work-pool.type": pool.type, "prefect.resource.role": "work-pool" };
  return { ...news, resource: { ...news.resource, ...labels } };
}

export function tellQueue(
  verb: Exclude<Verb, "updated">,
  queue: Pick<WorkQueue, "id" | "name">,
  pool: NamedPool | undefined,
): News {
  return tellOfQueue(verb, queue, pool, {});
}

/** Undefined: nothing that is told has changed. A pause is told as a status, a poll not at all. */
export function tellQueueChange(before: WorkQueue, after: WorkQueue, pool: NamedPool | undefined): News | undefined {
  const updates = compare(before, after, ["name", "description", "concurrency_limit", "priority"]);
  return updates && tellOfQueue("updated", after, pool, updates);
}

function tellOfQueue(
  verb: Verb,
  queue: Pick<WorkQueue, "id" | "name">,
  pool: NamedPool | undefined,
  payload: JsonObject,
): News {
  const news = tell("work-queue", verb, queue, payload);
  const related: EventResource[] = pool === undefined ? [] : [describePool(pool)];
  return { ...news, resource: { ...news.resource, "prefect.resource.role": "work-queue" }, related };
}

export function tellDeployment(verb: Exclude<Verb, "updated">, deployment: DeploymentSurroundings): News {
  return { ...tell("deployment", verb, deployment, {}), related: describeSurroundings(deployment) };
}

/** Undefined: nothing that is told has changed. What may be a secret is told as having changed, without its values. */
export function tellDeploymentChange(
  before: Deployment,
  after: Deployment,
  surroundings: DeploymentSurroundings,
): News | undefined {
  const updates = compare(toColumns(before), toColumns(after), [
    "description",
    "tags",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "entrypoint",
    "path",
    "pull_steps",
    "work_queue_id",
    "infra_overrides",
    "paused",
    "labels",
    "version",
    "concurrency_limit_id",
    "concurrency_options",
  ]);
  return (
    updates && {
      ...tell("deployment", "updated", after, { ...updates, updates: hideSecrets(updates.updates) }),
      related: describeSurroundings(surroundings),
    }
  );
}

/** Two keys have other names in Prefect's table, and its events. */
function toColumns({ job_variables, global_concurrency_limit, ...deployment }: Deployment) {
  return {
    ...deployment,
    infra_overrides: job_variables,
    concurrency_limit_id: global_concurrency_limit?.id ?? null,
  };
}

interface Updates extends JsonObject {
  updated_fields: string[];
  updates: JsonObject;
}

function compare<T extends object>(before: T, after: T, keys: readonly (keyof T & string)[]): Updates | undefined {
  const changed = keys.filter((key) => !isSameJson(before[key] ?? null, after[key] ?? null));
  if (changed.length === 0) {
    return undefined;
  }
  return {
    updated_fields: changed,
    updates: Object.fromEntries(
      changed.map((key) => [key, { from: before[key] ?? null, to: after[key] ?? null }] as const),
    ),
  };
}
