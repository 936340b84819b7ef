import { z } from "zod";
import { Uuid } from "./primitives.ts";

const LEASE_SECONDS = { min: 60, max: 86_400, default: 300 };

export const IncrementWithLease = z.strictObject({
  slots: z.number().int().positive(),
  names: z.array(z.string()).min(1),
  mode: z.enum(["concurrency", "rate_limit"]).default("concurrency"),
  create_if_missing: z.boolean().nullish(),
  lease_duration: z.number().min(LEASE_SECONDS.min).max(LEASE_SECONDS.max).default(LEASE_SECONDS.default),
  holder: z.object({ type: z.enum(["flow_run", "task_run", "deployment"]), id: Uuid }).nullish(),
});

export const DecrementWithLease = z.strictObject({ lease_id: Uuid });

export const RenewLease = z.strictObject({
  lease_duration: z.number().min(LEASE_SECONDS.min).max(LEASE_SECONDS.max).default(LEASE_SECONDS.default),
});
