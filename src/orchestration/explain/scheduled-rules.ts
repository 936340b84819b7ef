import type { Cause, Evidence } from "../../flowyard-api/explain.ts";
import { secondsBetween } from "../../prefect-api/timestamp.ts";
import { decideAhead, decideDeploymentLimit, decidePoolLimit, decideQueueLimit } from "./capacity-rules.ts";
import {
  buildCause,
  describeDue,
  describeWorkerFact,
  dueAt,
  type ExplanationRule,
  isDue,
  type Situation,
} from "./situation.ts";
import { describeCount, describeMoment, describeSpan, excerpt, quote, shellWord } from "./wording.ts";

/** A retry inside its own process is overdue when it has not begun this long after its time. */
const IN_PROCESS_GRACE_SECONDS = 60;
/** A run that a worker could take is taken within one poll; far beyond that, something is wrong with the worker. */
const TAKEN_WITHIN_SECONDS = 60;

const decideRetry: ExplanationRule = (situation) => {
  const { run, now } = situation;
  const { retry_type, retries } = run.empirical_policy;
  if (run.state?.name !== "AwaitingRetry") {
    return undefined;
  }
  const at = dueAt(situation);
  const seconds = secondsBetween(now, at);
  const number = retries === null ? `retry ${run.run_count}` : `retry ${run.run_count} of ${retries}`;
  const evidence: Evidence[] = [
    { kind: "retry", text: `${number} at ${describeMoment(at)}`, data: { retry: run.run_count, retries, at } },
  ];
  const since = run.state.timestamp;
  const when = seconds > 0 ? `begins in ${describeSpan(seconds)}, at ${describeMoment(at)}` : "begins now";
  if (retry_type === "in_process") {
    const isOverdue = seconds < -IN_PROCESS_GRACE_SECONDS;
    return buildCause("RETRY_IN_PROCESS", {
      sentence: isOverdue
        ? `The last attempt failed, and ${number} should have begun ${describeSpan(-seconds)} ago in the process of that attempt; nothing has been heard from it.`
        : `The last attempt failed; ${number} ${when}, in the process of that attempt.`,
      next: isOverdue
        ? "The process is probably gone, and no worker may take the run: cancel the run and start it again."
        : "",
      since,
      evidence,
    });
  }
  return seconds <= 0
    ? undefined
    : buildCause("RETRY_WAITING", { sentence: `The last attempt failed; ${number} ${when}.`, since, evidence });
};

const decideFuture: ExplanationRule = (situation) => {
  const { run, now, schedule, deploymentLimit } = situation;
  if (isDue(situation) || run.state?.name === "AwaitingRetry") {
    return undefined;
  }
  const at = dueAt(situation);
  const span = describeSpan(secondsBetween(now, at));
  const evidence: Evidence[] = [{ kind: "start", text: `scheduled for ${describeMoment(at)}`, data: { at, schedule } }];
  const since = run.state?.timestamp ?? null;
  if (run.state?.name === "AwaitingConcurrencySlot") {
    // Full again or still: the rule about the limit says so.
    return deploymentLimit !== null && deploymentLimit.taken >= deploymentLimit.limit
      ? undefined
      : buildCause("START_IN_FUTURE", {
          sentence: `The deployment's concurrency limit was full; a slot is free now, and the run asks again in ${span}.`,
          since,
          evidence,
        });
  }
  const by = schedule === null ? "" : ` by schedule ${quote(schedule)}`;
  return buildCause("START_IN_FUTURE", {
    sentence: `The run is scheduled for ${describeMoment(at)}${by}, in ${span}.`,
    since,
    evidence,
  });
};

const decideDeploymentGone: ExplanationRule = (situation) => {
  const { run, deployment } = situation;
  if (!run.deployment_id || deployment !== null) {
    return undefined;
  }
  return buildCause("DEPLOYMENT_GONE", {
    sentence: `The run's deployment was deleted, so it cannot be started; ${describeDue(situation)}.`,
    next: `Delete the run (\`flowyard flow-run delete ${run.id}\`); a worker that is given it cancels it.`,
    since: dueAt(situation),
    blame: "operator",
    evidence: [
      { kind: "deployment", text: `deployment ${run.deployment_id} is gone`, data: { id: run.deployment_id } },
    ],
  });
};

const decideNoPool: ExplanationRule = (situation) => {
  const { run, deployment, queue, flow_name } = situation;
  if (queue !== null || (run.deployment_id && deployment === null)) {
    return undefined;
  }
  const since = dueAt(situation);
  if (deployment === null) {
    return buildCause("NO_WORK_POOL", {
      sentence: `The run was made without a deployment: only the program that made it runs it, and no worker; ${describeDue(situation)}.`,
      next: "Look at that program. To have a worker run the flow, deploy it and start a run of the deployment.",
      since,
    });
  }
  const name = `${flow_name}/${deployment.name}`;
  const evidence: Evidence[] = [
    {
      kind: "deployment",
      text: `deployment ${quote(name)} has ${deployment.work_queue_id === null ? "no work pool" : "a work pool now"}`,
      data: { id: run.deployment_id ?? null, name, has_work_pool: deployment.work_queue_id !== null },
    },
  ];
  if (deployment.work_queue_id !== null) {
    return buildCause("NO_WORK_POOL", {
      sentence: `The run is in no work queue: its queue was deleted, or its deployment got a work pool after the run was made; ${describeDue(situation)}.`,
      next: `Start a new run, which goes to the deployment's pool of today: flowyard deployment run ${shellWord(name)}`,
      since,
      evidence,
    });
  }
  return buildCause("NO_WORK_POOL", {
    sentence: `Deployment ${quote(name)} has no work pool: only a process that serves it (\`flow.serve()\`) takes its runs; ${describeDue(situation)}.`,
    next: "Start that process again, or deploy to a work pool (the pool may have been deleted) and start a new run.",
    since,
    evidence,
  });
};

const decidePaused: ExplanationRule = (situation) => {
  const { pool } = situation;
  if (pool?.is_paused !== true) {
    return undefined;
  }
  return buildCause("POOL_PAUSED", {
    sentence: `Work pool ${quote(pool.name)} is paused, so no worker is given its runs; ${describeDue(situation)}.`,
    next: `Resume it: flowyard work-pool resume ${shellWord(pool.name)}`,
    since: dueAt(situation),
    blame: "operator",
    evidence: [{ kind: "work_pool", text: `work pool ${quote(pool.name)} is paused`, data: { ...pool } }],
  });
};

const decideQueuePaused: ExplanationRule = (situation) => {
  const { queue, pool } = situation;
  if (queue?.is_paused !== true || pool === null) {
    return undefined;
  }
  return buildCause("QUEUE_PAUSED", {
    sentence: `Work queue ${quote(queue.name)} of work pool ${quote(pool.name)} is paused; ${describeDue(situation)}.`,
    next: `Resume it: flowyard work-queue resume ${shellWord(queue.name)} --pool ${shellWord(pool.name)}`,
    since: dueAt(situation),
    blame: "operator",
    evidence: [{ kind: "work_queue", text: `work queue ${quote(queue.name)} is paused`, data: { ...queue } }],
  });
};

/** Runs of these types are started by Prefect Cloud itself; a plane of one's own has nobody who does. */
const decideUnservedType: ExplanationRule = (situation) => {
  const { pool, workers } = situation;
  if (pool === null || (workers?.online ?? 0) > 0 || !/:(push|managed)$/.test(pool.type)) {
    return undefined;
  }
  return buildCause("POOL_TYPE_UNSERVED", {
    sentence: `Work pool ${quote(pool.name)} is of type ${quote(pool.type)}, whose runs only Prefect Cloud starts: there is no worker for it; ${describeDue(situation)}.`,
    next: "Create a work pool of type docker or process, deploy to it, and start a new run.",
    since: dueAt(situation),
    blame: "operator",
    evidence: [
      { kind: "work_pool", text: `work pool ${quote(pool.name)} is of type ${quote(pool.type)}`, data: { ...pool } },
    ],
  });
};

const decideNoWorker: ExplanationRule = (situation) => {
  const { pool, workers, servedPools } = situation;
  if (pool === null || workers === null || workers.online > 0 || /:(push|managed)$/.test(pool.type)) {
    return undefined;
  }
  const next = `Start one: flowyard worker start --pool ${shellWord(pool.name)}`;
  const since = dueAt(situation);
  const elsewhere = servedPools.map(
    (served): Evidence => ({
      kind: "other_pool",
      text: `${describeCount(served.workers, "worker")} online for work pool ${quote(served.name)} of type ${quote(served.type)}`,
      data: { ...served },
    }),
  );
  const [last] = workers.workers;
  if (last === undefined) {
    return buildCause("NO_WORKER", {
      sentence: `Work pool ${quote(pool.name)} of type ${quote(pool.type)} has never had a worker; ${describeDue(situation)}.`,
      next,
      since,
      blame: "operator",
      evidence: elsewhere,
    });
  }
  return buildCause("WORKERS_OFFLINE", {
    sentence: `No worker of work pool ${quote(pool.name)} is online since ${describeMoment(last.last_heartbeat_time)}, when ${quote(last.name)} was last heard of; ${describeDue(situation)}.`,
    next,
    since,
    blame: "infrastructure",
    evidence: [...workers.workers.map(describeWorkerFact), ...elsewhere],
  });
};

const decideDraining: ExplanationRule = (situation) => {
  const { pool, workers } = situation;
  if (pool === null || workers === null || workers.online === 0 || workers.draining < workers.online) {
    return undefined;
  }
  const which = `of work pool ${quote(pool.name)}`;
  const who =
    workers.online === 1
      ? `The only worker ${which} that is online takes`
      : `All ${workers.online} workers ${which} that are online take`;
  return buildCause("WORKERS_DRAINING", {
    sentence: `${who} no more runs: drained by an operator, or about to stop; ${describeDue(situation)}.`,
    next: `Start another one, or let one take runs again: flowyard worker drain ${shellWord(`${pool.name}/NAME`)} --undo`,
    since: dueAt(situation),
    blame: "operator",
    evidence: workers.workers.map(describeWorkerFact),
  });
};

const decideNotPolled: ExplanationRule = (situation) => {
  const { pool, queue, workers } = situation;
  if (pool === null || queue === null || workers === null || workers.online === 0 || queue.is_polled) {
    return undefined;
  }
  const asked = queue.last_polled === null ? "has ever asked" : `has asked since ${describeMoment(queue.last_polled)}`;
  const online = workers.online === 1 ? "1 worker is" : `${workers.online} workers are`;
  return buildCause("QUEUE_NOT_POLLED", {
    sentence: `${online} online for work pool ${quote(pool.name)}, but none ${asked} for runs of queue ${quote(queue.name)}; ${describeDue(situation)}.`,
    next: `They serve other queues (--work-queue) or run as many runs as their own --limit allows. Start one for this queue: flowyard worker start --pool ${shellWord(pool.name)} --work-queue ${shellWord(queue.name)}`,
    since: dueAt(situation),
    blame: "operator",
    evidence: [
      {
        kind: "work_queue",
        text: `queue ${quote(queue.name)} was last polled ${queue.last_polled === null ? "never" : describeMoment(queue.last_polled)}`,
        data: { ...queue },
      },
      ...workers.workers.map(describeWorkerFact),
    ],
  });
};

const decidePausedDeployment: ExplanationRule = ({ run, deployment, flow_name }) => {
  if (deployment?.paused !== true) {
    return undefined;
  }
  const name = `${flow_name}/${deployment.name}`;
  return buildCause("DEPLOYMENT_PAUSED", {
    sentence: `Deployment ${quote(name)} is paused: its schedules make no new runs. That does not hold this run back.`,
    next: `Resume it with \`flowyard deployment resume ${shellWord(name)}\` when its schedules should go on.`,
    evidence: [
      {
        kind: "deployment",
        text: `deployment ${quote(name)} is paused`,
        data: { id: run.deployment_id ?? null, name },
      },
    ],
  });
};

const decideGivenBack: ExplanationRule = ({ run, unstarted_claims }) => {
  if (unstarted_claims === 0) {
    return undefined;
  }
  const said = run.state?.message ? ` ${excerpt(run.state.message)}` : "";
  return buildCause("GIVEN_BACK", {
    sentence: `The run waits again: ${describeCount(unstarted_claims, "worker")} took it and vanished before it was started.${said}`,
    next: "Look at the logs of those workers. After a few such tries the run is given up.",
    since: run.state?.timestamp ?? null,
    blame: "infrastructure",
    evidence: [{ kind: "vanished_workers", text: `${unstarted_claims} in a row`, data: { unstarted_claims } }],
  });
};

/** The most decisive first: what would still keep the run waiting if everything below it were put right. */
const RULES: readonly ExplanationRule[] = [
  decideRetry,
  decideFuture,
  decideDeploymentGone,
  decideNoPool,
  decidePaused,
  decideQueuePaused,
  decideUnservedType,
  decideNoWorker,
  decideDraining,
  decideNotPolled,
  decideDeploymentLimit,
  decidePoolLimit,
  decideQueueLimit,
  decideAhead,
];

function describeTakeable(situation: Situation): Cause {
  const { workers, pool, now } = situation;
  const online = workers?.online ?? 0;
  const who = `${online === 1 ? "1 worker is" : `${online} workers are`} online for work pool ${quote(pool?.name ?? "")}`;
  const isSlow = secondsBetween(dueAt(situation), now) > TAKEN_WITHIN_SECONDS;
  return buildCause("RUN_DUE", {
    sentence: `Nothing holds the run back: ${who} and ${online === 1 ? "takes" : "take"} it with the next poll; ${describeDue(situation)}.`,
    next: isSlow ? "Look at the workers' logs: they poll, but do not take the run." : "",
    since: dueAt(situation),
    evidence: (workers?.workers ?? []).map(describeWorkerFact),
  });
}

/** Why a SCHEDULED run waits. Pure. */
export function explainScheduled(situation: Situation): Cause[] {
  const { run } = situation;
  // The process of the last attempt goes on by itself: pools, workers and queues have no part in it.
  const waitsInProcess = run.state?.name === "AwaitingRetry" && run.empirical_policy.retry_type === "in_process";
  const blocking = (waitsInProcess ? [decideRetry] : RULES).flatMap((rule) => rule(situation) ?? []);
  const notes = [decideGivenBack, decidePausedDeployment].flatMap((rule) => rule(situation) ?? []);
  return [...(blocking.length === 0 ? [describeTakeable(situation)] : blocking), ...notes];
}
