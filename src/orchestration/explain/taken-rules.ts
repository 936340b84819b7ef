import type { Cause, Evidence } from "../../flowyard-api/explain.ts";
import { IMAGE_PULL_EVENT, ImagePull } from "../../flowyard-api/run-events.ts";
import { addSeconds, secondsBetween } from "../../prefect-api/timestamp.ts";
import {
  buildCause,
  describeWorkerFact,
  type ExplanationRule,
  findWorkerOfRun,
  nameOfWorker,
  type Situation,
  sinceType,
} from "./situation.ts";
import { describeCount, describeMoment, describeSince, excerpt, listNames, quote, shellWord } from "./wording.ts";

/** Pulling a big image takes minutes; a run that has been starting for longer deserves a look. */
const STARTS_WITHIN_SECONDS = 300;
/** Three of the engine's heartbeats at the frequency that Prefect sets. */
const HEARTBEAT_LOST_SECONDS = 90;
export const HEARTBEAT_EVENT = "prefect.flow-run.heartbeat";

function describeHolderOfRun(situation: Situation): string {
  const name = nameOfWorker(situation);
  return name === null ? "a client that did not tell its name" : `worker ${quote(name)}`;
}

function listWorkerFacts(situation: Situation): Evidence[] {
  const { claim } = situation;
  const worker = findWorkerOfRun(situation);
  return [
    ...(worker === undefined ? [] : [describeWorkerFact(worker)]),
    ...(claim === null
      ? []
      : [
          {
            kind: "claim",
            text: `claimed by worker ${quote(claim.worker_name)} at ${describeMoment(claim.claimed_at)}, until ${describeMoment(claim.expires_at)}`,
            data: { ...claim },
          },
        ]),
  ];
}

/** The last word about the image since the run was taken. Times are the plane's: workers' clocks may differ. */
function findImagePull(situation: Situation): { pull: ImagePull; occurred: string } | undefined {
  const since = sinceType(situation) ?? situation.now;
  for (const event of situation.events) {
    if (event.event === IMAGE_PULL_EVENT && event.received >= since) {
      const pull = ImagePull.safeParse(event.payload);
      return pull.success ? { pull: pull.data, occurred: event.received } : undefined;
    }
  }
  return undefined;
}

const decideImagePull: ExplanationRule = (situation) => {
  const found = findImagePull(situation);
  if (found === undefined || found.pull.status === "pulled") {
    return undefined;
  }
  const { pull, occurred } = found;
  const { image, attempt, code, reason } = pull;
  const evidence: Evidence[] = [
    {
      kind: "image_pull",
      text: `image ${quote(image)}, attempt ${attempt}, at ${describeMoment(occurred)}`,
      data: { image, status: pull.status, attempt, code: code ?? null, reason: reason ?? null, occurred },
    },
    ...listWorkerFacts(situation),
  ];
  const who = describeHolderOfRun(situation);
  if (pull.status === "pulling") {
    return buildCause("IMAGE_PULLING", {
      sentence: `The image ${quote(image)} is being pulled by ${who} ${describeSince(occurred, situation.now)}.`,
      since: occurred,
      evidence,
    });
  }
  const why = reason ? `: ${excerpt(reason)}` : ".";
  return buildCause("IMAGE_PULL_FAILING", {
    sentence: `The image ${quote(image)} cannot be pulled by ${who}; attempt ${attempt} failed${why}`,
    next: "Check the image's name and that the worker's host can reach the registry and log in there. It is tried again a few times, then the run crashes.",
    since: occurred,
    blame: "infrastructure",
    evidence,
  });
};

const decideWorkerOffline: ExplanationRule = (situation) => {
  const { pool, run, workers, now } = situation;
  const name = nameOfWorker(situation);
  if (name === null || pool === null || workers === null) {
    return undefined;
  }
  const worker = findWorkerOfRun(situation);
  if (worker?.is_online === true) {
    return undefined;
  }
  const doing = run.state?.type === "PENDING" ? "was starting the run" : "started the run";
  const heard =
    worker === undefined
      ? `is not known to work pool ${quote(pool.name)} any more`
      : `has not been heard of ${describeSince(worker.last_heartbeat_time, now)}`;
  const may =
    run.state?.type === "PENDING"
      ? "Its container may be starting, or may not exist."
      : "The container goes on without it, if its host is up.";
  return buildCause("WORKER_OFFLINE", {
    sentence: `Worker ${quote(name)}, which ${doing}, ${heard}. ${may}`,
    next: `Look at that worker's host and start the worker again under its name, so that it takes its containers back: flowyard worker start --pool ${shellWord(pool.name)} --name ${shellWord(name)}`,
    since: worker?.last_heartbeat_time ?? null,
    blame: "infrastructure",
    evidence: listWorkerFacts(situation),
  });
};

const decideClaimExpired: ExplanationRule = (situation) => {
  const { claim, now } = situation;
  if (claim === null || claim.expires_at > now) {
    return undefined;
  }
  return buildCause("CLAIM_EXPIRED", {
    sentence: `Worker ${quote(claim.worker_name)} has not renewed its claim on the run since ${describeMoment(claim.expires_at)}; the run is given back or ended soon.`,
    next: "Look at that worker and its host.",
    since: claim.expires_at,
    blame: "infrastructure",
    evidence: listWorkerFacts(situation),
  });
};

const decideStart: ExplanationRule = (situation) => {
  const { pool, run, now } = situation;
  const since = sinceType(situation) ?? now;
  if (pool === null) {
    return buildCause("STARTING_ELSEWHERE", {
      sentence: `The run is in no work pool: the program that made it begins it itself; it has been PENDING ${describeSince(since, now)}.`,
      next: "Look at that program.",
      since,
    });
  }
  const message = run.state?.message ? `; it says: ${excerpt(run.state.message)}` : "";
  const who = describeHolderOfRun(situation);
  const isOverdue = secondsBetween(since, now) > STARTS_WITHIN_SECONDS;
  const took = `taken by ${who} at ${describeMoment(since)}`;
  return isOverdue
    ? buildCause("START_OVERDUE", {
        sentence: `The run was ${took} and has been starting ${describeSince(since, now)}${message}.`,
        next: "Look at that worker's log and its host. If nothing starts there, cancel the run and start it again.",
        since,
        blame: "infrastructure",
        evidence: listWorkerFacts(situation),
      })
    : buildCause("STARTING", {
        sentence: `The run was ${took} and is being started${message}.`,
        since,
        evidence: listWorkerFacts(situation),
      });
};

/** Why a PENDING run does not run yet. Pure. */
export function explainPending(situation: Situation): Cause[] {
  const rules = [decideClaimExpired, decideWorkerOffline, decideImagePull, decideStart];
  return rules.flatMap((rule) => rule(situation) ?? []);
}

const decideHeartbeat: ExplanationRule = (situation) => {
  const { now, events } = situation;
  const since = sinceType(situation) ?? now;
  // The engine of this attempt only; one that sends none has them turned off.
  const [last, before] = events
    .filter(({ event, received }) => event === HEARTBEAT_EVENT && received >= since)
    .map(({ received }) => received);
  if (last === undefined) {
    return undefined;
  }
  const gap = before === undefined ? 0 : secondsBetween(before, last);
  if (secondsBetween(last, now) <= Math.max(HEARTBEAT_LOST_SECONDS, 3 * gap)) {
    return undefined;
  }
  return buildCause("HEARTBEAT_LOST", {
    sentence: `The run's engine has sent no heartbeat ${describeSince(last, now)}: its process is gone, hangs, or cannot reach the plane.`,
    next: "Look at the run's container on its host. If it is gone, cancel the run.",
    since: last,
    blame: "infrastructure",
    evidence: [
      {
        kind: "heartbeat",
        text: `last heartbeat at ${describeMoment(last)}`,
        data: { last_at: last },
      },
      ...listWorkerFacts(situation),
    ],
  });
};

const decideSlotLease: ExplanationRule = ({ slotLease, now }) => {
  if (slotLease === null || (slotLease.expires_at !== null && slotLease.expires_at > now)) {
    return undefined;
  }
  const { expires_at } = slotLease;
  return buildCause("SLOT_LEASE_ENDED", {
    sentence: `The run's lease on its slot of the deployment's concurrency limit ended${expires_at === null ? "" : ` at ${describeMoment(expires_at)}`}: its engine does not renew it, and another run may take the slot.`,
    next: "Look at the run's container; if it is gone, cancel the run.",
    since: expires_at,
    blame: "infrastructure",
    evidence: [
      {
        kind: "slot_lease",
        text: `lease ended ${expires_at === null ? "and is forgotten" : describeMoment(expires_at)}`,
        data: { expires_at },
      },
    ],
  });
};

const decideTagLimit: ExplanationRule = ({ tagLimits }) => {
  const waited = tagLimits.filter(({ tasks }) => tasks.length > 0);
  const tasks = new Set(waited.flatMap((limit) => limit.tasks));
  if (tasks.size === 0) {
    return undefined;
  }
  const limits = waited.map(({ tag, limit, taken }) => `${quote(tag)} (${taken}/${limit})`).join(", ");
  return buildCause("TAG_LIMIT_FULL", {
    sentence: `The run goes on, but ${describeCount(tasks.size, "task")} of it ${tasks.size === 1 ? "waits" : "wait"} for a slot of the task limit on tag ${limits}: ${listNames([...tasks].slice(0, 3), tasks.size)}.`,
    next: "They go on when tasks that hold the slots end; or raise the limit of the tag.",
    evidence: waited.map(({ tag, limit, taken, tasks: names }) => ({
      kind: "tag_limit",
      text: `tag ${quote(tag)}: ${taken}/${limit} slots taken, ${describeCount(names.length, "task")} of this run may wait`,
      data: { tag, limit, taken, waiting: names.length },
    })),
  });
};

const decideProgress: ExplanationRule = (situation) => {
  const { run, now } = situation;
  const since = sinceType(situation) ?? now;
  const { retries } = run.empirical_policy;
  const attempt = retries !== null && retries > 0 ? `, attempt ${run.run_count} of ${retries + 1}` : "";
  return buildCause("IN_PROGRESS", {
    sentence: `The run has been running ${describeSince(since, now)}${attempt}, started by ${describeHolderOfRun(situation)}.`,
    since,
    evidence: listWorkerFacts(situation),
  });
};

/** What keeps a RUNNING run, if anything. Pure. */
export function explainRunning(situation: Situation): Cause[] {
  const rules = [decideHeartbeat, decideClaimExpired, decideWorkerOffline, decideSlotLease, decideTagLimit];
  const found = rules.flatMap((rule) => rule(situation) ?? []);
  return [...found, ...[decideProgress].flatMap((rule) => rule(situation) ?? [])];
}

const decideCancelling: ExplanationRule = (situation) => {
  const { now, cancellingTimeoutSeconds } = situation;
  const since = sinceType(situation) ?? now;
  const deadline = addSeconds(since, cancellingTimeoutSeconds);
  const who = describeHolderOfRun(situation);
  const evidence: Evidence[] = [
    {
      kind: "deadline",
      text: `the plane ends it at ${describeMoment(deadline)} if nobody else does`,
      data: { deadline },
    },
    ...listWorkerFacts(situation),
  ];
  return deadline > now
    ? buildCause("CANCEL_IN_PROGRESS", {
        sentence: `The run has been CANCELLING ${describeSince(since, now)}: its engine must stop, or else ${who} ends it; at ${describeMoment(deadline)} the plane ends it.`,
        since,
        evidence,
      })
    : buildCause("CANCEL_OVERDUE", {
        sentence: `The run has been CANCELLING ${describeSince(since, now)}, and should have ended at ${describeMoment(deadline)}: neither its engine nor ${who} has reported the end, and no loop of the plane has ended it.`,
        next: "Look at the run's container on that worker's host, and whether the plane's loops run: GET /api/flowyard/status",
        since,
        blame: "infrastructure",
        evidence,
      });
};

/** What a CANCELLING run waits for. Pure. */
export function explainCancelling(situation: Situation): Cause[] {
  const rules = [decideClaimExpired, decideWorkerOffline, decideCancelling];
  return rules.flatMap((rule) => rule(situation) ?? []);
}
