import { randomUUID } from "node:crypto";
import { saveDeployment } from "../../src/orchestration/deployments.ts";
import { CreateDeployment } from "../../src/prefect-api/deployments.ts";
import { SchemaCache } from "../../src/prefect-api/json-schema.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import type { Store } from "../../src/storage/store.ts";

/** Stores a deployment of a new flow. */
export async function insertDeployment(
  store: Store,
  now: Date,
  body: Record<string, unknown> = {},
): Promise<{ flow_id: string; deployment_id: string }> {
  const flowId = randomUUID();
  const timestamp = timestampFromDate(now);
  await store.transaction((tx) =>
    tx.flows.insert({ id: flowId, created: timestamp, updated: timestamp, name: flowId, tags: [], labels: {} }),
  );
  const { deployment } = await saveDeployment(
    { store, schemas: new SchemaCache() },
    CreateDeployment.parse({ name: "etl", flow_id: flowId, ...body }),
    { now, createdBy: null },
  );
  return { flow_id: flowId, deployment_id: deployment.id };
}
