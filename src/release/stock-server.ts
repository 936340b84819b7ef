import type { PrefectClient } from "../client/prefect-client.ts";
import type { DeploymentState, LiveDeployment } from "../flowyard-api/deployment-state.ts";
import { describeConflicts, nameWanted, type PlannedChange, planChanges } from "../flowyard-api/plan-changes.ts";
import type { Change, Plan, ReleaseCandidate, ReleaseDeployment, ReleaseScope } from "../flowyard-api/releases.ts";
import { fillOwnId } from "../flowyard-api/trigger-state.ts";
import { type Deployment, UpdateDeployment } from "../prefect-api/deployments.ts";
import type { JsonObject } from "../prefect-api/primitives.ts";
import { isMapping } from "../prefect-api/templating.ts";
import { buildOwner } from "../project/triggers.ts";
import { errorMessage, TransientError, UserError } from "../shared/errors.ts";
import { runLimited } from "./images/run-limited.ts";

/** What applying a plan to a server needs of the client. */
export type StockClient = Pick<PrefectClient, "flows" | "deployments" | "automations">;

/** Requests at the same time: a stock server on SQLite writes one after the other anyway. */
const PARALLEL_REQUESTS = 4;

/** Labels that tell who owns a deployment; a stock server takes them at creation only. */
const OWNER_LABELS = {
  repository: "flowyard.repository",
  project_path: "flowyard.project_path",
  environment: "flowyard.environment",
} as const;

interface StockPlan {
  plan: Plan;
  changes: PlannedChange[];
}

/**
 * The plan for a stock Prefect server, which knows no releases: by the same rules, from what it has now. A deployment
 * of the candidate's name without an owner counts as the candidate's, as with `prefect deploy`; renaming, deleting what
 * a release lacks, and catching up are left out: the server can neither rename nor remember since when it lacks it.
 */
export async function planOnStockServer(
  client: StockClient,
  given: ReleaseCandidate,
  signal: AbortSignal,
): Promise<StockPlan> {
  const candidate: ReleaseCandidate = {
    ...given,
    prune: given.prune === "delete" ? "pause" : given.prune,
    deployments: given.deployments.map(({ replaces: _replaces, catch_up: _catchUp, ...each }) => each),
  };
  const live = await listLive(client, candidate, signal);
  const { changes, plan_hash } = planChanges({ candidate, live, base: null });
  const shown = changes.map(({ change }) => change);
  const conflicts = describeConflicts(shown);
  const refusal = conflicts === undefined ? null : { code: "RELEASE_CONFLICT" as const, message: conflicts };
  return { plan: { plan_hash, scope: candidate.scope, base_release_id: null, changes: shown, refusal }, changes };
}

async function listLive(
  client: StockClient,
  candidate: ReleaseCandidate,
  signal: AbortSignal,
): Promise<LiveDeployment[]> {
  const [deployments, flows] = await Promise.all([client.deployments.list(), client.flows.list()]);
  const flowNames = new Map(flows.map(({ id, name }) => [id, name]));
  const wanted = new Map(candidate.deployments.map((each) => [nameWanted(each), each]));
  const live: LiveDeployment[] = [];
  await runLimited(deployments, PARALLEL_REQUESTS, signal, async (deployment) => {
    const flow_name = flowNames.get(deployment.flow_id) ?? "";
    const said = wanted.get(`${flow_name}/${deployment.name}`);
    const owner = readOwner(deployment.labels ?? {}) ?? (said === undefined ? null : candidate.scope);
    const isPruned = said === undefined && deployment.paused;
    live.push({
      flow_name,
      deployment,
      owner,
      catch_up: null,
      triggers: said === undefined ? null : await listTriggers(client, deployment, said),
      missing: isPruned ? { commit_sha: null, paused: true } : null,
    });
  });
  const order = new Map(deployments.map(({ id }, index) => [id, index]));
  return live.sort((a, b) => (order.get(a.deployment.id) ?? 0) - (order.get(b.deployment.id) ?? 0));
}

/** What the repository has deployments of, in that environment or in all. */
export async function listOwnedScopes(
  client: StockClient,
  { repository, environment }: Pick<ReleaseScope, "repository"> & Partial<Pick<ReleaseScope, "environment">>,
): Promise<ReleaseScope[]> {
  const owners = (await client.deployments.list()).flatMap(({ labels }) => readOwner(labels ?? {}) ?? []);
  const own = owners.filter(
    (owner) => owner.repository === repository && (environment === undefined || owner.environment === environment),
  );
  return [...new Map(own.map((owner) => [JSON.stringify(owner), owner])).values()];
}

function readOwner(labels: Readonly<Record<string, unknown>>): ReleaseScope | null {
  const { [OWNER_LABELS.repository]: repository, [OWNER_LABELS.project_path]: path } = labels;
  const { [OWNER_LABELS.environment]: environment } = labels;
  return typeof repository === "string" && typeof path === "string" && typeof environment === "string"
    ? { repository, project_path: path, environment }
    : null;
}

/** The server does not tell who owns an automation: those of a trigger's name, or of the name that Prefect gives one. */
async function listTriggers(client: StockClient, { id, name }: Deployment, { triggers }: ReleaseDeployment) {
  const names = new Set(triggers.map((trigger) => trigger.name));
  const related = await client.automations.listRelatedTo(buildOwner(id));
  return related
    .filter((each) => names.has(each.name) || each.name.startsWith(`${name}__automation_`))
    .map((each) => ({ ...each, trigger: withoutIds(each.trigger) }));
}

/** The server gives every trigger an id of its own, the inner ones of a compound trigger too. */
function withoutIds({ id: _id, triggers, ...trigger }: JsonObject): JsonObject {
  return Array.isArray(triggers)
    ? { ...trigger, triggers: triggers.map((inner) => (isMapping(inner) ? withoutIds(inner) : inner)) }
    : { ...trigger, ...(triggers === undefined ? {} : { triggers }) };
}

export interface StockResult {
  /** `flow/name` → id, of those that are in place. */
  deployments: Record<string, string>;
  failures: { change: Change; message: string }[];
}

/** Applies every change that it can, one deployment independent of the other, and tells every failure. */
export async function applyOnStockServer(
  client: StockClient,
  candidate: ReleaseCandidate,
  changes: readonly PlannedChange[],
  signal: AbortSignal,
): Promise<StockResult> {
  const result: StockResult = { deployments: {}, failures: [] };
  await runLimited(changes, PARALLEL_REQUESTS, signal, async (planned) => {
    try {
      const id = await applyChange(client, candidate.scope, planned);
      if (planned.wanted !== null && id !== null) {
        result.deployments[planned.change.deployment] = id;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UserError) && !(error instanceof TransientError)) {
        throw error;
      }
      result.failures.push({ change: planned.change, message: errorMessage(error) });
    }
  });
  return result;
}

async function applyChange(client: StockClient, scope: ReleaseScope, planned: PlannedChange): Promise<string | null> {
  const { change, live, state } = planned;
  switch (change.action) {
    case "create":
      return create(client, scope, planned);
    case "update":
    case "rename":
    case "adopt":
      if (live !== null && state !== null) {
        await update(client, live, state, new Set(change.fields.map(({ field }) => field.split(".")[0] ?? "")));
      }
      return live?.deployment.id ?? null;
    case "pause":
      await client.deployments.pause(live?.deployment.id ?? "");
      return null;
    case "delete":
      await client.deployments.delete(live?.deployment.id ?? "");
      return null;
    case "unchanged":
    case "conflict":
      return live?.deployment.id ?? null;
  }
}

async function create(
  client: StockClient,
  scope: ReleaseScope,
  { wanted, state }: PlannedChange,
): Promise<string | null> {
  if (wanted === null || state === null) {
    return null;
  }
  const flow = await client.flows.create({ name: wanted.flow_name, tags: [], labels: {} });
  const owner = {
    [OWNER_LABELS.repository]: scope.repository,
    [OWNER_LABELS.project_path]: scope.project_path,
    [OWNER_LABELS.environment]: scope.environment,
  };
  const { value } = await client.deployments.create({
    ...wanted.deployment,
    schedules: (wanted.deployment.schedules ?? []).map((schedule) => ({
      ...schedule,
      active: schedule.active ?? true,
    })),
    labels: { ...wanted.deployment.labels, ...owner },
    flow_id: flow.id,
  });
  await createTriggers(client, value.id, state);
  return value.id;
}

async function update(
  client: StockClient,
  { deployment }: LiveDeployment,
  state: DeploymentState,
  fields: ReadonlySet<string>,
): Promise<void> {
  const body = buildUpdate(state, fields.has("schedules"));
  await client.deployments.update(deployment.id, body);
  if (fields.has("schedules")) {
    // With slugs on both sides the server merges, and keeps what the list lacks.
    const kept = new Set(state.schedules.map(({ slug }) => slug));
    for (const { id, slug } of deployment.schedules) {
      if (slug && !kept.has(slug)) {
        await client.deployments.deleteSchedule(deployment.id, id).catch(ignoreMissing);
      }
    }
  }
  if (fields.has("triggers") && (await client.automations.deleteOwnedBy(buildOwner(deployment.id)))) {
    await createTriggers(client, deployment.id, state);
  }
}

function buildUpdate(state: DeploymentState, saysSchedules: boolean): UpdateDeployment {
  const { labels: _labels, triggers: _triggers, schedules, concurrency_options: options, ...rest } = state;
  const { global_concurrency_limit_id: limitId, catch_up: _catchUp, ...plain } = rest;
  const strategy = options?.["collision_strategy"];
  const grace = options?.["grace_period_seconds"];
  return UpdateDeployment.parse({
    ...plain,
    ...(limitId === null ? {} : { global_concurrency_limit_id: limitId }),
    concurrency_options:
      strategy === "ENQUEUE" || strategy === "CANCEL_NEW"
        ? { collision_strategy: strategy, ...(typeof grace === "number" ? { grace_period_seconds: grace } : {}) }
        : null,
    ...(saysSchedules ? { schedules: schedules.map(({ id: _id, ...schedule }) => schedule) } : {}),
  });
}

async function createTriggers(client: StockClient, id: string, { triggers }: DeploymentState): Promise<void> {
  for (const { id: _id, ...trigger } of triggers ?? []) {
    await client.automations.create({
      ...trigger,
      actions: fillOwnId(trigger.actions, id),
      owner_resource: buildOwner(id),
    });
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof UserError) || error.code !== "NOT_FOUND") {
    throw error;
  }
}
