import { v7 as uuidv7 } from "uuid";
import type { ReceivedEvent } from "../../prefect-api/events.ts";
import type { EmpiricalPolicy } from "../../prefect-api/flow-runs.ts";
import { isTerminal, type SetStateResult, type State, type StateCreate } from "../../prefect-api/states.ts";
import type { TaskRun } from "../../prefect-api/task-runs.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { Store, Tx } from "../../storage/store.ts";
import type { ChangingRun } from "../../storage/transitions.ts";
import { decideClaimAfter, decideFencing } from "../claims/claim-rules.ts";
import type { LiveBus } from "../events/live-bus.ts";
import { changeSlot, findConcurrency, findGates, noteFreedSlots } from "../slots/change-slot.ts";
import { enterState } from "./bookkeeping.ts";
import { buildFlowRunEvent, type EventSubject } from "./flow-run-event.ts";
import { mirrorSubflowState } from "./mirror-subflow-state.ts";
import { decideLate, decideTransition } from "./state-rules.ts";
import { buildProposedState, type Decision, type StateChange, type Transition } from "./transition.ts";

export interface StateProposal {
  flowRunId: string;
  state: StateCreate;
  /** `forced`: a person insists. `late`: the loop that marks waiting runs. */
  mode: "normal" | "forced" | "late";
  clientApiVersion: string | null;
  /** Of the claim in whose name the proposer acts; stock workers and engines have none. */
  fencingToken?: number | null;
  /** Who asks, for the history and the log. */
  by?: string;
}

export interface StateOutcome {
  result: SetStateResult;
  /** Whether a state was written: accepted, or another one instead of a rejected one. */
  written: boolean;
}

interface Deps {
  bus: LiveBus;
  logger: Logger;
}

/**
 * Applies a proposed state to a flow run: rules, bookkeeping, slot, event and the parent's task run in one transaction.
 * Safe to repeat with a transition id. Throws UserError NOT_FOUND.
 */
export function setFlowRunState(
  deps: Deps & { store: Pick<Store, "transaction"> },
  proposal: StateProposal,
  now: Date,
): Promise<StateOutcome> {
  return deps.store.transaction(
    (tx) => setFlowRunStateIn(tx, deps, proposal, now),
    (nouns) => nouns.transitions.find(proposal.flowRunId),
  );
}

/** The same inside a transaction of the caller's. */
export async function setFlowRunStateIn(tx: Tx, deps: Deps, proposal: StateProposal, now: Date): Promise<StateOutcome> {
  const run = await tx.transitions.find(proposal.flowRunId);
  if (run === undefined) {
    throw new UserError("NOT_FOUND", `Flow run with id ${proposal.flowRunId} not found`);
  }
  const timestamp = timestampFromDate(now);
  const [concurrency, gates] = await Promise.all([
    findConcurrency(tx, run, timestamp),
    proposal.state.type === "PENDING" ? findGates(tx, run) : [],
  ]);
  const transition: Transition = {
    run,
    proposed: buildProposedState(proposal.state, timestamp),
    clientApiVersion: proposal.clientApiVersion,
    concurrency,
    gates,
    now: timestamp,
  };
  const by = proposal.by === undefined ? null : `${proposal.by}${proposal.mode === "forced" ? " (forced)" : ""}`;
  const decision = decideFencing(run.claim, proposal.fencingToken ?? null) ?? decide(transition, proposal.mode);
  const change = decision.status === "ACCEPT" || decision.status === "REJECT" ? decision.change : null;
  const state = change === null ? run.state : await writeChange(tx, deps, transition, run, { ...change, by });
  logDecision(tx, deps.logger, run, { ...decision, by }, state);
  return { result: buildResult(decision, state), written: change !== null };
}

function decide(transition: Transition, mode: StateProposal["mode"]): Decision {
  return mode === "late" ? decideLate(transition) : decideTransition({ ...transition, force: mode === "forced" });
}

async function writeChange(
  tx: Tx,
  deps: Deps,
  { now, clientApiVersion }: Transition,
  run: ChangingRun,
  change: StateChange & { by: string | null },
): Promise<State> {
  const leaseId = await changeSlot(tx, run, change.slot, now);
  const draft =
    leaseId === undefined
      ? change.state
      : {
          ...change.state,
          state_details: { ...change.state.state_details, deployment_concurrency_lease_id: leaseId },
        };
  const entered = enterState(run, draft, change.policy, { stateId: uuidv7(), now, clientApiVersion });
  // An attempt that is scheduled anew starts without the infrastructure of the one before.
  const startsAnew = run.state !== null && isTerminal(run.state.type) && entered.state.type === "SCHEDULED";
  const told = await buildStateEvent(tx, { ...run, run_count: entered.times.run_count }, run.state, entered.state);
  await tx.transitions.save(run.id, entered.state, {
    ...entered.times,
    empirical_policy: entered.policy,
    infrastructure_pid: startsAnew ? null : run.infrastructure_pid,
    writtenBy: change.by,
    event: told.event,
  });
  await announceState(tx, deps, run, told, entered.state);
  await tx.flowRunInputs.remove(run.id, change.staleInputKeys);
  await noteFreedSlots(tx, run, entered, now);
  await changeClaim(tx, run, entered.state, entered.policy);
  if (entered.state.type === "CANCELLED") {
    tx.wakeUps.notify("flow_run_cancelled", run.id);
  }
  return entered.state;
}

/** A run that nobody claimed has no claim to end: most writes cost nothing here. */
async function changeClaim(tx: Tx, run: ChangingRun, state: State, policy: EmpiricalPolicy): Promise<void> {
  const action = run.claim === null ? "keep" : decideClaimAfter(run.state, state, policy);
  if (action === "revoke") {
    await tx.flowRunClaims.revoke(run.id, 0);
  } else if (action === "end" && run.claim?.ended === false) {
    await tx.flowRunClaims.end(run.id);
  }
}

/** What tells of a state, and the task run that stands for the run in its parent flow. */
export interface StateNews {
  event: ReceivedEvent;
  parentTaskRun: TaskRun | null;
}

/** The event of a state that is about to be written. It is stored with the state. */
export async function buildStateEvent(
  tx: Tx,
  run: Omit<EventSubject, "flowRun" | "parentTaskRun"> &
    EventSubject["flowRun"] & { parent_task_run_id: string | null },
  before: State | null,
  state: State,
): Promise<StateNews> {
  const taskRunId = run.parent_task_run_id;
  const parentTaskRun = taskRunId === null ? null : ((await tx.taskRuns.find(taskRunId)) ?? null);
  return {
    event: buildFlowRunEvent({ ...run, flowRun: run, parentTaskRun }, before, state, state.timestamp),
    parentTaskRun,
  };
}

/** Publishes a written state once it is on disk, wakes who waits for such a run, mirrors it on the parent's task. */
export async function announceState(
  tx: Tx,
  { bus }: Pick<Deps, "bus">,
  run: { workPool: { id: string } | null },
  { event, parentTaskRun }: StateNews,
  state: State,
): Promise<void> {
  bus.announceEvents(tx, [event]);
  if (state.type === "SCHEDULED" && run.workPool !== null) {
    tx.wakeUps.notify("flow_run_scheduled", run.workPool.id);
  }
  if (parentTaskRun !== null) {
    await mirrorSubflowState(tx, parentTaskRun, state);
  }
}

function buildResult(decision: Decision, state: State | null): SetStateResult {
  switch (decision.status) {
    case "ACCEPT":
      // An accepted proposal has always been written.
      return { state: requireState(state), status: "ACCEPT", details: { type: "accept_details" } };
    case "REJECT":
      return {
        state,
        status: "REJECT",
        details: { type: "reject_details", reason: decision.reason, reason_code: decision.reasonCode },
      };
    case "WAIT":
      return {
        state,
        status: "WAIT",
        details: {
          type: "wait_details",
          delay_seconds: decision.delaySeconds,
          reason: decision.reason,
          reason_code: decision.reasonCode,
        },
      };
    case "ABORT":
      return {
        state,
        status: "ABORT",
        details: { type: "abort_details", reason: decision.reason, reason_code: decision.reasonCode },
      };
  }
}

function requireState(state: State | null): State {
  if (state === null) {
    throw new Error("an accepted state change wrote no state");
  }
  return state;
}

function logDecision(
  tx: Tx,
  logger: Logger,
  run: ChangingRun,
  decision: Decision & { by: string | null },
  state: State | null,
): void {
  const fields = {
    flow_run_id: run.id,
    from: run.state?.name ?? null,
    to: state?.name ?? null,
    status: decision.status,
    by: decision.by,
    ...("reasonCode" in decision ? { reason_code: decision.reasonCode } : {}),
  };
  tx.afterCommit(() => logger.info(fields, "flow run state"));
}
