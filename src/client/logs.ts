import type { z } from "zod";
import type { FilterLogs } from "../prefect-api/filters.ts";
import { type CreateLog, Log } from "../prefect-api/logs.ts";
import { type Connection, command } from "./http.ts";
import { type ListOptions, list } from "./list.ts";

export function createLogRoutes(connection: Connection) {
  return {
    create: (logs: z.input<typeof CreateLog>[], signal?: AbortSignal): Promise<void> =>
      command(connection, { method: "POST", path: "/logs/", body: logs, signal }),
    list: (body: z.input<typeof FilterLogs> = {}, options?: ListOptions): Promise<Log[]> =>
      list(connection, Log, { path: "/logs/filter", body }, options),
  };
}
