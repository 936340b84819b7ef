import type { PrefectClient } from "../src/client/prefect-client.ts";
import { refusalStatus } from "../src/client/refusal.ts";
import type { WorkPool } from "../src/prefect-api/work-pools.ts";
import { findDefaultBaseJobTemplate } from "../src/prefect-api/worker-metadata.ts";
import { UserError } from "../src/shared/errors.ts";
import type { WorkerSettings } from "./config.ts";

export const WORKER_TYPES = ["docker", "process"] as const;
export type WorkerType = (typeof WORKER_TYPES)[number];

/** What a pool is created as when neither the pool nor `--type` says; Prefect's worker takes the same. */
const DEFAULT_TYPE: WorkerType = "process";

type WorkPoolClient = { workPools: Pick<PrefectClient["workPools"], "find" | "create" | "update"> };
type PoolSettings = Pick<WorkerSettings, "pool" | "type" | "createPoolIfNotFound" | "baseJobTemplate">;

function isWorkerType(type: string): type is WorkerType {
  return WORKER_TYPES.some((known) => known === type);
}

/**
 * The worker's pool, created with its type's base job template when it is absent and that is allowed; an empty
 * template is filled. Throws WORK_POOL_TYPE_MISMATCH, NOT_FOUND, USAGE.
 */
export async function prepareWorkPool(
  client: WorkPoolClient,
  settings: PoolSettings,
): Promise<{ workPool: WorkPool; type: WorkerType; created: boolean }> {
  const found = await client.workPools.find(settings.pool);
  const type = decideWorkerType(settings, found);
  if (found === undefined) {
    return { workPool: await createWorkPool(client, settings, type), type, created: true };
  }
  if (Object.keys(found.base_job_template).length > 0) {
    return { workPool: found, type, created: false };
  }
  const base_job_template = buildJobTemplate(settings, type);
  await client.workPools.update(found.name, { base_job_template });
  return { workPool: { ...found, base_job_template }, type, created: false };
}

function decideWorkerType(settings: PoolSettings, found: WorkPool | undefined): WorkerType {
  const asked = settings.type ?? found?.type ?? DEFAULT_TYPE;
  if (found !== undefined && found.type !== asked) {
    throw new UserError(
      "WORK_POOL_TYPE_MISMATCH",
      `Work pool "${found.name}" is of type "${found.type}", and this worker was started with type "${asked}".`,
      { hint: `Start it with --type ${found.type} or without --type, or name another pool.` },
    );
  }
  if (!isWorkerType(asked)) {
    throw new UserError(
      found === undefined ? "USAGE" : "WORK_POOL_TYPE_MISMATCH",
      found === undefined
        ? `There is no worker for type "${asked}".`
        : `Work pool "${found.name}" is of type "${asked}", which this worker cannot run.`,
      { hint: `This worker runs pools of type ${WORKER_TYPES.join(" and ")}; for others use Prefect's own worker.` },
    );
  }
  return asked;
}

async function createWorkPool(client: WorkPoolClient, settings: PoolSettings, type: WorkerType): Promise<WorkPool> {
  if (!settings.createPoolIfNotFound) {
    throw new UserError("NOT_FOUND", `There is no work pool "${settings.pool}".`, {
      hint: `Create it with \`flowyard work-pool create ${settings.pool} --type ${type}\`, or start the worker without --no-create-pool-if-not-found.`,
    });
  }
  try {
    return await client.workPools.create({
      name: settings.pool,
      type,
      base_job_template: buildJobTemplate(settings, type),
    });
  } catch (error) {
    // Another worker was faster; what it made is as good.
    const found = refusalStatus(error) === 409 ? await client.workPools.find(settings.pool) : undefined;
    if (found === undefined) {
      throw error;
    }
    decideWorkerType(settings, found);
    return found;
  }
}

function buildJobTemplate(settings: PoolSettings, type: WorkerType): Record<string, unknown> {
  return settings.baseJobTemplate ?? findDefaultBaseJobTemplate(type) ?? {};
}
