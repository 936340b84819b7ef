import { type AskedHistory, LEAST_INTERVAL_SECONDS, RunHistory } from "../prefect-api/run-history.ts";
import { UserError } from "../shared/errors.ts";

/** The intervals of a `…/history` route, empty. Throws UserError INVALID_REQUEST in Prefect's words. */
export function startHistory(asked: AskedHistory): RunHistory {
  if (asked.history_interval_seconds < LEAST_INTERVAL_SECONDS) {
    throw new UserError("INVALID_REQUEST", "History interval must not be less than 1 second.");
  }
  return new RunHistory(asked);
}
