import { Readable } from "node:stream";
import { z } from "zod";
import { FilterLogs } from "../../prefect-api/filters.ts";
import type { Log } from "../../prefect-api/logs.ts";
import { Uuid } from "../../prefect-api/primitives.ts";
import type { Store } from "../../storage/store.ts";
import type { App, AppDeps } from "../app-deps.ts";

const ById = z.object({ id: Uuid });
const PAGE_SIZE = 1000;
const COLUMNS = ["timestamp", "level", "flow_run_id", "task_run_id", "message"] as const;

/** All lines of a run as a file, for people and their tools; a page of them is in memory at a time. */
export function registerFlowRunLogs(api: App, { store }: AppDeps): void {
  api.get("/flow_runs/:id/logs/download", { schema: { params: ById } }, async ({ params }, reply) => {
    const { name } = await store.flowRuns.get(params.id);
    return reply
      .type("text/csv; charset=utf-8")
      .header(
        "content-disposition",
        `attachment; filename="flow-run-logs.csv"; filename*=UTF-8''${encodeURIComponent(`${name}-logs.csv`)}`,
      )
      .send(Readable.from(writeCsv(store, params.id)));
  });
}

async function* writeCsv({ logs }: Pick<Store, "logs">, flowRunId: string): AsyncGenerator<string> {
  yield toRow(COLUMNS);
  let last: Log | undefined;
  let sentOfInstant = 0;
  for (;;) {
    // From the instant where the last page ended, less what was sent of it: an offset alone grows with the file.
    const { logs: filter } = FilterLogs.parse({
      logs: { flow_run_id: { any_: [flowRunId] }, ...(last && { timestamp: { after_: last.timestamp } }) },
    });
    const page = await logs.list(filter, { sort: "TIMESTAMP_ASC", limit: PAGE_SIZE, offset: sentOfInstant });
    if (page.length > 0) {
      yield page.map(toLine).join("");
    }
    const end = page.at(-1);
    if (end === undefined || page.length < PAGE_SIZE) {
      return;
    }
    const ofInstant = page.filter(({ timestamp }) => timestamp === end.timestamp).length;
    sentOfInstant = ofInstant + (last?.timestamp === end.timestamp ? sentOfInstant : 0);
    last = end;
  }
}

/** Times as Python writes them, which is how Prefect's server sends them. */
function toLine({ timestamp, level, flow_run_id, task_run_id, message }: Log): string {
  const time = timestamp.replace("T", " ").replace(/(\.000000)?Z$/, "+00:00");
  return toRow([time, String(level), flow_run_id ?? "", task_run_id ?? "", message]);
}

function toRow(cells: readonly string[]): string {
  const quoted = cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell));
  return `${quoted.join(",")}\r\n`;
}
