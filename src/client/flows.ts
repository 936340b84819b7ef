import type { z } from "zod";
import type { FilterFlows } from "../prefect-api/filters.ts";
import { type CreateFlow, Flow } from "../prefect-api/flows.ts";
import { buildPath, type Connection, command, find, request } from "./http.ts";
import { type ListOptions, list } from "./list.ts";

export function createFlowRoutes(connection: Connection) {
  return {
    /** Answers the flow of that name, made when there was none. */
    create: (body: z.input<typeof CreateFlow>): Promise<Flow> =>
      request(connection, Flow, { method: "POST", path: "/flows/", body }),
    find: (id: string): Promise<Flow | undefined> =>
      find(connection, Flow, { method: "GET", path: buildPath`/flows/${id}` }),
    get: (id: string): Promise<Flow> => request(connection, Flow, { method: "GET", path: buildPath`/flows/${id}` }),
    findByName: (name: string): Promise<Flow | undefined> =>
      find(connection, Flow, { method: "GET", path: buildPath`/flows/name/${name}` }),
    list: (body: z.input<typeof FilterFlows> = {}, options?: ListOptions): Promise<Flow[]> =>
      list(connection, Flow, { path: "/flows/filter", body }, options),
    delete: (id: string): Promise<void> => command(connection, { method: "DELETE", path: buildPath`/flows/${id}` }),
  };
}
