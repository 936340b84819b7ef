import { z } from "zod";

const MAX_LATENESS_SECONDS = 31 * 86_400;
/** A day: a schedule of every second would make up 86,400 runs. */
const DEFAULT_LATENESS_SECONDS = 86_400;

/**
 * What happens to fire times of a deployment that passed while no plane ran: `none` of them is made up, `latest` has the
 * last one of each schedule run and no other, `all` each of them. Where nothing is said it is what Prefect does.
 */
export const CatchUp = z.strictObject({
  policy: z.enum(["none", "latest", "all"]),
  /** Fire times that are longer ago are left out. */
  max_lateness_seconds: z.int().min(1).max(MAX_LATENESS_SECONDS).default(DEFAULT_LATENESS_SECONDS),
});
export type CatchUp = z.infer<typeof CatchUp>;
