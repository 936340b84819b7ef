import type { PrefectClient } from "../client/prefect-client.ts";
import type { WorkerMetadata } from "../client/server.ts";
import type { WorkPool } from "../prefect-api/work-pools.ts";
import type { WorkQueue } from "../prefect-api/work-queues.ts";
import { suggestNearest } from "../project/did-you-mean.ts";
import { UserError } from "../shared/errors.ts";
import { buildUnknownName } from "./names.ts";

/** Throws UserError NOT_FOUND with the nearest name. */
export async function getWorkPool(client: PrefectClient, name: string): Promise<WorkPool> {
  const pool = await client.workPools.find(name);
  if (pool !== undefined) {
    return pool;
  }
  const known = (await client.workPools.list()).map((other) => other.name);
  throw buildUnknownName("work pool", name, known, `Make it with \`flowyard work-pool create --type docker ${name}\`.`);
}

/** In the pool, or by name alone where only one pool has a queue of that name. Throws UserError NOT_FOUND. */
export async function getWorkQueue(client: PrefectClient, name: string, pool: string | undefined): Promise<WorkQueue> {
  if (pool !== undefined) {
    const queue = await client.workQueues.findInPool(pool, name);
    if (queue !== undefined) {
      return queue;
    }
    await getWorkPool(client, pool);
    const known = (await client.workQueues.listOfPool(pool)).map((other) => other.name);
    throw buildUnknownName(`work queue in pool "${pool}" named`, name, known, "The pool has none.");
  }
  const queues = await client.workQueues.list();
  const matching = queues.filter((queue) => queue.name === name || queue.id === name.toLowerCase());
  const [only] = matching;
  if (only === undefined) {
    const known = queues.map((queue) => queue.name);
    throw buildUnknownName("work queue", name, known, "Make it with `flowyard work-queue create`.");
  }
  if (matching.length > 1) {
    const pools = matching.map((queue) => queue.work_pool_name ?? "(no pool)").join(", ");
    throw new UserError("USAGE", `Several pools have a work queue "${name}": ${pools}.`, {
      hint: "Say which one with --pool.",
    });
  }
  return only;
}

/** What the server says about a worker type. Throws UserError NOT_FOUND naming the types that there are. */
export async function getWorkerType(client: PrefectClient, type: string): Promise<WorkerMetadata> {
  const types = await client.server.listWorkerTypes();
  const found = types.find((candidate) => candidate.type === type);
  if (found === undefined) {
    const known = types.map((candidate) => candidate.type);
    throw new UserError("NOT_FOUND", `There is no work pool type "${type}".${suggestNearest(type, known)}`, {
      hint: known.length > 0 ? `Types: ${known.toSorted().join(", ")}.` : "The server lists no types.",
    });
  }
  return found;
}
