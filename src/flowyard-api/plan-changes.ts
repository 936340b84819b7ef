import type { Timestamp } from "../prefect-api/timestamp.ts";
import { hashJson, isSameJson } from "./canonical-json.ts";
import {
  type DeploymentState,
  decideState,
  EMPTY_STATE,
  type LiveDeployment,
  readLiveState,
} from "./deployment-state.ts";
import { type Difference, diffStates, showDifference } from "./diff-states.ts";
import type { Change, ReleaseCandidate, ReleaseDeployment, ReleaseScope } from "./releases.ts";
import { decideRenames } from "./rename.ts";
import type { ScheduleState } from "./schedule-state.ts";

export interface PlanInput {
  candidate: ReleaseCandidate;
  /**
   * Every deployment that the candidate names (also in `replaces`) and that the server has, and every one that the
   * candidate's scope owns.
   */
  live: readonly LiveDeployment[];
  /** The release before, where one is known: what it said and the candidate does not is taken back. */
  base: Pick<ReleaseCandidate, "deployments" | "images"> | null;
  /** The next five fire times of a schedule, from now. */
  listFireTimes?: ((schedule: ScheduleState["schedule"]) => Timestamp[]) | undefined;
}

/** A change with what it takes to make it. `live` and `state` have real values: never to be shown. */
export interface PlannedChange {
  change: Change;
  live: LiveDeployment | null;
  wanted: ReleaseDeployment | null;
  /** What the deployment is to become; null where pruning acts or nothing may be done. */
  state: DeploymentState | null;
}

export interface PlannedRelease {
  changes: PlannedChange[];
  plan_hash: string;
}

/**
 * What applying the candidate would change. Pure: equal input, equal output; applying a candidate and planning it again
 * changes nothing. The hash is over real values and names the effect alone: neither the time nor the commit is in it.
 */
export function planChanges(input: PlanInput): PlannedRelease {
  const { candidate } = input;
  const live = new Map(input.live.map((each) => [nameLive(each), each]));
  const renames = decideRenames(candidate.deployments, live);
  const base = new Map((input.base?.deployments ?? []).map((each) => [nameWanted(each), each]));
  const planned = candidate.deployments.map((wanted) => {
    const name = nameWanted(wanted);
    const from = renames.get(name);
    const isTaken = [...renames.values()].includes(name);
    const found = live.get(from ?? (isTaken ? "" : name)) ?? null;
    return planDeployment(wanted, { input, found, from, base: base.get(from ?? name) ?? base.get(name) ?? null });
  });
  const handled = new Set(planned.map(({ live: each }) => each));
  const pruned = input.live
    .filter((each) => !handled.has(each) && isSameJson(each.owner, candidate.scope))
    .flatMap((each) => planPruning(each, candidate))
    .sort((a, b) => (a.change.deployment < b.change.deployment ? -1 : 1));
  const changes = [...planned, ...pruned];
  return {
    changes: changes.map(({ differences: _differences, ...change }) => change),
    plan_hash: hashPlan(candidate.scope, changes),
  };
}

type Planned = PlannedChange & { differences: Difference[] };

interface Context {
  input: PlanInput;
  found: LiveDeployment | null;
  from: string | undefined;
  base: ReleaseDeployment | null;
}

function planDeployment(wanted: ReleaseDeployment, { input, found, from, base }: Context): Planned {
  const { candidate } = input;
  const named = { deployment: nameWanted(wanted), deployment_id: found?.deployment.id ?? null };
  const isOurs = found === null || isSameJson(found.owner, candidate.scope);
  if (!isOurs && !candidate.adopt) {
    const change: Change = { action: "conflict", ...named, owner: found.owner };
    return { change, live: found, wanted, state: null, differences: [] };
  }
  const after = decideState(wanted, { live: found, base, keepsPauses: true });
  const before = found === null ? null : readLiveState(found);
  const differences = diffStates(before ?? EMPTY_STATE, after);
  const showing = {
    before,
    after,
    imagesBefore: input.base?.images ?? [],
    imagesAfter: candidate.images,
    listFireTimes: input.listFireTimes,
  };
  const fields = differences.map((difference) => showDifference(difference, showing));
  const decide = (): Change => {
    if (found === null) {
      return { action: "create", ...named, fields };
    }
    if (from !== undefined) {
      return { action: "rename", ...named, from, fields };
    }
    if (!isOurs) {
      return { action: "adopt", ...named, owner: found.owner, fields };
    }
    return fields.length > 0 ? { action: "update", ...named, fields } : { action: "unchanged", ...named };
  };
  return { change: decide(), live: found, wanted, state: after, differences };
}

/** What happens to a deployment that the scope owns and the candidate lacks; nothing when it is to be kept as it is. */
function planPruning(live: LiveDeployment, { prune, source }: ReleaseCandidate): Planned[] {
  const named = { deployment: nameLive(live), deployment_id: live.deployment.id };
  const rest = { live, wanted: null, state: null, differences: [] };
  if (prune === "keep") {
    return [];
  }
  if (live.missing === null && prune !== "remove") {
    return [{ change: { action: "pause", ...named }, ...rest }];
  }
  // The same commit once more (a re-run) is no later release.
  const isLater = !source.commit_sha || live.missing?.commit_sha !== source.commit_sha;
  return prune === "remove" || (prune === "delete" && isLater)
    ? [{ change: { action: "delete", ...named }, ...rest }]
    : [];
}

function hashPlan(scope: ReleaseScope, changes: readonly Planned[]): string {
  const effects = changes
    .filter(({ change }) => change.action !== "unchanged")
    .map(({ change, differences }) => ({
      action: change.action,
      deployment: change.deployment,
      id: change.deployment_id,
      from: "from" in change ? change.from : null,
      owner: "owner" in change ? change.owner : null,
      differences: differences.toSorted((a, b) => (a.path.join(".") < b.path.join(".") ? -1 : 1)),
    }))
    .sort((a, b) => (a.deployment < b.deployment ? -1 : 1));
  return hashJson({ scope, effects });
}

export function nameWanted(wanted: ReleaseDeployment): string {
  return `${wanted.flow_name}/${wanted.deployment.name}`;
}

export function nameLive({ flow_name: flow, deployment }: LiveDeployment): string {
  return `${flow}/${deployment.name}`;
}

/** Whether applying does anything. */
export function hasEffect(changes: readonly PlannedChange[]): boolean {
  return changes.some(({ change }) => change.action !== "unchanged");
}

/** Why nothing may be applied: each conflict with its owner. Undefined when there is none. */
export function describeConflicts(changes: readonly Change[]): string | undefined {
  const conflicts = changes.flatMap((change) =>
    change.action === "conflict" ? [`${change.deployment} (${describeOwner(change.owner)})`] : [],
  );
  if (conflicts.length === 0) {
    return undefined;
  }
  const subject = conflicts.length === 1 ? "1 deployment is" : `${conflicts.length} deployments are`;
  return `${subject} not this release's to change: ${conflicts.join(", ")}. Nothing was changed; say adopt to take over what is listed.`;
}

function describeOwner(owner: ReleaseScope | null): string {
  return owner === null
    ? "made by hand or by another tool"
    : `owned by ${owner.repository}, ${owner.project_path}, environment ${owner.environment}`;
}
