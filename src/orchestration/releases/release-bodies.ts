import type { DeploymentState } from "../../flowyard-api/deployment-state.ts";
import type { ReleaseDeployment } from "../../flowyard-api/releases.ts";
import type { ScheduleState } from "../../flowyard-api/schedule-state.ts";
import { fillOwnId, type TriggerState } from "../../flowyard-api/trigger-state.ts";
import type { Automation } from "../../prefect-api/automations.ts";
import type { CreateDeployment } from "../../prefect-api/deployments.ts";
import type { CreateDeploymentSchedule } from "../../prefect-api/schedules.ts";
import type { Timestamp } from "../../prefect-api/timestamp.ts";

/** The body that a client would have sent for this state, schedules apart. */
export function buildDeploymentBody(
  { deployment }: ReleaseDeployment,
  state: DeploymentState,
  flowId: string,
): CreateDeployment {
  const { schedules: _schedules, triggers: _triggers, catch_up: _catchUp, ...rest } = state;
  return {
    ...rest,
    name: deployment.name,
    flow_id: flowId,
    // As they were said: a queue without a pool goes into the pool that is made for those.
    work_pool_name: deployment.work_pool_name ?? null,
    work_queue_name: deployment.work_pool_name ? state.work_queue_name : (deployment.work_queue_name ?? null),
    ...(deployment.version_info && { version_info: deployment.version_info }),
  };
}

export function buildScheduleBody({ schedule, ...rest }: Omit<ScheduleState, "id">): CreateDeploymentSchedule {
  const { active, max_scheduled_runs, parameters, slug } = rest;
  return {
    schedule: { ...schedule, timezone: schedule.timezone ?? null },
    active,
    max_scheduled_runs,
    parameters,
    slug,
  };
}

export function buildTriggerAutomation(
  { id: _id, ...trigger }: TriggerState,
  made: { id: string; created: Timestamp; updated: Timestamp },
  deploymentId: string,
): Automation {
  return {
    ...trigger,
    actions: fillOwnId(trigger.actions, deploymentId),
    actions_on_trigger: fillOwnId(trigger.actions_on_trigger, deploymentId),
    actions_on_resolve: fillOwnId(trigger.actions_on_resolve, deploymentId),
    ...made,
  };
}
