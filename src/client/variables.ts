import type { z } from "zod";
import { type CreateVariable, Variable } from "../prefect-api/variables.ts";
import { buildPath, type Connection, find, request } from "./http.ts";

export function createVariableRoutes(connection: Connection) {
  return {
    findByName: (name: string): Promise<Variable | undefined> =>
      find(connection, Variable, { method: "GET", path: buildPath`/variables/name/${name}` }),
    create: (body: z.input<typeof CreateVariable>): Promise<Variable> =>
      request(connection, Variable, { method: "POST", path: "/variables/", body }),
  };
}
