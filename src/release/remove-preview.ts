import type { PrefectClient } from "../client/prefect-client.ts";
import {
  type Change,
  type Release,
  type ReleaseCandidate,
  type ReleaseScope,
  type ReleaseSource,
  readPreviewNumber,
} from "../flowyard-api/releases.ts";
import { UserError } from "../shared/errors.ts";
import { applyOnStockServer, listOwnedScopes, planOnStockServer } from "./stock-server.ts";

const MAX_PAGES = 10; // of live releases, the newest first: enough for 2000 pull requests
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
  if (!(await keepsReleases(client))) {
    const scopes = await listOwnedScopes(client, removal);
    return collect(scopes, (scope) => removeFromStock(removal, scope));
  }
  const live = await client.releases.list({ scope: { repository, environment }, live: true, limit: MAX_SCOPES });
  const scopes = live.filter(holdsDeployments).map(({ scope }) => scope);
  return collect(scopes, (scope) => removeFromPlane(removal, scope));
}

async function keepsReleases(client: PrefectClient): Promise<boolean> {
  return (await client.releases.findCapabilities())?.features.includes("releases") === true;
}

/** Whether something is left of what the release's scope owns: what it has, or what it paused for going missing. */
function holdsDeployments({ deployments, changes }: Pick<Release, "deployments" | "changes">): boolean {
  return deployments.length > 0 || changes.some(({ action }) => action === "pause");
}

/** The previews that the repository has, the newest first. */
export async function listPreviews(client: PrefectClient, repository: string): Promise<string[]> {
  const scopes = (await keepsReleases(client))
    ? await listLiveScopes(client, repository)
    : await listOwnedScopes(client, { repository });
  const environments = scopes.map(({ environment }) => environment);
  return [...new Set(environments)].filter((environment) => readPreviewNumber(environment) !== undefined);
}

async function listLiveScopes(client: PrefectClient, repository: string): Promise<ReleaseScope[]> {
  const scopes: ReleaseScope[] = [];
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const offset = page * MAX_SCOPES;
    const releases = await client.releases.list({ scope: { repository }, live: true, limit: MAX_SCOPES, offset });
    scopes.push(...releases.filter(holdsDeployments).map(({ scope }) => scope));
    if (releases.length < MAX_SCOPES) {
      break;
    }
  }
  return scopes;
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
