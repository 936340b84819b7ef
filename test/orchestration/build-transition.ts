import type {
  DeploymentConcurrency,
  StateDraft,
  Transition,
  TransitionRun,
} from "../../src/orchestration/states/transition.ts";
import { buildState } from "../../src/orchestration/states/transition.ts";
import { EmpiricalPolicy } from "../../src/prefect-api/flow-runs.ts";
import type { State, StateType } from "../../src/prefect-api/states.ts";

export const NOW = "2026-11-24T12:00:00.000000Z";
export const EARLIER = "2026-11-24T11:59:00.000000Z";
export const LATER = "2026-11-24T12:01:00.000000Z";

export function buildStoredState(draft: StateDraft, timestamp = EARLIER): State {
  return { ...draft, id: "00000000-0000-7000-8000-000000000001", timestamp };
}

interface Parts {
  run?: Partial<TransitionRun>;
  concurrency?: DeploymentConcurrency | null;
  gates?: Transition["gates"];
  clientApiVersion?: string | null;
}

/** A run of a deployment, already in `from`, to which `to` is proposed. */
export function buildTransition(
  from: StateDraft | StateType | null,
  to: StateDraft | StateType,
  parts: Parts = {},
): Transition {
  const fromDraft = typeof from === "string" ? buildPlainState(from) : from;
  return {
    run: {
      id: "00000000-0000-4000-8000-000000000002",
      deployment_id: "00000000-0000-4000-8000-000000000003",
      parent_task_run_id: null,
      infrastructure_pid: null,
      run_count: 0,
      empirical_policy: EmpiricalPolicy.parse({}),
      state: fromDraft === null ? null : buildStoredState(fromDraft),
      ...parts.run,
    },
    proposed: typeof to === "string" ? buildPlainState(to) : to,
    clientApiVersion: parts.clientApiVersion ?? null,
    concurrency: parts.concurrency ?? null,
    gates: parts.gates ?? [],
    now: NOW,
  };
}

function buildPlainState(type: StateType): StateDraft {
  return buildState(type, { details: type === "SCHEDULED" ? { scheduled_time: EARLIER } : {} });
}
