import { z } from "zod";
import { RUNS_REACH, type RunsReach } from "./relay-access.ts";

const MEBIBYTE = 1024 * 1024;
const Megabytes = z.coerce.number({ error: "must be a number of mebibytes" }).positive("must be more than 0");

/** What a relay and a worker that starts one read alike. */
export const RELAY_LIMIT_VARIABLES = {
  FLOWYARD_RELAY_SPOOL_MB: Megabytes.default(256),
  // So that four chatty runs are needed to fill it.
  FLOWYARD_RELAY_SPOOL_RUN_MB: Megabytes.default(64),
  // Hooks run after a run's end, and say what they do.
  FLOWYARD_RELAY_TOKEN_GRACE_SECONDS: z.coerce
    .number({ error: "must be a number of seconds" })
    .min(0, "must not be less than 0")
    .default(600),
  FLOWYARD_RELAY_RUNS_REACH: z.enum(RUNS_REACH, { error: 'must be "own" or "all"' }).default("own"),
};
const Variables = z.object(RELAY_LIMIT_VARIABLES);

/** How much a relay keeps, and what it lets runs do. */
export interface RelayLimits {
  maxSpoolBytes: number;
  maxSpoolBytesPerRun: number;
  /** How long a run's token counts after the run's end. */
  tokenGraceSeconds: number;
  runsReach: RunsReach;
}

export function readRelayLimits(variables: z.output<typeof Variables>): RelayLimits {
  return {
    maxSpoolBytes: variables.FLOWYARD_RELAY_SPOOL_MB * MEBIBYTE,
    maxSpoolBytesPerRun: variables.FLOWYARD_RELAY_SPOOL_RUN_MB * MEBIBYTE,
    tokenGraceSeconds: variables.FLOWYARD_RELAY_TOKEN_GRACE_SECONDS,
    runsReach: variables.FLOWYARD_RELAY_RUNS_REACH,
  };
}

/** For a relay that is started as a process: the variables that say the same. */
export function writeRelayLimits(limits: RelayLimits): Record<keyof typeof RELAY_LIMIT_VARIABLES, string> {
  return {
    FLOWYARD_RELAY_SPOOL_MB: String(limits.maxSpoolBytes / MEBIBYTE),
    FLOWYARD_RELAY_SPOOL_RUN_MB: String(limits.maxSpoolBytesPerRun / MEBIBYTE),
    FLOWYARD_RELAY_TOKEN_GRACE_SECONDS: String(limits.tokenGraceSeconds),
    FLOWYARD_RELAY_RUNS_REACH: limits.runsReach,
  };
}
