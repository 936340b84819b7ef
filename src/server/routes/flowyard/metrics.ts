import type { App } from "../../app-deps.ts";
import type { PlaneMetrics } from "../../metrics.ts";

export function registerMetrics(api: App, metrics: PlaneMetrics): void {
  api.get("/flowyard/metrics", async (_request, reply) => {
    const { contentType, text } = await metrics.render();
    return reply.type(contentType).send(text);
  });
}
