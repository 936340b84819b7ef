import type { JsonObject } from "../prefect-api/primitives.ts";

/** What an automation is found by: the resources that its trigger matches by full id, and that its actions act on. */
export function listRelatedResources(automation: { trigger: JsonObject; actions: readonly JsonObject[] }): string[] {
  return [
    ...new Set([...listTriggerResources(automation.trigger), ...automation.actions.flatMap(listActionResources)]),
  ];
}

function listTriggerResources(trigger: JsonObject): string[] {
  const nested = asList(trigger["triggers"]).filter(isObject).flatMap(listTriggerResources);
  const own = [trigger["match"], trigger["match_related"]]
    .flatMap(asList)
    .filter(isObject)
    .flatMap((match) => asList(match["prefect.resource.id"]))
    .filter((id) => typeof id === "string" && !id.includes("*") && !id.startsWith("!"));
  return [...own.map(String), ...nested];
}

const ACTION_KEYS = {
  deployment_id: "prefect.deployment",
  work_pool_id: "prefect.work-pool",
  work_queue_id: "prefect.work-queue",
  automation_id: "prefect.automation",
  block_document_id: "prefect.block-document",
} as const;

function listActionResources(action: JsonObject): string[] {
  return Object.entries(ACTION_KEYS).flatMap(([key, kind]) => {
    const id = action[key];
    return typeof id === "string" ? [`${kind}.${id}`] : [];
  });
}

function asList(value: unknown): unknown[] {
  if (value === undefined || value === null) {
    return [];
  }
  return Array.isArray(value) ? value : [value];
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
