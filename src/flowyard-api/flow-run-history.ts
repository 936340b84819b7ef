import { z } from "zod";
import { StateType } from "../prefect-api/states.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";

/** `GET /api/flowyard/flow_runs/{id}/history`: a run's states, oldest first, and who wrote each. */
export const FlowRunHistory = z.array(
  z.object({
    id: z.string(),
    timestamp: Timestamp,
    type: StateType,
    name: z.string(),
    message: z.string().nullable(),
    /**
     * A client by its user agent, `(forced)` when it insisted; a worker that claimed the run; a loop of the plane's. Null:
     * whoever created the run.
     */
    written_by: z.string().nullable(),
  }),
);
export type FlowRunHistory = z.infer<typeof FlowRunHistory>;
