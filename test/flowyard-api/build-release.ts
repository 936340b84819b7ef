import type { z } from "zod";
import type { LiveDeployment } from "../../src/flowyard-api/deployment-state.ts";
import { ReleaseCandidate } from "../../src/flowyard-api/releases.ts";
import { Deployment } from "../../src/prefect-api/deployments.ts";
import type { DeploymentSchedule } from "../../src/prefect-api/schedules.ts";

export const SCOPE = { repository: "acme/etl", project_path: ".", environment: "production" };
const AT = "2026-01-01T00:00:00.000000Z";

type WantedInput = z.input<typeof ReleaseCandidate>["deployments"][number];
type Fields = Partial<WantedInput["deployment"]>;

/** The deployment `etl/<name>` as a release says it. */
export function want(name: string, deployment: Fields = {}, rest: Partial<WantedInput> = {}): WantedInput {
  return { flow_name: "etl", deployment: { name, work_pool_name: "pool", ...deployment }, ...rest };
}

export function buildCandidate(
  deployments: WantedInput[],
  rest: Partial<z.input<typeof ReleaseCandidate>> = {},
): ReleaseCandidate {
  return ReleaseCandidate.parse({ scope: SCOPE, source: { event: "push" }, deployments, ...rest });
}

/** A number as an id. */
export function id(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

/** The deployment `etl/<name>` as a server has it, the candidate's own unless told otherwise. */
export function buildLive(
  name: string,
  deployment: Partial<z.input<typeof Deployment>> = {},
  rest: Partial<LiveDeployment> = {},
): LiveDeployment {
  const made = Deployment.parse({
    id: id(1),
    created: AT,
    updated: AT,
    name,
    flow_id: id(9),
    paused: false,
    schedules: [],
    job_variables: {},
    parameters: {},
    tags: [],
    labels: { "prefect.flow.id": id(9) },
    work_pool_name: "pool",
    work_queue_name: "default",
    parameter_openapi_schema: {},
    pull_steps: [],
    ...deployment,
  });
  return { flow_name: "etl", deployment: made, triggers: [], owner: SCOPE, catch_up: null, missing: null, ...rest };
}

type ScheduleInput = z.input<typeof DeploymentSchedule>;

export function buildSchedule(schedule: ScheduleInput["schedule"], rest: Partial<ScheduleInput> = {}): ScheduleInput {
  return { id: id(50), created: AT, updated: AT, active: true, schedule, ...rest };
}
