import type { EventResource, ReceivedEvent } from "../../prefect-api/events.ts";
import type { CreatedBy } from "../../prefect-api/primitives.ts";
import type { State } from "../../prefect-api/states.ts";
import { secondsBetween, type Timestamp } from "../../prefect-api/timestamp.ts";

/** Prefect's bound: some people put whole results into state messages. */
const MAX_MESSAGE_CHARACTERS = 100_000;
/** States further apart than this are ordered by their times alone. */
const TIGHT_TIMING_SECONDS = 300;

interface Named {
  id: string;
  name: string;
  tags: readonly string[];
}

/** A flow run and what its events name beside it. */
export interface EventSubject {
  flowRun: Named & { run_count: number; created_by: CreatedBy | null };
  flow: Named;
  deployment: Named | null;
  workQueue: Omit<Named, "tags"> | null;
  workPool: (Omit<Named, "tags"> & { type: string }) | null;
  parentTaskRun: Named | null;
}

/** The event that tells of a state change: `prefect.flow-run.<StateName>`, with the state's id as its own. */
export function buildFlowRunEvent(
  subject: EventSubject,
  before: State | null,
  state: State,
  received: Timestamp,
): ReceivedEvent {
  const { flowRun } = subject;
  const tight = before !== null && Math.abs(secondsBetween(before.timestamp, state.timestamp)) < TIGHT_TIMING_SECONDS;
  return {
    id: state.id,
    occurred: state.timestamp,
    received,
    event: `prefect.flow-run.${state.name}`,
    resource: {
      "prefect.resource.id": `prefect.flow-run.${flowRun.id}`,
      "prefect.resource.name": flowRun.name,
      "prefect.run-count": String(flowRun.run_count),
      "prefect.state-message": truncate(state.message ?? ""),
      "prefect.state-name": state.name,
      "prefect.state-timestamp": state.timestamp,
      "prefect.state-type": state.type,
    },
    related: buildRelated(subject),
    payload: {
      intended: { from: before?.type ?? null, to: state.type },
      initial_state: before === null ? null : describeState(before),
      validated_state: describeState(state),
    },
    follows: tight ? before.id : null,
  };
}

function truncate(message: string): string {
  return message.length <= MAX_MESSAGE_CHARACTERS ? message : message.slice(0, MAX_MESSAGE_CHARACTERS);
}

function describeState(state: State): Record<string, string> {
  return {
    type: state.type,
    name: state.name,
    ...(state.message ? { message: truncate(state.message) } : {}),
    ...(state.type === "PAUSED" ? { pause_reschedule: String(state.state_details.pause_reschedule) } : {}),
  };
}

function buildRelated({
  flowRun,
  flow,
  deployment,
  workQueue,
  workPool,
  parentTaskRun,
}: EventSubject): EventResource[] {
  const related = [
    describeResource("flow", flow),
    ...(deployment === null ? [] : [describeResource("deployment", deployment)]),
    ...(workQueue === null ? [] : [describeResource("work-queue", workQueue)]),
    ...(workPool === null
      ? []
      : [{ ...describeResource("work-pool", workPool), "prefect.work-pool.type": workPool.type }]),
    ...(parentTaskRun === null ? [] : [describeResource("task-run", parentTaskRun)]),
  ];
  const tags = [flowRun, flow, deployment, parentTaskRun].flatMap((named) => named?.tags ?? []);
  for (const tag of [...new Set(tags)].sort()) {
    related.push({ "prefect.resource.id": `prefect.tag.${tag}`, "prefect.resource.role": "tag" });
  }
  return [...related, ...describeCreator(flowRun.created_by)];
}

function describeResource(kind: string, { id, name }: Omit<Named, "tags">): EventResource {
  return {
    "prefect.resource.id": `prefect.${kind}.${id}`,
    "prefect.resource.role": kind,
    "prefect.resource.name": name,
  };
}

function describeCreator(createdBy: CreatedBy | null): EventResource[] {
  const kind = createdBy?.type?.toLowerCase();
  if (!createdBy?.id || (kind !== "deployment" && kind !== "automation")) {
    return [];
  }
  return [
    {
      "prefect.resource.id": `prefect.${kind}.${createdBy.id}`,
      "prefect.resource.role": "creator",
      ...(createdBy.display_value ? { "prefect.resource.name": createdBy.display_value } : {}),
    },
  ];
}
