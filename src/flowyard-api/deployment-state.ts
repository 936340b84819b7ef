import type { Automation } from "../prefect-api/automations.ts";
import { deploymentLimitName } from "../prefect-api/concurrency-limits.ts";
import type { Deployment } from "../prefect-api/deployments.ts";
import type { JsonObject, Labels } from "../prefect-api/primitives.ts";
import type { CatchUp } from "./catch-up.ts";
import type { ReleaseDeployment, ReleaseScope } from "./releases.ts";
import { decideSchedules, type ScheduleState } from "./schedule-state.ts";
import { decideTriggers, readTriggers, type TriggerState } from "./trigger-state.ts";

/** A deployment as a server has it. */
export interface LiveDeployment {
  flow_name: string;
  deployment: Deployment;
  /** The automations that it owns; null where a server does not tell: they are not compared then. */
  triggers: readonly Automation[] | null;
  owner: ReleaseScope | null;
  /** Null where nothing was said, and on a stock Prefect server. */
  catch_up: CatchUp | null;
  /** Set while its owner's releases lack it: since which commit, and whether pruning paused it. */
  missing: { commit_sha: string | null; paused: boolean } | null;
}

/** All of a deployment that a release decides, complete and in one spelling, so that two can be compared. */
export interface DeploymentState {
  version: string | null;
  description: string | null;
  paused: boolean;
  tags: string[];
  parameters: JsonObject;
  enforce_parameter_schema: boolean;
  parameter_openapi_schema: JsonObject;
  work_pool_name: string | null;
  work_queue_name: string | null;
  job_variables: JsonObject;
  entrypoint: string | null;
  path: string | null;
  pull_steps: JsonObject[];
  concurrency_limit: number | null;
  concurrency_options: { collision_strategy: "ENQUEUE" | "CANCEL_NEW"; grace_period_seconds: number | null } | null;
  global_concurrency_limit_id: string | null;
  labels: Labels;
  storage_document_id: string | null;
  infrastructure_document_id: string | null;
  catch_up: CatchUp | null;
  schedules: ScheduleState[];
  triggers: TriggerState[] | null;
}

/** What a deployment is that says nothing. */
export const EMPTY_STATE: DeploymentState = {
  version: null,
  description: null,
  paused: false,
  tags: [],
  parameters: {},
  enforce_parameter_schema: true,
  parameter_openapi_schema: {},
  work_pool_name: null,
  work_queue_name: null,
  job_variables: {},
  entrypoint: null,
  path: null,
  pull_steps: [],
  concurrency_limit: null,
  concurrency_options: null,
  global_concurrency_limit_id: null,
  labels: {},
  storage_document_id: null,
  infrastructure_document_id: null,
  catch_up: null,
  schedules: [],
  triggers: [],
};

/** Where Prefect puts a queue that is named without a pool, and a deployment that names none. */
const AGENT_POOL = "default-agent-pool";
const DEFAULT_QUEUE = "default";
/** Labels that servers and we set ourselves. */
const SYSTEM_LABEL = /^(prefect|flowyard)\./;

type Said = ReleaseDeployment["deployment"] | Deployment;

/** The keys that a body and a stored deployment spell alike. */
function readCommon(said: Said) {
  const queue = said.work_queue_name || null;
  const pool = said.work_pool_name || (queue === null ? null : AGENT_POOL);
  const options = said.concurrency_options;
  return {
    version: said.version ?? null,
    description: said.description ?? null,
    tags: [...new Set(said.tags ?? [])],
    parameters: said.parameters ?? {},
    enforce_parameter_schema: said.enforce_parameter_schema ?? true,
    parameter_openapi_schema: said.parameter_openapi_schema ?? {},
    work_pool_name: pool,
    work_queue_name: pool === null ? null : (queue ?? DEFAULT_QUEUE),
    job_variables: said.job_variables ?? {},
    entrypoint: said.entrypoint ?? null,
    path: said.path ?? null,
    pull_steps: said.pull_steps ?? [],
    concurrency_options: options
      ? { collision_strategy: options.collision_strategy, grace_period_seconds: options.grace_period_seconds ?? null }
      : null,
    labels: Object.fromEntries(Object.entries(said.labels ?? {}).filter(([key]) => !SYSTEM_LABEL.test(key))),
    storage_document_id: said.storage_document_id ?? null,
    infrastructure_document_id: said.infrastructure_document_id ?? null,
  };
}

export function readLiveState({ deployment, triggers, catch_up }: LiveDeployment): DeploymentState {
  const limit = deployment.global_concurrency_limit;
  const ownLimit = limit?.name === deploymentLimitName(deployment.id);
  return {
    ...readCommon(deployment),
    paused: deployment.paused,
    concurrency_limit: ownLimit ? limit.limit : null,
    global_concurrency_limit_id: ownLimit ? null : (limit?.id ?? null),
    catch_up,
    schedules: deployment.schedules.map((schedule) => ({
      id: schedule.id,
      schedule: schedule.schedule,
      active: schedule.active,
      max_scheduled_runs: schedule.max_scheduled_runs ?? null,
      parameters: schedule.parameters,
      slug: schedule.slug ?? null,
    })),
    triggers: triggers && readTriggers(triggers, deployment.id),
  };
}

export interface StateContext {
  live: LiveDeployment | null;
  /** What the release before said of it: what it said and the new one does not is taken back. */
  base: ReleaseDeployment | null;
  /** Whether what an operator paused, and the file does not speak of, stays paused. */
  keepsPauses: boolean;
}

/** What the deployment becomes: what the release says, and what of the live one stays where it says nothing. */
export function decideState(wanted: ReleaseDeployment, { live, base, keepsPauses }: StateContext): DeploymentState {
  const said = wanted.deployment;
  const before = live === null ? EMPTY_STATE : readLiveState(live);
  const { id } = live?.deployment ?? { id: null };
  // Pruning paused it, and now it is back; or the release before said so, and this one does not any more.
  const isPauseOurs = live?.missing?.paused === true || base?.deployment.paused === true;
  const limit = said.concurrency_limit ?? null;
  const common = readCommon(said);
  return {
    ...common,
    // Servers add the flow's labels; those that nobody takes back stay.
    labels: { ...omitKeys(before.labels, base?.deployment.labels ?? {}), ...common.labels },
    paused: said.paused ?? (keepsPauses && before.paused && !isPauseOurs),
    concurrency_limit: limit,
    global_concurrency_limit_id:
      limit === null ? decideGlobalLimit(said.global_concurrency_limit_id, base, before) : null,
    catch_up: wanted.catch_up === undefined ? (base?.catch_up ? null : before.catch_up) : wanted.catch_up,
    schedules: decideSchedules(said.schedules, {
      live: before.schedules,
      base: base?.deployment.schedules,
      keepsPauses,
    }),
    triggers: decideTriggers(wanted.triggers, {
      id,
      live: before.triggers ?? [],
      base: base?.triggers ?? [],
      keepsPauses,
    }),
  };
}

function omitKeys(labels: Labels, omitted: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !(key in omitted)));
}

/** A limit that somebody attached on the server stays; one that the release before attached goes with its line. */
function decideGlobalLimit(
  said: string | null | undefined,
  base: ReleaseDeployment | null,
  before: DeploymentState,
): string | null {
  if (said !== undefined) {
    return said;
  }
  return base?.deployment.global_concurrency_limit_id ? null : before.global_concurrency_limit_id;
}
