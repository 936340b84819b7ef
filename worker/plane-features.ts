import type { PrefectClient } from "../src/client/prefect-client.ts";

/** Whether the plane can do something beyond Prefect's wire. Asked until it answered once; throws what the client throws. */
export type HasFeature = (name: "claims") => Promise<boolean>;

export function createFeatureCheck(client: {
  releases: Pick<PrefectClient["releases"], "findCapabilities">;
}): HasFeature {
  let features: readonly string[] | undefined;
  return async (name) => {
    features ??= (await client.releases.findCapabilities())?.features ?? [];
    return features.includes(name);
  };
}
