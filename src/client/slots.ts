import { MAX_PAGE_SIZE } from "../prefect-api/primitives.ts";
import { WorkPoolSlots, WorkQueueSlots } from "../prefect-api/slots.ts";
import { buildPath, type Connection, request } from "./http.ts";

/** Who holds the slots of a pool or a queue; the pages of an answer are put together. */
export function createSlotRoutes(connection: Connection) {
  return {
    getOfPool: async (name: string): Promise<WorkPoolSlots> => {
      const readPage = (page: number) =>
        request(connection, WorkPoolSlots, {
          method: "POST",
          path: buildPath`/work_pools/${name}/concurrency_status`,
          body: { page, flow_run_limit: MAX_PAGE_SIZE },
        });
      const slots = await readPage(1);
      for (let page = 2; page <= slots.pages; page += 1) {
        slots.queues.push(...(await readPage(page)).queues);
      }
      return { ...slots, count: slots.queues.length, limit: slots.queues.length, pages: 1, page: 1 };
    },
    getOfQueue: async (id: string): Promise<WorkQueueSlots> => {
      const readPage = (page: number) =>
        request(connection, WorkQueueSlots, {
          method: "POST",
          path: buildPath`/work_queues/${id}/concurrency_status`,
          body: { page, limit: MAX_PAGE_SIZE },
        });
      const slots = await readPage(1);
      for (let page = 2; page <= slots.pages; page += 1) {
        slots.flow_runs.push(...(await readPage(page)).flow_runs);
      }
      return { ...slots, count: slots.flow_runs.length, limit: slots.flow_runs.length, pages: 1, page: 1 };
    },
  };
}
