import { z } from "zod";
import { Uuid } from "../prefect-api/primitives.ts";
import { Timestamp } from "../prefect-api/timestamp.ts";

/** Who has slots of a concurrency limit: answer of `GET /flowyard/concurrency_limits/{id or name}/holders`. */
export const LimitHolders = z.object({
  limit: z.number(),
  active_slots: z.number(),
  /** The longest first; at most 200. */
  holders: z.array(
    z.object({
      lease_id: Uuid,
      slots: z.number(),
      /** Null: the client did not say who it is. */
      holder: z.object({ type: z.string(), id: Uuid }).nullable(),
      since: Timestamp,
      /** Null: until it is given back. */
      expires_at: Timestamp.nullable(),
    }),
  ),
});
export type LimitHolders = z.infer<typeof LimitHolders>;
