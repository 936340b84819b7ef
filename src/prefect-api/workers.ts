import { z } from "zod";
import { Uuid } from "./primitives.ts";
import { Timestamp } from "./timestamp.ts";

export const WorkerStatus = z.enum(["ONLINE", "OFFLINE"]);

export const Worker = z.object({
  id: Uuid,
  created: Timestamp,
  updated: Timestamp,
  name: z.string(),
  work_pool_id: Uuid,
  last_heartbeat_time: Timestamp,
  heartbeat_interval_seconds: z.number().nullish(),
  status: WorkerStatus,
});
export type Worker = z.infer<typeof Worker>;

export const WorkerHeartbeat = z.object({
  name: z.string().min(1),
  heartbeat_interval_seconds: z.number().int().positive().nullish(),
});
export type WorkerHeartbeat = z.infer<typeof WorkerHeartbeat>;
