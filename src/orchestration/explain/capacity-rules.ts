import type { Evidence } from "../../flowyard-api/explain.ts";
import type { Holder } from "../../storage/situations.ts";
import { buildCause, describeDue, describeHolder, dueAt, type ExplanationRule, type Situation } from "./situation.ts";
import { describeCount, listNames, quote, shellWord } from "./wording.ts";

interface FullLimit {
  /** `Work pool "pool"`. */
  owner: string;
  kind: string;
  limit: number;
  taken: number;
  holders: readonly Holder[];
}

function describeFull(full: FullLimit, situation: Situation): { sentence: string; evidence: Evidence[] } {
  const { owner, kind, limit, taken, holders } = full;
  const names = listNames(
    holders.map(({ name }) => name),
    taken,
  );
  const held = names === "" ? "" : `, held by ${names}`;
  const sentence =
    limit === 0
      ? `${owner} has concurrency limit 0, so none of its runs is ever started; ${describeDue(situation)}.`
      : `${owner} has reached its concurrency limit: ${taken}/${limit}${held}; ${describeDue(situation)}.`;
  return {
    sentence,
    evidence: [
      { kind, text: `${taken}/${limit} slots of ${owner} are taken`, data: { limit, taken } },
      ...holders.map(describeHolder),
    ],
  };
}

export const decideDeploymentLimit: ExplanationRule = (situation) => {
  const { deploymentLimit, deployment, flow_name, run } = situation;
  if (deploymentLimit === null || deployment === null || deploymentLimit.taken < deploymentLimit.limit) {
    return undefined;
  }
  const owner = `Deployment ${quote(`${flow_name}/${deployment.name}`)}`;
  const { sentence, evidence } = describeFull({ owner, kind: "deployment_limit", ...deploymentLimit }, situation);
  const isCancelled = deployment.collision_strategy === "CANCEL_NEW";
  return buildCause("DEPLOYMENT_LIMIT_FULL", {
    sentence,
    next: isCancelled
      ? "It is cancelled when a worker asks for it: the deployment's collision strategy is CANCEL_NEW."
      : "It starts when one of them ends; or raise the deployment's concurrency limit.",
    since: run.state?.name === "AwaitingConcurrencySlot" ? run.state.timestamp : dueAt(situation),
    evidence,
  });
};

export const decidePoolLimit: ExplanationRule = (situation) => {
  const { pool, poolHolders } = situation;
  if (pool === null || poolHolders === null || poolHolders.taken < (pool.concurrency_limit ?? Infinity)) {
    return undefined;
  }
  const limit = pool.concurrency_limit ?? 0;
  const full = { owner: `Work pool ${quote(pool.name)}`, kind: "work_pool_limit", limit, ...poolHolders };
  return buildCause("POOL_LIMIT_FULL", {
    ...describeFull(full, situation),
    next: `It starts when one of them ends; or raise the limit: flowyard work-pool set-concurrency-limit ${shellWord(pool.name)} N`,
    since: dueAt(situation),
  });
};

export const decideQueueLimit: ExplanationRule = (situation) => {
  const { queue, pool, queueHolders } = situation;
  if (queue === null || queueHolders === null || queueHolders.taken < (queue.concurrency_limit ?? Infinity)) {
    return undefined;
  }
  const limit = queue.concurrency_limit ?? 0;
  const full = { owner: `Work queue ${quote(queue.name)}`, kind: "work_queue_limit", limit, ...queueHolders };
  return buildCause("QUEUE_LIMIT_FULL", {
    ...describeFull(full, situation),
    next: `It starts when one of them ends; or raise the limit: flowyard work-queue set-concurrency-limit ${shellWord(queue.name)} N --pool ${shellWord(pool?.name ?? "")}`,
    since: dueAt(situation),
  });
};

export const decideAhead: ExplanationRule = (situation) => {
  const { ahead, pool } = situation;
  if (ahead === null || ahead.count === 0) {
    return undefined;
  }
  const { count, isAtLeast, urgent, first } = ahead;
  const evidence: Evidence[] = [
    {
      kind: "runs_ahead",
      text: `${isAtLeast ? "at least " : ""}${describeCount(count, "run")} first, ${urgent} of more urgent queues`,
      data: { count, is_at_least: isAtLeast, urgent },
    },
    ...first.map(
      ({ id, name }): Evidence => ({
        kind: "run_ahead",
        text: `before it: ${quote(name)} (${id})`,
        data: { flow_run_id: id, name },
      }),
    ),
  ];
  const many = `${isAtLeast ? "at least " : ""}${describeCount(count, "run")}`;
  const why = urgent === 0 ? "due earlier" : urgent === count ? "of more urgent queues" : "more urgent or due earlier";
  return buildCause("RUNS_AHEAD", {
    sentence: `${many} of work pool ${quote(pool?.name ?? "")}, ${why}, ${count === 1 ? "comes" : "come"} first; ${describeDue(situation)}.`,
    next: "It starts when its turn comes; more workers, or a higher --limit of theirs, bring it sooner.",
    since: dueAt(situation),
    evidence,
  });
};
