import { type PoolWorker, PoolWorkerDetails, PoolWorkers } from "../flowyard-api/workers.ts";
import { buildPath, type Connection, find, request } from "./http.ts";

/** Only where the plane announces the feature `workers`. */
export function createPoolWorkerRoutes(connection: Connection) {
  return {
    list: async (poolName: string): Promise<PoolWorker[]> => {
      const path = buildPath`/flowyard/work_pools/${poolName}/workers`;
      return (await request(connection, PoolWorkers, { method: "GET", path })).workers;
    },
    find: (poolName: string, name: string): Promise<PoolWorkerDetails | undefined> => {
      const path = buildPath`/flowyard/work_pools/${poolName}/workers/${name}`;
      return find(connection, PoolWorkerDetails, { method: "GET", path });
    },
    drain: (poolName: string, name: string, draining: boolean): Promise<PoolWorkerDetails> => {
      const path = buildPath`/flowyard/work_pools/${poolName}/workers/${name}/drain`;
      return request(connection, PoolWorkerDetails, { method: "POST", path, body: { draining } });
    },
  };
}
