import type { ReleaseDeployment } from "./releases.ts";

/**
 * Which deployments are to be renamed: new name → the live name it has now. A `replaces` whose new name exists already
 * has done its work. Chains (a → b, b → c) go in one release; a live name goes to one deployment only, and one that
 * the release has under its old name as well is not renamed away.
 */
export function decideRenames(
  wanted: readonly ReleaseDeployment[],
  live: ReadonlyMap<string, unknown>,
): Map<string, string> {
  const names = new Set(wanted.map(({ flow_name: flow, deployment }) => `${flow}/${deployment.name}`));
  const replaced = new Map<string, string>();
  for (const { flow_name: flow, deployment, replaces } of wanted) {
    if (replaces) {
      replaced.set(`${flow}/${deployment.name}`, replaces.includes("/") ? replaces : `${flow}/${replaces}`);
    }
  }
  /** Whether the live name is to be given up: the release lacks it, or has another for it. */
  const isLeaving = (name: string, depth = 0): boolean => {
    const next = replaced.get(name);
    return (
      !names.has(name) || (next !== undefined && live.has(next) && depth < names.size && isLeaving(next, depth + 1))
    );
  };
  const renames = new Map<string, string>();
  const taken = new Set<string>();
  for (let before = -1; before < renames.size; ) {
    before = renames.size;
    for (const [name, old] of replaced) {
      const isFree = !live.has(name) || taken.has(name);
      if (!renames.has(name) && isFree && live.has(old) && !taken.has(old) && isLeaving(old)) {
        renames.set(name, old);
        taken.add(old);
      }
    }
  }
  return renames;
}
