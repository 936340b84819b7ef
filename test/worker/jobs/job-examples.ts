import type { Deployment } from "../../../src/prefect-api/deployments.ts";
import type { ReceivedFlowRun } from "../../../src/prefect-api/flow-runs.ts";
import type { Flow } from "../../../src/prefect-api/flows.ts";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import { findDefaultBaseJobTemplate } from "../../../src/prefect-api/worker-metadata.ts";
import { buildJob, type Job, type JobContext } from "../../../worker/jobs/job.ts";
import { fillJobTemplate } from "../../../worker/jobs/job-template.ts";

const TIME = "2026-11-24T08:00:00.000000Z";

export const flowRun: ReceivedFlowRun = {
  id: "11111111-1111-4111-8111-111111111111",
  created: TIME,
  updated: TIME,
  name: "curious-otter",
  flow_id: "22222222-2222-4222-8222-222222222222",
  deployment_id: "33333333-3333-4333-8333-333333333333",
  parameters: {},
  empirical_policy: {
    max_retries: 0,
    retry_delay_seconds: 0,
    retries: null,
    retry_delay: null,
    pause_keys: [],
    resuming: false,
    retry_type: null,
  },
  tags: [],
  run_count: 0,
  total_run_time: 0,
  estimated_run_time: 0,
  estimated_start_time_delta: 0,
  auto_scheduled: false,
};

export const flow: Flow = {
  id: "22222222-2222-4222-8222-222222222222",
  created: TIME,
  updated: TIME,
  name: "etl",
  tags: [],
  labels: {},
};

export const deployment: Deployment = {
  id: "33333333-3333-4333-8333-333333333333",
  created: TIME,
  updated: "2026-11-24T08:00:01.250000Z",
  name: "nightly",
  flow_id: flow.id,
  paused: false,
  schedules: [],
  job_variables: {},
  parameters: {},
  tags: [],
  enforce_parameter_schema: true,
};

export const context: JobContext = {
  flowRun,
  deployment,
  flow,
  workPool: { id: "44444444-4444-4444-8444-444444444444", name: "my-pool" },
  workerName: "w1",
  claim: { worker_instance: "instance-1", worker_home: "home-1", attempt: "019ab000-0000-7000-8000-000000000001" },
  relay: undefined,
  settings: { PREFECT_API_URL: "http://plane.example:4200/api" },
};

interface JobOptions {
  settings?: Record<string, string>;
  type?: string;
  attempt?: string;
  workPoolId?: string;
  /** Job variables that no template names. */
  own?: JsonObject;
}

/** The job of a run whose job variables are these, in a pool with the default template of its type. */
export function exampleJob(jobVariables: JsonObject, options: JobOptions = {}): Job {
  const { settings = context.settings, type = "docker", attempt, workPoolId, own } = options;
  const template = findDefaultBaseJobTemplate(type) ?? {};
  const configuration = fillJobTemplate(template, jobVariables, {});
  return buildJob(
    { ...configuration, fake: jobVariables["fake"], ...own },
    {
      ...context,
      settings,
      claim: { ...context.claim, attempt: attempt ?? context.claim.attempt },
      workPool: { ...context.workPool, id: workPoolId ?? context.workPool.id },
    },
  );
}
