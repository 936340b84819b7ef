import { z } from "zod";

/**
 * What happens to fire times that passed while no plane was there to make their runs. Runs that were made before that
 * wait for a worker, as with Prefect.
 */
export const CATCH_UP_POLICIES = ["none", "latest", "all"] as const;

export const MAX_LATENESS_SECONDS = 31 * 86_400;
/** A day: a schedule of every second would make up 86,400 runs. */
export const DEFAULT_LATENESS_SECONDS = 86_400;

/** Of one deployment. `latest` makes up the last missed fire time of each schedule, `all` each of them. */
export const CatchUp = z.strictObject({
  policy: z.enum(CATCH_UP_POLICIES),
  /** Fire times that are longer ago are left out. */
  max_lateness_seconds: z.int().min(1).max(MAX_LATENESS_SECONDS).default(DEFAULT_LATENESS_SECONDS),
});
export type CatchUp = z.infer<typeof CatchUp>;
