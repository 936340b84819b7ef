import type { LoopSettings } from "../config.ts";
import { buildAnnounceStatuses } from "./announce-statuses.ts";
import { buildEndExpiredClaims } from "./end-expired-claims.ts";
import { buildExpirePauses } from "./expire-pauses.ts";
import { buildFinishCancelling } from "./finish-cancelling.ts";
import { buildHandOnSlots } from "./hand-on-slots.ts";
import type { Loop, LoopDeps } from "./loop.ts";
import { buildMarkLateRuns } from "./mark-late-runs.ts";
import { buildRemoveOld } from "./remove-old.ts";
import { buildRepossessLeases } from "./repossess-leases.ts";
import { buildScheduleFlowRuns } from "./schedule-flow-runs.ts";

/** Every loop of the plane. */
export function buildLoops(deps: LoopDeps, settings: LoopSettings): Loop[] {
  return [
    buildScheduleFlowRuns(deps, settings),
    buildHandOnSlots(deps),
    buildEndExpiredClaims(deps),
    buildMarkLateRuns(deps, settings),
    buildExpirePauses(deps),
    buildFinishCancelling(deps, settings),
    buildAnnounceStatuses(deps),
    buildRepossessLeases(deps),
    buildRemoveOld(deps, settings),
  ];
}
