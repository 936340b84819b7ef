import type { PrefectClient } from "../../src/client/prefect-client.ts";
import type { Worker } from "../../src/prefect-api/workers.ts";
import type { Logger } from "../../src/shared/logger.ts";
import type { WorkerSettings } from "../config.ts";
import type { FoundRun, Infrastructure, StartedRun } from "../infrastructure/contract.ts";
import type { Claim, WorkerHome } from "../worker-home.ts";
import { errorFields, NOT_STARTED, proposeState } from "./report.ts";
import type { RunFacts } from "./run-facts.ts";
import { submittingId } from "./supervise.ts";

/** A container that nobody has started yet may belong to a worker elsewhere that is about to. */
const CREATION_GRACE_MS = 5 * 60_000;

interface AdoptDependencies {
  client: {
    workPools: Pick<PrefectClient["workPools"], "listWorkers" | "find">;
    flowRuns: Pick<PrefectClient["flowRuns"], "find" | "setState">;
  };
  infrastructure: Pick<Infrastructure, "listRuns">;
  settings: Pick<WorkerSettings, "name" | "pool" | "keepFailedSeconds">;
  home: WorkerHome;
  logger: Logger;
}

export interface Adoption {
  /** One look around; throws what the plane's client or the infrastructure throws. */
  tick(): Promise<void>;
}

/**
 * Looks for runs that nobody looks after: of this worker before it died, of another worker on this machine that does
 * not run any more, of one elsewhere that the plane takes for offline. Running and ended ones are handed to `take`.
 * What never ran goes back to the plane; what was looked after and kept is removed when its time has come.
 */
export function createAdoption(
  own: AdoptDependencies,
  /** The attempts that this worker has claimed or looks after. */
  inHand: ReadonlySet<string>,
  take: (run: StartedRun) => void,
): Adoption {
  async function handle(found: FoundRun, claims: readonly Claim[]): Promise<void> {
    const note = await own.home.findNote(found.run.key);
    const what = decide(found, {
      isDone: note?.isDone ?? false,
      keepMs: own.settings.keepFailedSeconds * 1000,
      isOwnerDead: found.run.facts.worker_home === own.home.id,
    });
    own.logger.debug({ infrastructure: found.run.what, what }, "Found");
    switch (what) {
      case "take":
        if (await isGivenUp(own, found)) {
          await found.run.stop(0);
        }
        if (await own.home.takeOver(found.run.key)) {
          take(found.run);
        }
        break;
      case "remove":
        await found.run.remove();
        await own.home.dropNote(found.run.key);
        break;
      case "give-back":
        await found.run.remove();
        await giveBack(own, readClaim(found.run.facts));
        break;
      case "leave":
        break;
    }
    for (const claim of claims.filter(({ attempt }) => attempt === found.run.facts.attempt)) {
      await own.home.dropClaim(claim.attempt);
    }
  }

  return {
    tick: async () => {
      const workPool = await own.client.workPools.find(own.settings.pool);
      if (workPool === undefined) {
        return;
      }
      // Claims first: a container that is made between the two looks must not seem to be missing.
      const claims = await own.home.listClaims();
      const before = new Set(inHand);
      const isInHand = (attempt: string) => before.has(attempt) || inHand.has(attempt);
      const runs = await own.infrastructure.listRuns(workPool.id, isInHand);
      await own.home.sweep(runs.map(({ run }) => run.key));
      const strangers = runs.filter(({ run }) => !isInHand(run.facts.attempt));
      const orphans = await selectOrphans(own, strangers);
      for (const found of orphans) {
        await handle(found, claims).catch((error: unknown) => {
          own.logger.warn({ infrastructure: found.run.what, ...errorFields(error) }, "A run could not be adopted");
        });
      }
      const known = new Set(runs.map(({ run }) => run.facts.attempt));
      for (const claim of claims.filter(({ attempt }) => !known.has(attempt) && !isInHand(attempt))) {
        await settleClaim(own, claim);
      }
    },
  };
}

/**
 * The engine did not answer while this worker started it, and did so all the same: its run is reported as never started,
 * so its flow must not begin.
 */
async function isGivenUp(own: AdoptDependencies, { run, status }: FoundRun): Promise<boolean> {
  if (status !== "running" || run.facts.worker_instance !== own.home.instance) {
    return false;
  }
  const current = await own.client.flowRuns.find(run.facts.flow_run_id);
  return current?.state?.type === "CRASHED" && (current.state.message?.startsWith(NOT_STARTED) ?? false);
}

async function selectOrphans(own: AdoptDependencies, found: readonly FoundRun[]): Promise<FoundRun[]> {
  const orphans: FoundRun[] = [];
  let workers: Worker[] | undefined;
  for (const one of found) {
    const { facts } = one.run;
    if (facts.worker_home !== own.home.id && facts.worker_name !== own.settings.name) {
      workers ??= await own.client.workPools.listWorkers(own.settings.pool);
    }
    if (await isOrphan(own, facts, workers ?? [])) {
      orphans.push(one);
    }
  }
  return orphans;
}

/**
 * Two workers may both find a run of a third one elsewhere and take it: its output and end are stored once all the same,
 * and both see it gone. On one machine only one of the living ever takes it, as they know each other.
 */
async function isOrphan(own: AdoptDependencies, facts: RunFacts, workers: readonly Worker[]): Promise<boolean> {
  if (facts.worker_instance === own.home.instance) {
    return true; // nobody looks after it any more, or it would be among the supervised
  }
  if (facts.worker_home === own.home.id) {
    return !(await own.home.isAlive(facts.worker_instance));
  }
  const owner = workers.find(({ name }) => name === facts.worker_name);
  return facts.worker_name === own.settings.name || owner?.status !== "ONLINE";
}

type Handling = "take" | "remove" | "give-back" | "leave";

function decide(
  { status, createdAt, endedAt }: FoundRun,
  known: { isDone: boolean; keepMs: number; isOwnerDead: boolean },
): Handling {
  const now = Date.now();
  switch (status) {
    case "fresh":
      return known.isOwnerDead || now - createdAt.getTime() > CREATION_GRACE_MS ? "give-back" : "leave";
    case "running":
      return "take";
    case "ended":
      if (!known.isDone) {
        return "take";
      }
      return now - (endedAt ?? createdAt).getTime() >= known.keepMs ? "remove" : "leave";
  }
}

function readClaim({ flow_run_id, attempt, fencing_token: token }: RunFacts): OwnClaim {
  return { flow_run_id, attempt, ...(token === undefined ? {} : { fencing_token: Number(token) }) };
}

type OwnClaim = Pick<Claim, "flow_run_id" | "attempt" | "fencing_token">;

/** A run that was claimed and never began waits for a worker again, as if nobody had taken it. */
async function giveBack(
  own: Pick<AdoptDependencies, "client" | "logger" | "settings">,
  { flow_run_id: id, attempt, fencing_token }: OwnClaim,
): Promise<void> {
  const current = await own.client.flowRuns.find(id);
  const transitionId = current?.state?.state_details.transition_id;
  if (current?.state?.type !== "PENDING" || (transitionId !== attempt && transitionId !== submittingId(attempt))) {
    return;
  }
  const message = "Its worker died before it was started; it waits for a worker again.";
  const scheduled_time = new Date().toISOString();
  await proposeState({ ...own, fencingToken: fencing_token }, id, {
    state: { type: "SCHEDULED", message, state_details: { scheduled_time } },
    force: true,
  });
  own.logger.info({ flow_run_id: id, flow_run_name: current.name }, "A run that was never started was given back");
}

async function settleClaim(own: AdoptDependencies, claim: Claim): Promise<void> {
  const isOurs = claim.work_pool_name === own.settings.pool;
  if (isOurs && !(await own.home.isAlive(claim.worker_instance))) {
    await giveBack(own, claim);
    await own.home.dropClaim(claim.attempt);
  }
}
