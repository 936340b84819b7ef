import { z } from "zod";
import { Uuid } from "../prefect-api/primitives.ts";
import { StateType } from "../prefect-api/states.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";

/**
 * A worker's word about a run that it starts or looks after: an event of this name about the resource
 * `prefect.flow-run.<id>`. Images have an event of their own (`run-events.ts`).
 */
export const RUN_PHASE_EVENT = "flowyard.flow-run.phase";

export const RunPhase = z.object({
  phase: z.enum(["claimed", "created", "started", "first-log", "exited"]),
  /** Names the attempt: the transition id with which the run was claimed. */
  attempt: z.string(),
  worker_name: z.string(),
  /** In one line: which container, which exit code. */
  detail: z.string().nullish(),
});
export type RunPhase = z.infer<typeof RunPhase>;

export const TimelineEntry = z.object({
  /** A phase of the worker's, or the run's new state in small letters: `scheduled`, `pending`, `running`, `completed` … */
  phase: z.string(),
  /** By the clock of the source. */
  at: Timestamp,
  source: z.enum(["plane", "worker"]),
  state_type: StateType.nullable(),
  detail: z.string().nullable(),
  /** After the entry before it; null for the first. Negative where two clocks differ. */
  seconds_since_previous: z.number().nullable(),
});
export type TimelineEntry = z.infer<typeof TimelineEntry>;

/** `GET /flowyard/flow_runs/{id}/timeline`: what happened to a run, earliest first. */
export const RunTimeline = z.object({
  flow_run: z.object({ id: Uuid, name: z.string() }),
  entries: z.array(TimelineEntry),
  /** Only the latest are listed: there were more. */
  is_cut: z.boolean(),
});
export type RunTimeline = z.infer<typeof RunTimeline>;
