import { randomUUID } from "node:crypto";
import { v7 as uuidv7 } from "uuid";
import { z } from "zod";
import { EmpiricalPolicy, type FlowRun } from "../src/prefect-api/flow-runs.ts";
import { completeStateDetails, defaultStateName, isTerminal, type StateType } from "../src/prefect-api/states.ts";
import { addSeconds, timestampFromDate } from "../src/prefect-api/timestamp.ts";
import type { Store, Tx } from "../src/storage/store.ts";

/** What a store of some months holds, all within the retention: 97 of 100 runs have ended, most others wait for their time. */
const DAYS = 80;
const DAY_SECONDS = 86_400;
const ENDED_SHARE = 0.97;
/** Runs that a poll finds, however many are stored: a poll's work is then the same. */
const DUE = 300;
const ACTIVE = 200;
const BATCH = 5000;
const CUSTOMERS = 500;

export const FilledStore = z.object({
  poolName: z.string(),
  /** A deployment that has one run of about twenty. */
  deploymentId: z.string(),
  deploymentName: z.string(),
  flowName: z.string(),
  /** On one run of about twenty, on one of about 500, and on ten runs in all. */
  tags: z.object({ common: z.string(), rare: z.string(), scarce: z.string() }),
});
export type FilledStore = z.infer<typeof FilledStore>;

interface Origin {
  flowId: string;
  flowName: string;
  deploymentId: string;
  deploymentName: string;
  queueId: string;
  tags: string[];
}

/** Numbers in [0, 1), always the same for a seed. */
function buildRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Fills an empty store with flow runs and their states, straight through the storage room. */
export async function fillRuns(store: Store, runs: number, now: Date): Promise<FilledStore> {
  const random = buildRandom(runs);
  const at = timestampFromDate(now);
  const origins = await store.transaction((tx) => insertOrigins(tx, at));
  for (let start = 0; start < runs; start += BATCH) {
    await store.transaction(async (tx) => {
      for (let index = start; index < Math.min(runs, start + BATCH); index += 1) {
        await tx.flowRuns.insert(buildRun(origins, { index, runs, at, random }));
      }
    });
  }
  const [origin] = origins;
  if (origin === undefined) {
    throw new Error("no deployment was made");
  }
  return {
    poolName: "bench-pool",
    deploymentId: origin.deploymentId,
    deploymentName: origin.deploymentName,
    flowName: origin.flowName,
    tags: { common: origin.tags[1] ?? "", rare: "customer-7", scarce: "incident" },
  };
}

async function insertOrigins(tx: Tx, at: string): Promise<Origin[]> {
  const row = () => ({ id: randomUUID(), created: at, updated: at });
  const pool = { ...row(), name: "bench-pool", description: null, type: "process", base_job_template: {} };
  const queueIds = ["default", "urgent", "batch"].map(() => randomUUID());
  const rest = { is_paused: false, concurrency_limit: null, default_queue_id: queueIds[0] ?? "" };
  const storage = { bundle_upload_step: null, bundle_execution_step: null, default_result_storage_block_id: null };
  await tx.workPools.insert({ ...pool, ...rest, storage_configuration: storage });
  for (const [index, name] of ["default", "urgent", "batch"].entries()) {
    await tx.workQueues.insert({
      id: queueIds[index] ?? "",
      created: at,
      name,
      description: "",
      is_paused: false,
      concurrency_limit: null,
      priority: index + 1,
      work_pool_id: pool.id,
      filter: null,
    });
  }
  const origins: Origin[] = [];
  for (let index = 0; index < 20; index += 1) {
    const flow = { ...row(), name: `flow-${index}`, tags: [], labels: {} };
    const tags = ["bench", `team-${index}`];
    const queueId = queueIds[index % queueIds.length] ?? "";
    await tx.flows.insert(flow);
    const deployment = { ...row(), name: `deployment-${index}`, flow_id: flow.id, work_queue_id: queueId };
    await tx.deployments.insert({
      ...deployment,
      version: null,
      description: null,
      paused: false,
      concurrency_limit_id: null,
      concurrency_options: null,
      job_variables: {},
      parameters: {},
      tags,
      labels: {},
      parameter_openapi_schema: { type: "object", properties: { n: { type: "integer" } } },
      path: null,
      pull_steps: null,
      entrypoint: "flow.py:flow",
      storage_document_id: null,
      infrastructure_document_id: null,
      created_by: null,
      updated_by: null,
      enforce_parameter_schema: true,
    });
    origins.push({
      flowId: flow.id,
      flowName: flow.name,
      deploymentId: deployment.id,
      deploymentName: deployment.name,
      queueId,
      tags,
    });
  }
  return origins;
}

interface Place {
  index: number;
  runs: number;
  at: string;
  random: () => number;
}

function buildRun(origins: readonly Origin[], place: Place): FlowRun {
  const { index, random } = place;
  const origin = origins[Math.floor(random() * origins.length)] ?? origins[0];
  if (origin === undefined) {
    throw new Error("no deployment was made");
  }
  const { type, expected } = chooseState(place);
  const started = type === "SCHEDULED" || type === "PENDING" ? null : addSeconds(expected, random() * 20);
  const ended = started !== null && isTerminal(type) ? addSeconds(started, 5 + random() * 600) : null;
  const created = addSeconds(expected, -3600);
  return {
    id: randomUUID(),
    created,
    updated: ended ?? started ?? created,
    name: `${origin.flowName}-run-${index}`,
    flow_id: origin.flowId,
    deployment_id: origin.deploymentId,
    work_queue_id: origin.queueId,
    parameters: { n: index },
    context: {},
    empirical_policy: EmpiricalPolicy.parse({}),
    tags: [...origin.tags, `customer-${Math.floor(random() * CUSTOMERS)}`, ...(index < 10 ? ["incident"] : [])],
    labels: { "prefect.flow.id": origin.flowId, "prefect.deployment.id": origin.deploymentId },
    run_count: started === null ? 0 : 1,
    total_run_time: 60,
    estimated_run_time: 60,
    estimated_start_time_delta: 0,
    auto_scheduled: true,
    expected_start_time: expected,
    next_scheduled_start_time: type === "SCHEDULED" ? expected : null,
    start_time: started,
    end_time: ended,
    job_variables: {},
    state: {
      id: uuidv7({ msecs: Date.parse(created) }),
      type,
      name: defaultStateName(type),
      timestamp: ended ?? started ?? created,
      message: null,
      data: null,
      state_details: completeStateDetails({ flow_run_id: null, scheduled_time: expected }),
    },
  };
}

/** In the order of time, as runs come: the database grows as it would have grown. */
function chooseState({ index, runs, at, random }: Place): { type: StateType; expected: string } {
  if (index >= runs - DUE) {
    return { type: "SCHEDULED", expected: addSeconds(at, -random() * 600) };
  }
  if (index >= runs - DUE - ACTIVE) {
    return { type: random() < 0.8 ? "RUNNING" : "PENDING", expected: addSeconds(at, -random() * 1800) };
  }
  const passed = index / (runs * ENDED_SHARE);
  if (passed > 1) {
    return { type: "SCHEDULED", expected: addSeconds(at, DAY_SECONDS * (1 + random() * 7)) };
  }
  const expected = addSeconds(at, -3600 - (1 - passed) * DAYS * DAY_SECONDS);
  const dice = random();
  if (dice < 0.9) {
    return { type: "COMPLETED", expected };
  }
  return { type: dice < 0.96 ? "FAILED" : dice < 0.985 ? "CRASHED" : "CANCELLED", expected };
}
