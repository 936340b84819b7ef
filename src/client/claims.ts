import type { z } from "zod";
import { ClaimedFlowRuns, type ClaimFlowRuns, type RenewClaims, RenewedClaims } from "../flowyard-api/claims.ts";
import { buildPath, type Connection, request } from "./http.ts";

/** Only where the plane announces the feature `claims`. */
export function createClaimRoutes(connection: Connection) {
  return {
    /** Waits up to `wait_seconds`; safe to give up on: what was claimed and never renewed is returned by itself. */
    take: (poolName: string, body: z.input<typeof ClaimFlowRuns>, signal?: AbortSignal): Promise<ClaimedFlowRuns> => {
      const path = buildPath`/flowyard/work_pools/${poolName}/claim`;
      return request(connection, ClaimedFlowRuns, { method: "POST", path, body, signal });
    },
    renew: (poolName: string, body: z.input<typeof RenewClaims>, signal?: AbortSignal): Promise<RenewedClaims> => {
      const path = buildPath`/flowyard/work_pools/${poolName}/claims/renew`;
      return request(connection, RenewedClaims, { method: "POST", path, body, signal });
    },
  };
}
