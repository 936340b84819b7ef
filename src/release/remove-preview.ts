import type { PrefectClient } from "../client/prefect-client.ts";
import type { Change, Release, ReleaseCandidate, ReleaseScope, ReleaseSource } from "../flowyard-api/releases.ts";
import { UserError } from "../shared/errors.ts";
import { applyOnStockServer, listOwnedScopes, planOnStockServer } from "./stock-server.ts";

const MAX_SCOPES = 200; // a page of releases; no action step has more project files than that

export interface RemovedPreview {
  scope: ReleaseScope;
  changes: Change[];
  plan_hash: string;
  /** Null on a stock server, which keeps none. */
  release: Release | null;
}

interface Removal {
  client: PrefectClient;
  repository: string;
  /** `pr-<number>`; the plane refuses any other. */
  environment: string;
  source: ReleaseSource;
  signal: AbortSignal;
}

/**
 * Deletes all that the repository's projects have in the environment, by releases without deployments. Safe to repeat.
 * Answers what was there, a project each; nothing when nothing was. Throws RELEASE_INCOMPLETE for a stock server that
 * refuses to delete.
 */
export async function removePreview(removal: Removal): Promise<RemovedPreview[]> {
  const { client, repository, environment } = removal;
  const hasReleases = (await client.releases.findCapabilities())?.features.includes("releases") === true;
  if (!hasReleases) {
    const scopes = await listOwnedScopes(client, removal);
    return collect(scopes, (scope) => removeFromStock(removal, scope));
  }
  const live = await client.releases.list({ scope: { repository, environment }, live: true, limit: MAX_SCOPES });
  const scopes = live.filter(holdsDeployments).map(({ scope }) => scope);
  return collect(scopes, (scope) => removeFromPlane(removal, scope));
}

/** Whether something is left of what the release's scope owns: what it has, or what it paused for going missing. */
export function holdsDeployments({ deployments, changes }: Pick<Release, "deployments" | "changes">): boolean {
  return deployments.length > 0 || changes.some(({ action }) => action === "pause");
}

async function collect(
  scopes: readonly ReleaseScope[],
  remove: (scope: ReleaseScope) => Promise<RemovedPreview>,
): Promise<RemovedPreview[]> {
  const removed: RemovedPreview[] = [];
  for (const scope of scopes) {
    removed.push(await remove(scope));
  }
  return removed;
}

/** No commit's state: a later deploy of any commit is no older one. */
function buildEmpty(scope: ReleaseScope, source: ReleaseSource): ReleaseCandidate {
  return {
    scope,
    source: { ...source, committed_at: null },
    images: [],
    deployments: [],
    prune: "remove",
    adopt: false,
  };
}

async function removeFromPlane({ client, source }: Removal, scope: ReleaseScope): Promise<RemovedPreview> {
  const result = await client.releases.apply({ candidate: buildEmpty(scope, source) });
  if (result.outcome === "refused") {
    throw new UserError(result.code, result.detail);
  }
  const { release, changed } = result;
  return { scope, changes: changed ? release.changes : [], plan_hash: release.plan_hash, release };
}

async function removeFromStock({ client, source, signal }: Removal, scope: ReleaseScope): Promise<RemovedPreview> {
  const candidate = buildEmpty(scope, source);
  const { plan, changes } = await planOnStockServer(client, candidate, signal);
  const { failures } = await applyOnStockServer(client, candidate, changes, signal);
  if (failures.length > 0) {
    const list = failures.map(({ change, message }) => `  ${change.action} ${change.deployment}: ${message}`);
    throw new UserError("RELEASE_INCOMPLETE", `Not all of ${scope.environment} could be deleted:\n${list.join("\n")}`);
  }
  return { scope, changes: plan.changes, plan_hash: plan.plan_hash, release: null };
}
