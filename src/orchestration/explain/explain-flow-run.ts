import { z } from "zod";
import type { Cause, Explanation, LastLine } from "../../flowyard-api/explain.ts";
import { IMAGE_PULL_EVENT } from "../../flowyard-api/run-events.ts";
import type { ReceivedEvent } from "../../prefect-api/events.ts";
import { isTerminal, type State } from "../../prefect-api/states.ts";
import { timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { RunSubject } from "../../storage/run-subject.ts";
import type { Store } from "../../storage/store.ts";
import { explainEnded } from "./ended-rules.ts";
import { explainPaused } from "./paused-rules.ts";
import { explainScheduled } from "./scheduled-rules.ts";
import { buildCause, isDue, nameOfWorker, type Situation } from "./situation.ts";
import { explainCancelling, explainPending, explainRunning, HEARTBEAT_EVENT } from "./taken-rules.ts";

/** What an answer lists at most: of workers, holders of slots, runs ahead. */
const MAX_LISTED = 5;
const MAX_EVENTS = 20;
const MAX_STATES = 20;
const MAX_TASKS = 50;
const MAX_FIELDS = 20;
const MAX_TAG_LIMITS = 100;
/** How the limit on a task's tag is named. */
const TAG_PREFIX = "tag:";
const MAX_LAST_LINES = 20;
const MAX_LAST_BYTES = 8192;

/** The questions that an explanation asks: about six, each bounded, whatever the size of the database. */
type ExplanationStore = Pick<Store, "situations" | "concurrencyLimits" | "leases" | "events" | "flowRunInputs">;

/**
 * Why a flow run is where it is: what it waits for, or how it ended and whose doing that was. Changes nothing.
 * Throws UserError NOT_FOUND.
 */
export async function explainFlowRun(
  store: ExplanationStore,
  flowRunId: string,
  { now, cancellingTimeoutSeconds }: { now: Date; cancellingTimeoutSeconds: number },
): Promise<Explanation> {
  const subject = await store.situations.findSubject(flowRunId);
  if (subject === undefined) {
    throw new UserError("NOT_FOUND", `Flow run with id ${flowRunId} not found`);
  }
  const times = { now: timestampFromDate(now), cancellingTimeoutSeconds };
  const situation = await gatherSituation(store, subject, times);
  const [decisive, ...others] = explainSituation(situation);
  if (decisive === undefined) {
    throw new Error(`no rule explains a run in state ${subject.run.state_type}`);
  }
  const { id, name, state_type, state_name } = subject.run;
  return {
    flow_run: { id, name, state_type: state_type ?? null, state_name: state_name ?? null },
    ...decisive,
    others,
    last_lines: [...situation.lastLines],
  };
}

/** Every cause that holds, the decisive one first. Pure. */
function explainSituation(situation: Situation): Cause[] {
  const { run } = situation;
  if (run.state === null) {
    return [
      buildCause("NO_STATE", {
        sentence: "The run has no state: the program that made it has not said yet when it should start.",
        next: `Set its state, or delete it: flowyard flow-run delete ${run.id}`,
        since: run.created,
      }),
    ];
  }
  switch (run.state.type) {
    case "SCHEDULED":
      return explainScheduled(situation);
    case "PENDING":
      return explainPending(situation);
    case "RUNNING":
      return explainRunning(situation);
    case "PAUSED":
      return explainPaused(situation);
    case "CANCELLING":
      return explainCancelling(situation);
    case "COMPLETED":
    case "FAILED":
    case "CRASHED":
    case "CANCELLED":
      return explainEnded(situation, run.state);
  }
}

/** Asks only what the rules of the run's state read. */
async function gatherSituation(
  store: ExplanationStore,
  subject: RunSubject,
  times: Pick<Situation, "now" | "cancellingTimeoutSeconds">,
): Promise<Situation> {
  const nothing: Situation = {
    ...subject,
    ...times,
    workers: null,
    servedPools: [],
    poolHolders: null,
    queueHolders: null,
    deploymentLimit: null,
    ahead: null,
    events: [],
    slotLease: null,
    tagLimits: [],
    inputFields: [],
    states: [],
    lastLines: [],
  };
  const { state } = subject.run;
  switch (state?.type) {
    case "SCHEDULED":
      return { ...nothing, ...(await gatherWaiting(store, nothing)) };
    case "PENDING":
    case "CANCELLING":
      return { ...nothing, ...(await gatherTaken(store, subject)) };
    case "RUNNING":
      return { ...nothing, ...(await gatherTaken(store, subject)), ...(await gatherRunning(store, subject, state)) };
    case "PAUSED":
      return { ...nothing, inputFields: await listInputFields(store, subject, state) };
    case undefined:
      return nothing;
    default:
      return isTerminal(state?.type ?? "COMPLETED") ? { ...nothing, ...(await gatherEnded(store, subject)) } : nothing;
  }
}

async function gatherWaiting(store: ExplanationStore, situation: Situation): Promise<Partial<Situation>> {
  const { pool, queue, deployment } = situation;
  if (pool === null || queue === null) {
    return {};
  }
  const { situations } = store;
  const [workers, poolHolders, queueHolders, deploymentLimit] = await Promise.all([
    situations.findWorkers(pool.id, null, MAX_LISTED),
    pool.concurrency_limit === null ? null : situations.findHolders({ poolId: pool.id }, MAX_LISTED),
    queue.concurrency_limit === null ? null : situations.findHolders({ queueId: queue.id }, MAX_LISTED),
    deployment?.concurrency_limit_id ? findDeploymentLimit(store, deployment.concurrency_limit_id) : null,
  ]);
  if (workers.online === 0) {
    return {
      workers,
      poolHolders,
      queueHolders,
      deploymentLimit,
      servedPools: await situations.listServedPools(pool.id, MAX_LISTED),
    };
  }
  const due = situation.run.next_scheduled_start_time;
  const ahead =
    due && isDue(situation)
      ? await situations.findAhead({ poolId: pool.id, queueId: queue.id, priority: queue.priority, due }, MAX_LISTED)
      : null;
  return { workers, poolHolders, queueHolders, deploymentLimit, ahead };
}

async function findDeploymentLimit(
  { concurrencyLimits, situations }: ExplanationStore,
  limitId: string,
): Promise<Situation["deploymentLimit"]> {
  const found = await concurrencyLimits.find(limitId);
  if (found === undefined || !found.active) {
    return null;
  }
  const holders = found.active_slots === 0 ? [] : await situations.listLeaseHolders(limitId, MAX_LISTED);
  return { limit: found.limit, taken: found.active_slots, holders };
}

async function gatherTaken(store: ExplanationStore, subject: RunSubject): Promise<Partial<Situation>> {
  const { run, pool } = subject;
  const [workers, states, events] = await Promise.all([
    pool === null ? null : store.situations.findWorkers(pool.id, nameOfWorker(subject), 1),
    store.situations.listLatestStates(run.id, MAX_STATES),
    listEvents(store, run.id),
  ]);
  return { workers, states, events };
}

function listEvents(store: ExplanationStore, flowRunId: string): Promise<ReceivedEvent[]> {
  return store.events.list(
    {
      event: { name: [HEARTBEAT_EVENT, IMAGE_PULL_EVENT] },
      resource: { id: [`prefect.flow-run.${flowRunId}`] },
      order: "DESC",
    },
    { after: null, limit: MAX_EVENTS },
  );
}

async function gatherRunning(store: ExplanationStore, { run }: RunSubject, state: State): Promise<Partial<Situation>> {
  const leaseId = state.state_details.deployment_concurrency_lease_id;
  const [lease, limitsOfTags] = await Promise.all([
    leaseId === null ? null : store.leases.find(leaseId),
    store.concurrencyLimits.list({ prefix: TAG_PREFIX, limit: MAX_TAG_LIMITS, offset: 0 }),
  ]);
  const limits = limitsOfTags.filter(({ active, active_slots, limit }) => active && active_slots >= limit);
  const tasks = limits.length === 0 ? [] : await store.situations.listPendingTasks(run.id, MAX_TASKS);
  return {
    slotLease: leaseId === null ? null : { expires_at: lease?.expires_at ?? null },
    tagLimits: limits.map(({ name, limit, active_slots }) => {
      const tag = name.slice(TAG_PREFIX.length);
      return {
        tag,
        limit,
        taken: active_slots,
        tasks: tasks.flatMap((task) => (task.tags.includes(tag) ? task.name : [])),
      };
    }),
  };
}

const InputSchema = z.object({ properties: z.record(z.string(), z.unknown()) });

/** A pause that waits for input keeps the schema of it beside it, under the key `schema` of its key set. */
async function listInputFields(
  { flowRunInputs }: ExplanationStore,
  { run }: RunSubject,
  state: State,
): Promise<string[]> {
  const key = state.state_details.run_input_keyset?.["schema"];
  const input = key === undefined ? undefined : await flowRunInputs.find(run.id, key);
  if (input === undefined) {
    return [];
  }
  const parsed = z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text);
      } catch {
        context.addIssue({ code: "custom", message: "no JSON" });
        return z.NEVER;
      }
    })
    .pipe(InputSchema)
    .safeParse(input.value);
  return parsed.success ? Object.keys(parsed.data.properties).slice(0, MAX_FIELDS) : [];
}

async function gatherEnded({ situations }: ExplanationStore, { run }: RunSubject): Promise<Partial<Situation>> {
  const [states, lines] = await Promise.all([
    situations.listLatestStates(run.id, MAX_STATES),
    situations.listLastLines(run.id, MAX_LAST_LINES),
  ]);
  return { states, lastLines: keepWithinBytes(lines) };
}

/** The last of the lines that fit. */
function keepWithinBytes(lines: readonly LastLine[]): LastLine[] {
  let left = MAX_LAST_BYTES;
  const kept: LastLine[] = [];
  for (const line of lines.toReversed()) {
    left -= Buffer.byteLength(line.message);
    if (left < 0) {
      break;
    }
    kept.push(line);
  }
  return kept.reverse();
}
