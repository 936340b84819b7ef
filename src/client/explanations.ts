import { Explanation } from "../flowyard-api/explain.ts";
import { buildPath, type Connection, find } from "./http.ts";

export function createExplanationRoutes(connection: Connection) {
  return {
    /** Why a flow run is where it is. Undefined for an unknown run, and from a server that explains nothing. */
    find: (flowRunId: string): Promise<Explanation | undefined> =>
      find(connection, Explanation, { method: "GET", path: buildPath`/flowyard/flow_runs/${flowRunId}/explain` }),
  };
}
