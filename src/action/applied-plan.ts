import type { Change, Plan, Release } from "../flowyard-api/releases.ts";

interface Applied {
  release: Pick<Release, "plan_hash"> | null;
  changes: readonly Change[];
  /** `flow/name` → id, of what the release has. */
  deployments: Readonly<Record<string, string>>;
}

/** The plan that was applied, with what it left as it was. */
export function buildAppliedPlan(scope: Plan["scope"], { release, changes, deployments }: Applied): Plan {
  const changed = new Set(changes.map(({ deployment }) => deployment));
  const unchanged = Object.entries(deployments)
    .filter(([name]) => !changed.has(name))
    .map(([deployment, deployment_id]): Change => ({ action: "unchanged", deployment, deployment_id }));
  return {
    plan_hash: release?.plan_hash ?? "",
    scope,
    base_release_id: null,
    changes: [...changes, ...unchanged],
    refusal: null,
  };
}
