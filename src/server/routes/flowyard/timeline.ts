import { z } from "zod";
import { buildRunTimeline } from "../../../orchestration/explain/build-run-timeline.ts";
import { Uuid } from "../../../prefect-api/primitives.ts";
import type { App, RouteDeps } from "../../app-deps.ts";

const ById = z.object({ id: Uuid });

export function registerTimelines(api: App, { store }: RouteDeps): void {
  api.get("/flowyard/flow_runs/:id/timeline", { schema: { params: ById } }, ({ params }) =>
    buildRunTimeline(store, params.id),
  );
}
