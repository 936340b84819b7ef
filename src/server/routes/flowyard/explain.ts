import { z } from "zod";
import { explainFlowRun } from "../../../orchestration/explain-flow-run.ts";
import { Uuid } from "../../../prefect-api/primitives.ts";
import type { App, RouteDeps } from "../../app-deps.ts";

const ById = z.object({ id: Uuid });

export function registerExplanations(api: App, { store, clock }: RouteDeps): void {
  api.get("/flowyard/flow_runs/:id/explain", { schema: { params: ById } }, ({ params }) =>
    explainFlowRun(store, params.id, clock.now()),
  );
}
