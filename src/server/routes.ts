import { SchemaCache } from "../prefect-api/json-schema.ts";
import type { App, AppDeps, RouteDeps } from "./app-deps.ts";

import { registerAdmin } from "./routes/admin.ts";
import { registerArtifacts } from "./routes/artifacts.ts";
import { registerAutomations } from "./routes/automations.ts";
import { registerBlockDocuments } from "./routes/block-documents.ts";
import { registerBlockSchemas } from "./routes/block-schemas.ts";
import { registerBlockTypes } from "./routes/block-types.ts";
import { registerCollections } from "./routes/collections.ts";
import { registerConcurrencyLimits } from "./routes/concurrency-limits.ts";
import { registerConcurrencyStatus } from "./routes/concurrency-status.ts";
import { registerDeploymentSchedules } from "./routes/deployment-schedules.ts";
import { registerDeployments } from "./routes/deployments.ts";
import { registerEvents } from "./routes/events.ts";
import { registerFlowRunInputs } from "./routes/flow-run-inputs.ts";
import { registerFlowRunStates } from "./routes/flow-run-states.ts";
import { registerFlowRuns } from "./routes/flow-runs.ts";
import { registerFlows } from "./routes/flows.ts";
import { registerLogs } from "./routes/logs.ts";
import { registerPoolQueues } from "./routes/pool-queues.ts";
import { registerTaskRuns } from "./routes/task-runs.ts";
import { registerVariables } from "./routes/variables.ts";
import { registerWorkPools } from "./routes/work-pools.ts";
import { registerWorkQueues } from "./routes/work-queues.ts";
import { registerWorkers } from "./routes/workers.ts";
import { registerSockets } from "./sockets/register-sockets.ts";

/** Every route of the wire, one file per resource. */
export function registerRoutes(api: App, appDeps: AppDeps): void {
  const deps: RouteDeps = { ...appDeps, schemas: new SchemaCache() };
  registerAdmin(api, deps);
  registerCollections(api);
  registerFlows(api, deps);
  registerDeployments(api, deps);
  registerDeploymentSchedules(api, deps);
  registerFlowRuns(api, deps);
  registerFlowRunStates(api, deps);
  registerWorkPools(api, deps);
  registerPoolQueues(api, deps);
  registerWorkers(api, deps);
  registerLogs(api, deps);
  registerEvents(api, deps);
  registerTaskRuns(api, deps);
  registerAutomations(api, deps);
  registerVariables(api, deps);
  registerConcurrencyLimits(api, deps);
  registerBlockDocuments(api, deps);
  registerBlockSchemas(api, deps);
  registerBlockTypes(api, deps);
  registerArtifacts(api, deps);
  registerFlowRunInputs(api, deps);
  registerWorkQueues(api, deps);
  registerConcurrencyStatus(api, deps);
  registerSockets(api, deps);
}
