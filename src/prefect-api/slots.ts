import { z } from "zod";
import { Uuid } from "./primitives.ts";
import { StateType } from "./states.ts";
import { Timestamp } from "./timestamp.ts";

/** A flow run that holds a slot of a limit. */
const SlotHolder = z.object({
  id: Uuid,
  name: z.string(),
  state_type: StateType.nullish(),
  state_name: z.string().nullish(),
  start_time: Timestamp.nullish(),
  state_timestamp: Timestamp.nullish(),
  /** Seconds. */
  time_in_current_state: z.number().nullish(),
});
export type SlotHolder = z.infer<typeof SlotHolder>;

const pageKeys = { count: z.number(), limit: z.number(), pages: z.number(), page: z.number() };

/** Answer of `/work_pools/{name}/concurrency_status`: a page of the pool's queues. */
export const WorkPoolSlots = z.object({
  active_slots: z.number(),
  concurrency_limit: z.number().nullable(),
  queues: z.array(
    z.object({
      queue_id: Uuid,
      queue_name: z.string(),
      active_slots: z.number(),
      concurrency_limit: z.number().nullable(),
      flow_runs: z.array(SlotHolder),
      /** How many there are; `flow_runs` may hold fewer. */
      flow_run_count: z.number().nullish(),
    }),
  ),
  ...pageKeys,
});
export type WorkPoolSlots = z.infer<typeof WorkPoolSlots>;

/** Answer of `/work_queues/{id}/concurrency_status`: a page of the queue's runs. */
export const WorkQueueSlots = z.object({
  active_slots: z.number(),
  concurrency_limit: z.number().nullable(),
  flow_runs: z.array(SlotHolder),
  ...pageKeys,
});
export type WorkQueueSlots = z.infer<typeof WorkQueueSlots>;
