import type { Cause, Evidence } from "../../flowyard-api/explain.ts";
import { buildCause, type Situation } from "./situation.ts";
import { describeMoment, describeSince, excerpt, quote } from "./wording.ts";

/** What a PAUSED run waits for. Pure. */
export function explainPaused(situation: Situation): Cause[] {
  const { run, now, inputFields } = situation;
  const state = run.state;
  const {
    pause_timeout: timeout,
    pause_reschedule: isSuspended,
    run_input_keyset: keyset,
  } = state?.state_details ?? {};
  const since = state?.timestamp ?? now;
  const verb = isSuspended ? "suspended" : "paused";
  const resume = `Resume it: POST /api/flow_runs/${run.id}/resume`;
  const evidence: Evidence[] = [
    {
      kind: "pause",
      text: `${verb} since ${describeMoment(since)}${timeout ? `, until ${describeMoment(timeout)} at most` : ""}`,
      data: { since, timeout_at: timeout ?? null, is_suspended: isSuspended ?? false },
    },
  ];
  if (timeout && timeout <= now) {
    return [
      buildCause("PAUSE_OVERDUE", {
        sentence: `The run was ${verb} and nobody resumed it by ${describeMoment(timeout)}: it can go on no more, and is about to fail.`,
        next: run.deployment_id ? "Start a new run." : "",
        since: timeout,
        blame: "operator",
        evidence,
      }),
    ];
  }
  const place = isSuspended
    ? "its container is gone, and a worker starts it again when it is resumed"
    : "its process waits";
  const until = timeout ? `; it fails if that has not happened by ${describeMoment(timeout)}` : "";
  if (keyset) {
    const fields = inputFields.length === 0 ? "" : ` (${inputFields.map(quote).join(", ")})`;
    return [
      buildCause("INPUT_AWAITED", {
        sentence: `The run is ${verb} ${describeSince(since, now)} and waits for input${fields}; ${place}${until}.`,
        next: `${resume} with the input as "run_input".`,
        since,
        blame: "operator",
        evidence: [
          ...evidence,
          ...inputFields.map(
            (name): Evidence => ({ kind: "input_field", text: `input field ${quote(name)}`, data: { name } }),
          ),
          ...Object.entries(keyset).map(
            ([name, key]): Evidence => ({
              kind: "input_key",
              text: `${excerpt(name)} is kept under ${quote(key)}`,
              data: { name, key },
            }),
          ),
        ],
      }),
    ];
  }
  return [
    buildCause("RESUME_AWAITED", {
      sentence: `The run is ${verb} ${describeSince(since, now)} and waits to be resumed; ${place}${until}.`,
      next: resume,
      since,
      blame: "operator",
      evidence,
    }),
  ];
}
