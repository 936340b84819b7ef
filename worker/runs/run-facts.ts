import { z } from "zod";

/**
 * What a stranger has to know about a container or process to look after it: for whom it runs, in which attempt, and
 * who started it. Kept as labels of the container (`io.flowyard.…`) or in the folder of the process; both are the truth
 * when a worker comes back. Only ever added to: a newer worker adopts what an older one started.
 */
export const RunFacts = z.object({
  flow_run_id: z.string(),
  flow_run_name: z.string(),
  deployment_id: z.string().optional(),
  work_pool_id: z.string(),
  work_pool_name: z.string(),
  worker_name: z.string(),
  /** One start of a worker; another one of the same name has another. */
  worker_instance: z.string(),
  /** The state folder of the worker: workers that share it are on one machine and see each other. */
  worker_home: z.string(),
  /** The transition id with which the run was claimed: two attempts of a run have different ones. */
  attempt: z.string(),
  /** Of the claim; left out where the run was taken by the stock protocol. */
  fencing_token: z.string().regex(/^\d+$/).optional(),
  /** `direct`: it can be asked to cancel its flow. */
  engine: z.enum(["runner", "direct"]).optional(),
  cancel_grace_seconds: z.string().optional(),
});
export type RunFacts = z.infer<typeof RunFacts>;

const PREFIX = "io.flowyard.";

/** The label that every container of ours has; its value is the pool. */
export const POOL_LABEL = `${PREFIX}work-pool-id`;

export function factsToLabels(facts: RunFacts): Record<string, string> {
  return Object.fromEntries(
    Object.entries(facts).flatMap(([key, value]) =>
      value === undefined ? [] : [[`${PREFIX}${key.replaceAll("_", "-")}`, value] as const],
    ),
  );
}

/** Undefined for a container that is not one of ours, or not complete. */
export function factsFromLabels(labels: Record<string, string>): RunFacts | undefined {
  const known = Object.entries(labels).flatMap(([name, value]) =>
    name.startsWith(PREFIX) ? [[name.slice(PREFIX.length).replaceAll("-", "_"), value] as const] : [],
  );
  const parsed = RunFacts.safeParse(Object.fromEntries(known));
  return parsed.success ? parsed.data : undefined;
}
