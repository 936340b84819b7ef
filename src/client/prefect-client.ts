import { createAutomationRoutes } from "./automations.ts";
import { createBlockDocumentRoutes } from "./block-documents.ts";
import { createClaimRoutes } from "./claims.ts";
import { createDeploymentRoutes } from "./deployments.ts";
import { createEventRoutes } from "./events.ts";
import { createExplanationRoutes } from "./explanations.ts";
import { createFlowRunRoutes } from "./flow-runs.ts";
import { createFlowRoutes } from "./flows.ts";
import { type ConnectionOptions, createConnection } from "./http.ts";
import { createLogRoutes } from "./logs.ts";
import { createPoolWorkerRoutes } from "./pool-workers.ts";
import { createReleaseRoutes } from "./releases.ts";
import { createServerRoutes } from "./server.ts";
import { createSlotRoutes } from "./slots.ts";
import { createSocketRoutes } from "./sockets.ts";
import { createTimelineRoutes } from "./timelines.ts";
import { createVariableRoutes } from "./variables.ts";
import { createWorkPoolRoutes } from "./work-pools.ts";
import { createWorkQueueRoutes } from "./work-queues.ts";

export type PrefectClientOptions = ConnectionOptions;
export type PrefectClient = ReturnType<typeof createPrefectClient>;

/**
 * Prefect's REST and WebSocket API, one group of methods per resource. `findX` answers undefined for what the server
 * does not know, `getX` throws NOT_FOUND. Retries 408, 429, 502, 503 and dropped connections as Prefect's client does.
 * Throws UserError UNAUTHORIZED, NOT_FOUND, PLANE_REFUSED (the server's own words in the message; `refusalStatus` gives
 * the number), PLANE_ANSWER_INVALID, and TransientError PLANE_UNREACHABLE, PLANE_FAILED.
 */
export function createPrefectClient(options: PrefectClientOptions) {
  const connection = createConnection(options);
  return {
    apiUrl: connection.apiUrl,
    server: createServerRoutes(connection),
    workPools: createWorkPoolRoutes(connection),
    workQueues: createWorkQueueRoutes(connection),
    flows: createFlowRoutes(connection),
    deployments: createDeploymentRoutes(connection),
    flowRuns: createFlowRunRoutes(connection),
    logs: createLogRoutes(connection),
    events: createEventRoutes(connection),
    automations: createAutomationRoutes(connection),
    variables: createVariableRoutes(connection),
    blockDocuments: createBlockDocumentRoutes(connection),
    slots: createSlotRoutes(connection),
    sockets: createSocketRoutes(connection),
    /** Flowyard's own; a stock Prefect server has none of it (`findCapabilities`). */
    releases: createReleaseRoutes(connection),
    explanations: createExplanationRoutes(connection),
    claims: createClaimRoutes(connection),
    poolWorkers: createPoolWorkerRoutes(connection),
    timelines: createTimelineRoutes(connection),
  };
}
