import type { Blame, Cause, Evidence, ExplanationCode, LastLine } from "../../flowyard-api/explain.ts";
import type { ReceivedEvent } from "../../prefect-api/events.ts";
import type { State } from "../../prefect-api/states.ts";
import { secondsBetween, type Timestamp } from "../../prefect-api/timestamp.ts";
import type { RunSubject } from "../../storage/run-subject.ts";
import type { Holder, Holders, KnownWorker, PoolWorkers } from "../../storage/situations.ts";
import { describeMoment, describeSpan, quote } from "./wording.ts";

/** All that an explanation rests on: gathered once, then judged by pure rules. What was not asked for is empty. */
export interface Situation extends RunSubject {
  now: Timestamp;
  /** How long a cancellation may take until the plane ends it. */
  cancellingTimeoutSeconds: number;
  workers: PoolWorkers | null;
  /** Other pools that workers are online for; asked when this pool has none. */
  servedPools: readonly { name: string; type: string; workers: number }[];
  poolHolders: Holders | null;
  queueHolders: Holders | null;
  deploymentLimit: { limit: number; taken: number; holders: readonly Holder[] } | null;
  ahead: { count: number; isAtLeast: boolean; urgent: number; first: readonly { id: string; name: string }[] } | null;
  /** Heartbeats of the engine and what the worker tells of the image, the last one first. */
  events: readonly ReceivedEvent[];
  /** When the lease on the slot of the deployment's limit ends or ended; null when the run has none. */
  slotLease: { expires_at: Timestamp | null } | null;
  tagLimits: readonly { tag: string; limit: number; taken: number; tasks: readonly string[] }[];
  /** The fields that the input which a pause waits for has. */
  inputFields: readonly string[];
  /** The last one first. */
  states: readonly State[];
  lastLines: readonly LastLine[];
}

/** Says what it knows about one cause, or nothing where that one does not hold. */
export type ExplanationRule = (situation: Situation) => Cause | undefined;

interface CauseParts {
  sentence: string;
  next?: string;
  since?: Timestamp | null;
  blame?: Blame | null;
  evidence?: readonly Evidence[];
}

export function buildCause(reason_code: ExplanationCode, parts: CauseParts): Cause {
  return {
    reason_code,
    sentence: parts.sentence,
    next_step: parts.next ?? "",
    since: parts.since ?? null,
    blame: parts.blame ?? null,
    evidence: [...(parts.evidence ?? [])],
  };
}

/** When a waiting run should start. */
export function dueAt({ run, now }: Pick<Situation, "run" | "now">): Timestamp {
  return run.next_scheduled_start_time ?? run.expected_start_time ?? run.state?.timestamp ?? now;
}

export function isDue(situation: Situation): boolean {
  return dueAt(situation) <= situation.now;
}

/** `the run has been due for 5 minutes`. */
export function describeDue(situation: Situation): string {
  const seconds = secondsBetween(dueAt(situation), situation.now);
  if (seconds < 0) {
    return `the run is due in ${describeSpan(-seconds)}`;
  }
  return seconds < 1 ? "the run is due now" : `the run has been due for ${describeSpan(seconds)}`;
}

/** Who said that it has the run: by claim, or by the labels that every worker puts on a run. */
export function nameOfWorker({ claim, run }: Pick<RunSubject, "claim" | "run">): string | null {
  const label = run.labels?.["prefect.worker.name"];
  return claim?.worker_name ?? (typeof label === "string" && label !== "" ? label : null);
}

/** What the pool knows of the worker that has the run. */
export function findWorkerOfRun(situation: Situation): KnownWorker | undefined {
  const name = nameOfWorker(situation);
  return situation.workers?.workers.find((worker) => worker.name === name);
}

/** When the run entered the type of state that it is in: Pending and Submitting are one. */
export function sinceType({ run, states }: Situation): Timestamp | null {
  let since = run.state?.timestamp ?? null;
  for (const state of states) {
    if (state.type !== run.state?.type) {
      break;
    }
    since = state.timestamp;
  }
  return since;
}

export function describeWorkerFact(worker: KnownWorker): Evidence {
  const { name, last_heartbeat_time, is_online } = worker;
  return {
    kind: "worker",
    text: `worker ${quote(name)} is ${is_online ? "online" : "offline"}, last heard of ${describeMoment(last_heartbeat_time)}`,
    data: { name, last_heartbeat_time, is_online },
  };
}

export function describeHolder(holder: Holder): Evidence {
  const { id, name, state_type, since, lease_until } = holder;
  const parts = [
    `held by ${quote(name)} (${id})`,
    ...(since === null ? [] : [`since ${describeMoment(since)}`]),
    ...(lease_until === null ? [] : [`lease until ${describeMoment(lease_until)}`]),
  ];
  return {
    kind: "slot_holder",
    text: parts.join(", "),
    data: { flow_run_id: id, name, state_type, since, lease_until },
  };
}

export function describeStateFact(state: State): Evidence {
  return {
    kind: "state",
    text: `${state.name} since ${describeMoment(state.timestamp)}`,
    data: { type: state.type, name: state.name, timestamp: state.timestamp, message: state.message },
  };
}
