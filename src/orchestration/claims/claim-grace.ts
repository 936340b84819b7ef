/**
 * How long a plane that was away, frozen or whose clock was moved ends no claims: every worker that lives has renewed
 * its own by then, as it asks every ten seconds and waits no longer than twelve after a failure.
 */
export const CLAIM_GRACE_SECONDS = 30;
/** The loop looks every two seconds; a pause longer than this was one for the workers, too. */
const MAX_PAUSE_SECONDS = 10;
/** Far more than a clock is set right by while it runs, far less than what a lease has left at its renewal. */
const MAX_DRIFT_SECONDS = 5;

/** One look at the claims: by the clock that their ends are written in, and by one that nobody moves. */
export interface ClaimLook {
  clockSeconds: number;
  steadySeconds: number;
}

/** What is known from earlier looks. */
export interface ClaimWatch {
  last: ClaimLook;
  /** Of the steady clock: until then workers may still be on their way. */
  graceEndsAt: number;
  /** Why, when this look began it. */
  disturbance: "started" | "paused" | "clock moved" | undefined;
}

/**
 * Whether a lease that has ended by the clock says anything about its worker. It does not when nobody could renew: the
 * plane has just started, stood still, or its clock was moved. Pure.
 */
export function watchClaims(before: ClaimWatch | undefined, look: ClaimLook): ClaimWatch {
  const disturbance = findDisturbance(before, look);
  const graceEndsAt = disturbance === undefined ? (before?.graceEndsAt ?? 0) : look.steadySeconds + CLAIM_GRACE_SECONDS;
  return { last: look, graceEndsAt, disturbance };
}

export function mayEndClaims({ last, graceEndsAt }: ClaimWatch): boolean {
  return last.steadySeconds >= graceEndsAt;
}

function findDisturbance(before: ClaimWatch | undefined, look: ClaimLook): ClaimWatch["disturbance"] {
  if (before === undefined) {
    return "started";
  }
  const steady = look.steadySeconds - before.last.steadySeconds;
  const clock = look.clockSeconds - before.last.clockSeconds;
  if (Math.abs(clock - steady) > MAX_DRIFT_SECONDS) {
    return "clock moved";
  }
  return steady > MAX_PAUSE_SECONDS ? "paused" : undefined;
}
