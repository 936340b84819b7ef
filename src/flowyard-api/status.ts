import { z } from "zod";
import { Timestamp } from "../prefect-api/timestamp.ts";

/** One of the things that a plane does by itself. */
export const LoopStatus = z.object({
  name: z.string(),
  every_seconds: z.number(),
  /** Null: it has not ticked since this plane started. */
  last_tick_at: Timestamp.nullable(),
  /** The end of the last tick that did its work. */
  last_success_at: Timestamp.nullable(),
  last_error: z.object({ at: Timestamp, message: z.string() }).nullable(),
  consecutive_failures: z.int(),
  /** Things that the last successful tick changed. */
  last_changed: z.int(),
  /** Since this plane started. */
  total_changed: z.int(),
});
export type LoopStatus = z.infer<typeof LoopStatus>;

/** `GET /api/flowyard/status`: how this one plane process is doing. */
export const ServerStatus = z.object({
  version: z.string(),
  ready: z.boolean(),
  /** Why it is not ready, in one sentence. */
  problem: z.string().nullable(),
  /** False: started with `--no-loops`, and only answers. */
  runs_loops: z.boolean(),
  loops: z.array(LoopStatus),
});
export type ServerStatus = z.infer<typeof ServerStatus>;
