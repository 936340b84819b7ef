import { randomUUID } from "node:crypto";
import { isSameJson } from "../../flowyard-api/canonical-json.ts";
import { compareReleases, findDriftChanges } from "../../flowyard-api/compare-releases.ts";
import { hasEffect } from "../../flowyard-api/plan-changes.ts";
import type {
  AppliedRelease,
  Drift,
  Plan,
  Release,
  ReleaseCandidate,
  ReleaseDiff,
  ReleaseRefusal,
  ReleaseScope,
  RollBack,
} from "../../flowyard-api/releases.ts";
import type { SchemaCache } from "../../prefect-api/json-schema.ts";
import { type Timestamp, timestampFromDate } from "../../prefect-api/timestamp.ts";
import { UserError } from "../../shared/errors.ts";
import type { LiveRelease } from "../../storage/releases.ts";
import type { Nouns, Store, Tx } from "../../storage/store.ts";
import { applyChanges, listNames } from "./apply-changes.ts";
import { buildListFireTimes, type DraftedPlan, draftPlan, readLiveDeployments } from "./plan-release.ts";

export interface ReleaseDeps {
  store: Store;
  schemas: SchemaCache;
}

/** A refusal is no error: the plan that it carries is what the caller decides over. */
export type ReleaseOutcome = { applied: AppliedRelease } | { refused: ReleaseRefusal };

/** Changes nothing. Throws UserError INVALID_RELEASE. */
export async function planRelease(deps: ReleaseDeps, candidate: ReleaseCandidate, now: Date): Promise<Plan> {
  return (await draftPlan(deps.store, deps.schemas, { candidate, isRollback: false }, now)).plan;
}

/**
 * Applies the candidate whole or not at all, in the transaction that plans it, so that releases never interleave.
 * Safe to repeat: what is live already makes no release. Throws UserError INVALID_RELEASE.
 */
export function applyRelease(
  { store, schemas }: ReleaseDeps,
  candidate: ReleaseCandidate,
  planHash: string | null,
  now: Date,
): Promise<ReleaseOutcome> {
  return store.transaction(async (tx) => {
    const drafted = await draftPlan(tx, schemas, { candidate, isRollback: false }, now);
    return await applyDrafted(tx, { drafted, candidate, planHash, rollbackOf: null }, now);
  });
}

/** What `rollBack` would do. Changes nothing. Throws UserError NOT_FOUND, INVALID_RELEASE. */
export async function planRollback(deps: ReleaseDeps, wanted: RollBack, now: Date): Promise<Plan> {
  const { candidate } = await loadRollback(deps.store, wanted);
  return (await draftPlan(deps.store, deps.schemas, { candidate, isRollback: true }, now)).plan;
}

/**
 * Applies an earlier release again, as a release of its own. Throws UserError NOT_FOUND for a release that there is not,
 * INVALID_RELEASE for one that does not fit the plane any more.
 */
export function rollBack({ store, schemas }: ReleaseDeps, wanted: RollBack, now: Date): Promise<ReleaseOutcome> {
  return store.transaction(async (tx) => {
    const { candidate, target } = await loadRollback(tx, wanted);
    const drafted = await draftPlan(tx, schemas, { candidate, isRollback: true }, now);
    const rollbackOf = target.rollback_of ?? target.id;
    return await applyDrafted(tx, { drafted, candidate, planHash: wanted.plan_hash ?? null, rollbackOf }, now);
  });
}

interface Application {
  drafted: DraftedPlan;
  candidate: ReleaseCandidate;
  planHash: string | null;
  rollbackOf: string | null;
}

async function applyDrafted(tx: Tx, application: Application, now: Date): Promise<ReleaseOutcome> {
  const { drafted, candidate, planHash } = application;
  const { plan, planned, live } = drafted;
  const isChanged = live === undefined || hasEffect(planned.changes);
  const { refusal } = plan;
  if (refusal !== null) {
    return { refused: { code: refusal.code, detail: refusal.message, plan } };
  }
  // Asked again for what it was told to do, because the answer was lost on the way: that is no other plan.
  const isRepeated = !isChanged && live.release.plan_hash === planHash;
  if (planHash !== null && planHash !== plan.plan_hash && !isRepeated) {
    const detail = `What is live has changed since the plan ${planHash} was made. Nothing was changed; look at the new plan.`;
    return { refused: { code: "PLAN_CHANGED", detail, plan } };
  }
  const deployments = await applyChanges(tx, candidate, planned.changes, now);
  if (!isChanged) {
    await confirmLive(tx, live, candidate, timestampFromDate(now));
    return { applied: { release: live.release, deployments, changed: false } };
  }
  const release = await insertRelease(tx, application, now);
  return { applied: { release, deployments, changed: true } };
}

async function insertRelease(tx: Tx, { drafted, candidate, rollbackOf }: Application, now: Date): Promise<Release> {
  const { plan } = drafted;
  const stored = {
    id: randomUUID(),
    number: await tx.releases.nextNumber(candidate.scope),
    created: timestampFromDate(now),
    scope: candidate.scope,
    source: candidate.source,
    plan_hash: plan.plan_hash,
    images: candidate.images,
    changes: plan.changes.filter(({ action }) => action !== "unchanged"),
    rollback_of: rollbackOf,
    candidate,
  };
  const names = listNames(candidate);
  await tx.releases.insertLive(stored, names);
  const { candidate: _candidate, ...shown } = stored;
  return { ...shown, deployments: names, live: true };
}

/** The next plan starts from what the newest commit says, also when that changed nothing. */
async function confirmLive(tx: Tx, live: LiveRelease, candidate: ReleaseCandidate, now: Timestamp): Promise<void> {
  const { committed_at: committedAt } = candidate.source;
  if (committedAt && (live.newest_commit_at === null || committedAt > live.newest_commit_at)) {
    await tx.releases.noteCommit(live.release.id, committedAt, now);
  }
  if (!isSameJson(live.candidate.deployments, candidate.deployments)) {
    await tx.releases.replaceCandidate(live.release.id, candidate, listNames(candidate));
  }
}

async function loadRollback(
  nouns: Nouns,
  { scope, to, source }: RollBack,
): Promise<{ candidate: ReleaseCandidate; target: Release }> {
  const target = to ? await findTarget(nouns, scope, to) : await findPrevious(nouns, scope);
  if (target === undefined) {
    const where = `${scope.repository}, ${scope.project_path}, environment ${scope.environment}`;
    throw new UserError("NOT_FOUND", `There is no release ${to ?? "before the live one"} of ${where} to go back to.`);
  }
  const candidate = await nouns.releases.getCandidate(target.id);
  const { commit_sha, committed_at } = target.source;
  return { target, candidate: { ...candidate, adopt: false, source: { ...source, commit_sha, committed_at } } };
}

const COMMIT = /^[0-9a-f]{7,64}$/;

async function findTarget({ releases }: Nouns, scope: ReleaseScope, to: string): Promise<Release | undefined> {
  const byNumber = /^\d{1,9}$/.test(to) ? await releases.findByNumber(scope, Number(to)) : undefined;
  if (byNumber !== undefined) {
    return byNumber;
  }
  const byId = await releases.find(to.toLowerCase());
  if (byId !== undefined && isSameJson(byId.scope, scope)) {
    return byId;
  }
  return COMMIT.test(to.toLowerCase()) ? releases.findByCommit(scope, to.toLowerCase()) : undefined;
}

/** The deploy before the one whose state is live: rolling back twice goes back two. */
async function findPrevious({ releases }: Nouns, scope: ReleaseScope): Promise<Release | undefined> {
  const live = (await releases.findLive(scope))?.release;
  const origin = live?.rollback_of ? await releases.find(live.rollback_of) : live;
  return origin && releases.findBefore(scope, origin.number);
}

export async function findDrift({ store }: ReleaseDeps, scope: ReleaseScope, now: Date): Promise<Drift> {
  const live = await store.releases.findLive(scope);
  if (live === undefined) {
    return { release: null, changes: [] };
  }
  const deployments = await readLiveDeployments(store, live.candidate);
  return {
    release: live.release,
    changes: findDriftChanges(live.candidate, deployments, buildListFireTimes(now)),
  };
}

/** Throws UserError NOT_FOUND. */
export async function getRelease({ releases }: Pick<Nouns, "releases">, id: string): Promise<Release> {
  const release = await releases.find(id);
  if (release === undefined) {
    throw new UserError("NOT_FOUND", "Release not found");
  }
  return release;
}

/** From the release before it when `fromId` is null. Throws UserError NOT_FOUND. */
export async function diffReleases(
  { store }: ReleaseDeps,
  id: string,
  fromId: string | null,
  now: Date,
): Promise<ReleaseDiff> {
  const to = await getRelease(store, id);
  const from =
    fromId === null ? await store.releases.findByNumber(to.scope, to.number - 1) : await getRelease(store, fromId);
  const changes = compareReleases(
    from === undefined ? null : await store.releases.getCandidate(from.id),
    await store.releases.getCandidate(to.id),
    buildListFireTimes(now),
  );
  return { from: from ?? null, to, changes };
}
