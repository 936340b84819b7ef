import type { EventResource, ReceivedEvent } from "../../prefect-api/events.ts";
import { secondsBetween, type Timestamp } from "../../prefect-api/timestamp.ts";
import type { DeploymentSurroundings, StatusChange } from "../../storage/statuses.ts";

/** Status events of a pool further apart than this are ordered by their times alone (Prefect's bound). */
const FOLLOWS_WITHIN_SECONDS = 600;

/** The event that tells of a new status, `prefect.work-pool.ready`, with the labels that Prefect's has. */
export function buildStatusEvent(change: StatusChange, id: string, now: Timestamp): ReceivedEvent {
  return {
    id,
    occurred: now,
    received: now,
    event: `prefect.${change.kind}.${change.status.toLowerCase().replace("_", "-")}`,
    resource: buildResource(change),
    related: buildRelated(change),
    payload: {},
    follows: findPreceding(change, now),
  };
}

function buildResource(change: StatusChange): EventResource {
  const resource = {
    "prefect.resource.id": `prefect.${change.kind}.${change.id}`,
    "prefect.resource.name": change.name,
  };
  switch (change.kind) {
    case "work-pool":
      return { ...resource, "prefect.work-pool.type": change.type };
    case "work-queue":
      return { ...resource, "prefect.resource.role": "work-queue" };
    case "deployment":
      return resource;
  }
}

function buildRelated(change: StatusChange): EventResource[] {
  switch (change.kind) {
    case "work-pool":
      return [];
    case "work-queue":
      return [describePool(change.pool)];
    case "deployment":
      return describeSurroundings(change);
  }
}

/** What events of a deployment name beside it. */
export function describeSurroundings(deployment: DeploymentSurroundings): EventResource[] {
  const { flow, queue, pool, storageDocumentId, infrastructureDocumentId, concurrencyLimitId } = deployment;
  return [
    describe("flow", "flow", flow.id, flow.name),
    ...(queue === null ? [] : [describe("work-queue", "work-queue", queue.id, queue.name)]),
    ...(pool === null ? [] : [describePool(pool)]),
    ...(storageDocumentId === null ? [] : [describe("block-document", "storage", storageDocumentId)]),
    ...(infrastructureDocumentId === null
      ? []
      : [describe("block-document", "infrastructure", infrastructureDocumentId)]),
    ...(concurrencyLimitId === null ? [] : [describe("concurrency-limit", "concurrency-limit", concurrencyLimitId)]),
  ];
}

export function describe(kind: string, role: string, id: string, name?: string): EventResource {
  return {
    "prefect.resource.id": `prefect.${kind}.${id}`,
    ...(name === undefined ? {} : { "prefect.resource.name": name }),
    "prefect.resource.role": role,
  };
}

export function describePool({ id, name, type }: { id: string; name: string; type: string }): EventResource {
  return {
    "prefect.resource.id": `prefect.work-pool.${id}`,
    "prefect.resource.name": name,
    "prefect.work-pool.type": type,
    "prefect.resource.role": "work-pool",
  };
}

function findPreceding(change: StatusChange, now: Timestamp): string | null {
  if (change.kind !== "work-pool" || change.event === null) {
    return null;
  }
  return secondsBetween(change.event.at, now) < FOLLOWS_WITHIN_SECONDS ? change.event.id : null;
}
