import { z } from "zod";
import { Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

/** Clients of some builds also send `worker_id`: unknown keys are dropped here, unlike elsewhere. */
export const CreateLog = z.object({
  /** Ours (capability `log_ids`; stock Prefect refuses it): a line that is sent again under its id is stored once. */
  id: Uuid.nullish(),
  name: z.string(),
  level: z.number().int(),
  message: z.string(),
  timestamp: Timestamp,
  flow_run_id: Uuid.nullish(),
  task_run_id: Uuid.nullish(),
});
export type CreateLog = z.infer<typeof CreateLog>;

export const Log = z.object({
  id: Uuid,
  created: Timestamp.nullish(),
  updated: Timestamp.nullish(),
  name: z.string(),
  level: z.number(),
  message: z.string(),
  timestamp: Timestamp,
  flow_run_id: Uuid.nullish(),
  task_run_id: Uuid.nullish(),
});
export type Log = z.infer<typeof Log>;
