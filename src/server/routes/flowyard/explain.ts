import { z } from "zod";
import { explainFlowRun } from "../../../orchestration/explain/explain-flow-run.ts";
import { Uuid } from "../../../prefect-api/primitives.ts";
import type { App, RouteDeps } from "../../app-deps.ts";

const ById = z.object({ id: Uuid });
/** Of a plane whose loops run in another process: the default of the setting. */
const DEFAULT_CANCELLING_TIMEOUT_SECONDS = 300;

export function registerExplanations(api: App, { store, clock, cancellingTimeoutSeconds }: RouteDeps): void {
  api.get("/flowyard/flow_runs/:id/explain", { schema: { params: ById } }, ({ params }) =>
    explainFlowRun(store, params.id, {
      now: clock.now(),
      cancellingTimeoutSeconds: cancellingTimeoutSeconds ?? DEFAULT_CANCELLING_TIMEOUT_SECONDS,
    }),
  );
}
