import type { PrefectClient } from "../client/prefect-client.ts";
import type { Release, ReleaseScope } from "../flowyard-api/releases.ts";
import { isUuid } from "../prefect-api/primitives.ts";
import { UserError } from "../shared/errors.ts";

/** Throws RELEASES_UNSUPPORTED for a stock Prefect server, instead of its 404 for each route. */
export async function requireReleases(client: PrefectClient): Promise<void> {
  if ((await client.releases.findCapabilities()) === undefined) {
    throw new UserError(
      "RELEASES_UNSUPPORTED",
      `${client.apiUrl} is a stock Prefect server, which keeps no releases.`,
      {
        hint: "Point PREFECT_API_URL at a Flowyard control plane.",
      },
    );
  }
}

const MAX_RELEASES = 200; // a page; older ones are named by their id

/** By id, by its number within the scope, or by the commit that it comes from. Throws NOT_FOUND. */
export async function getRelease(client: PrefectClient, scope: ReleaseScope, wanted: string): Promise<Release> {
  const found = isUuid(wanted)
    ? await client.releases.find(wanted)
    : pickRelease(await client.releases.list({ scope, limit: MAX_RELEASES }), wanted);
  if (found === undefined) {
    throw new UserError("NOT_FOUND", `There is no release "${wanted}" of ${describeScope(scope)}.`, {
      hint: "`flowyard release ls` lists them. Name one by its id, its number or its commit.",
    });
  }
  return found;
}

const MIN_SHA_DIGITS = 7;

/** The newest that fits. */
function pickRelease(releases: readonly Release[], wanted: string): Release | undefined {
  return (
    releases.find(({ number }) => String(number) === wanted.replace(/^#/, "")) ??
    releases.find(({ source }) => wanted.length >= MIN_SHA_DIGITS && source.commit_sha?.startsWith(wanted) === true)
  );
}

export function describeScope({ repository, project_path: path, environment }: ReleaseScope): string {
  return `${repository}${path === "." ? "" : `, ${path}`}, environment ${environment}`;
}
