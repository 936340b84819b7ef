import { randomUUID } from "node:crypto";
import { saveDeployment } from "../../src/orchestration/deployments.ts";
import { scheduleFlowRuns } from "../../src/orchestration/schedules/schedule-flow-runs.ts";
import { CreateDeployment, type Deployment } from "../../src/prefect-api/deployments.ts";
import type { FlowRun } from "../../src/prefect-api/flow-runs.ts";
import { SchemaCache } from "../../src/prefect-api/json-schema.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import { silentLogger } from "../../src/shared/logger.ts";
import type { Store } from "../../src/storage/store.ts";

/** A clock that is set. */
export class SetClock {
  #now: Date;

  constructor(start: string) {
    this.#now = new Date(start);
  }

  now(): Date {
    return this.#now;
  }

  set(time: string | number): void {
    this.#now = new Date(time);
  }
}

export async function createFlow(store: Store, now: Date): Promise<string> {
  const id = randomUUID();
  const timestamp = timestampFromDate(now);
  await store.transaction((tx) =>
    tx.flows.insert({ id, created: timestamp, updated: timestamp, name: `flow-${id}`, tags: [], labels: {} }),
  );
  return id;
}

/** As `POST /deployments/` does, of a flow of its own. */
export async function createDeployment(store: Store, now: Date, body: object): Promise<Deployment> {
  const flowId = await createFlow(store, now);
  const saved = await saveDeployment(
    { store, schemas: new SchemaCache() },
    CreateDeployment.parse({ name: "nightly", flow_id: flowId, enforce_parameter_schema: false, ...body }),
    { now, createdBy: null },
  );
  return saved.deployment;
}

/** Ticks until nothing is left to do; answers how many runs were made. */
export async function schedule(store: Store, now: Date): Promise<number> {
  let made = 0;
  for (;;) {
    const { changed, more } = await scheduleFlowRuns({ store, logger: silentLogger }, now);
    made += changed;
    if (!more) {
      return made;
    }
  }
}

export function listRuns(store: Store): Promise<FlowRun[]> {
  return store.flowRuns.list({}, { sort: "EXPECTED_START_TIME_ASC", limit: 10_000, offset: 0 });
}

/** The times of the runs that are there, to the second. */
export async function listTimes(store: Store): Promise<string[]> {
  return (await listRuns(store)).map((run) => `${run.expected_start_time?.slice(0, 19) ?? ""}Z`);
}
