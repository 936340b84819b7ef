import { z } from "zod";
import type { FlowRunHistory } from "../../../flowyard-api/flow-run-history.ts";
import { Uuid } from "../../../prefect-api/primitives.ts";
import type { App, AppDeps } from "../../app-deps.ts";

const ById = z.object({ id: Uuid });

export function registerFlowRunHistory(api: App, { store }: AppDeps): void {
  api.get(
    "/flowyard/flow_runs/:id/history",
    { schema: { params: ById } },
    async ({ params }): Promise<FlowRunHistory> => {
      const { id } = await store.flowRuns.get(params.id);
      return await store.transitions.listHistory(id);
    },
  );
}
