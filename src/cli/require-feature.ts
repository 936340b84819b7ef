import type { PrefectClient } from "../client/prefect-client.ts";
import { UserError } from "../shared/errors.ts";

/** Throws UserError CAPABILITY_MISSING when the server is a Prefect server, or an older plane. `what` completes "which …". */
export async function requireFeature(client: PrefectClient, feature: string, what: string): Promise<void> {
  const capabilities = await client.releases.findCapabilities();
  if (capabilities?.features.includes(feature) !== true) {
    const server = capabilities === undefined ? "is a Prefect server" : `runs Flowyard ${capabilities.version}`;
    throw new UserError("CAPABILITY_MISSING", `The server at ${client.apiUrl} ${server}, which ${what}.`);
  }
}
