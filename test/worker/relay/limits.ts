import type { RelayLimits } from "../../../worker/relay/relay-limits.ts";

const MEBIBYTE = 1024 * 1024;

export const LIMITS: RelayLimits = {
  maxSpoolBytes: MEBIBYTE,
  maxSpoolBytesPerRun: MEBIBYTE,
  tokenGraceSeconds: 600,
  runsReach: "own",
};
