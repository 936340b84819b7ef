import { z } from "zod";
import {
  AppliedRelease,
  type ApplyRelease,
  Capabilities,
  Drift,
  type FilterReleases,
  Plan,
  Release,
  type ReleaseCandidate,
  ReleaseDiff,
  ReleaseRefusal,
  type ReleaseScope,
  type RollBack,
} from "../flowyard-api/releases.ts";
import { buildPath, type Connection, find, request } from "./http.ts";
import { refusalBody } from "./refusal.ts";

/** Refused: nothing was changed, and `plan` is what would be now. */
export type ReleaseResult = ({ outcome: "applied" } & AppliedRelease) | ({ outcome: "refused" } & ReleaseRefusal);

export function createReleaseRoutes(connection: Connection) {
  async function apply(path: string, body: unknown): Promise<ReleaseResult> {
    try {
      return { outcome: "applied", ...(await request(connection, AppliedRelease, { method: "POST", path, body })) };
    } catch (error) {
      const refusal = ReleaseRefusal.safeParse(refusalBody(error));
      if (refusal.success) {
        return { outcome: "refused", ...refusal.data };
      }
      throw error;
    }
  }
  return {
    /** What the plane can do beyond Prefect's wire; undefined for a stock Prefect server. */
    findCapabilities: (): Promise<Capabilities | undefined> =>
      find(connection, Capabilities, { method: "GET", path: "/flowyard/capabilities" }),
    /** Changes nothing. A candidate that could not be applied at all is PLANE_REFUSED with every problem. */
    plan: (body: z.input<typeof ReleaseCandidate>): Promise<Plan> =>
      request(connection, Plan, { method: "POST", path: "/flowyard/releases/plan", body }),
    /** Whole or not at all. Safe to repeat. */
    apply: (body: z.input<typeof ApplyRelease>): Promise<ReleaseResult> => apply("/flowyard/releases", body),
    planRollback: (body: z.input<typeof RollBack>): Promise<Plan> =>
      request(connection, Plan, { method: "POST", path: "/flowyard/releases/rollback/plan", body }),
    rollBack: (body: z.input<typeof RollBack>): Promise<ReleaseResult> => apply("/flowyard/releases/rollback", body),
    findDrift: (scope: ReleaseScope): Promise<Drift> =>
      request(connection, Drift, { method: "POST", path: "/flowyard/releases/drift", body: { scope } }),
    /** The newest first, a page of at most 200. */
    list: (body: z.input<typeof FilterReleases> = {}): Promise<Release[]> =>
      request(connection, z.array(Release), { method: "POST", path: "/flowyard/releases/filter", body }),
    find: (id: string): Promise<Release | undefined> =>
      find(connection, Release, { method: "GET", path: buildPath`/flowyard/releases/${id}` }),
    /** From the release before it when no other is named. */
    diff: (id: string, fromId?: string): Promise<ReleaseDiff> => {
      const path = buildPath`/flowyard/releases/${id}/diff`;
      const query = fromId === undefined ? "" : `?from=${encodeURIComponent(fromId)}`;
      return request(connection, ReleaseDiff, { method: "GET", path: `${path}${query}` });
    },
  };
}
