import { z } from "zod";
import { Automation, type CreateAutomation } from "../prefect-api/automations.ts";
import { buildPath, type Connection, command, find, request } from "./http.ts";

export function createAutomationRoutes(connection: Connection) {
  return {
    create: (body: z.input<typeof CreateAutomation>): Promise<Automation> =>
      request(connection, Automation, { method: "POST", path: "/automations/", body }),
    listRelatedTo: (resourceId: string): Promise<Automation[]> => {
      const path = buildPath`/automations/related-to/${resourceId}`;
      return request(connection, z.array(Automation), { method: "GET", path });
    },
    /** False when the server has no automations at all; triggers are then skipped, as Prefect's client does. */
    async deleteOwnedBy(resourceId: string): Promise<boolean> {
      const path = buildPath`/automations/owned-by/${resourceId}`;
      return (await connection.exchange({ method: "DELETE", path })).status !== 404;
    },
    find: (id: string): Promise<Automation | undefined> =>
      find(connection, Automation, { method: "GET", path: buildPath`/automations/${id}` }),
    delete: (id: string): Promise<void> =>
      command(connection, { method: "DELETE", path: buildPath`/automations/${id}` }),
  };
}
