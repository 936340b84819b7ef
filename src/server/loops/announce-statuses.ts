import { announceStatuses } from "../../orchestration/events/announce-statuses.ts";
import type { Loop, LoopDeps } from "./loop.ts";

/** Also woken by what is likely to change a status: a heartbeat, a poll, a pause. */
const EVERY_MS = 15_000;
const MOST = 50;

/** Tells by events which pools, queues and deployments have become ready, not ready or paused. */
export function buildAnnounceStatuses(deps: LoopDeps): Loop {
  return {
    name: "announce-statuses",
    everyMs: EVERY_MS,
    wakeOn: "status_changed",
    essential: false,
    tick: ({ now }) => announceStatuses(deps, now, MOST),
  };
}
