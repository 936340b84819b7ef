import type { Store } from "../storage/store.ts";

/** Makes the flow runs that schedules are short of. */
export async function scheduleFlowRuns(
  _deps: { store: Pick<Store, "transaction"> },
  _now: Date,
): Promise<{ changed: number; more: boolean }> {
  return { changed: 0, more: false };
}
