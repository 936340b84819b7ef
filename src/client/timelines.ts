import { RunTimeline } from "../flowyard-api/timeline.ts";
import { buildPath, type Connection, find } from "./http.ts";

export function createTimelineRoutes(connection: Connection) {
  return {
    /** What happened to a run. Undefined for an unknown run, and from a server that has no timelines. */
    find: (flowRunId: string): Promise<RunTimeline | undefined> =>
      find(connection, RunTimeline, { method: "GET", path: buildPath`/flowyard/flow_runs/${flowRunId}/timeline` }),
  };
}
