import type { Logger } from "../../src/shared/logger.ts";
import type { CreatedRuns } from "./created-runs.ts";
import type { RunsReach } from "./relay-access.ts";
import type { RunStanding } from "./run-standing.ts";
import type { Shares } from "./shares.ts";
import type { Spool } from "./spool.ts";
import type { SpoolInbox } from "./spool-inbox.ts";

/** The plane, and how the worker proves itself to it. */
export interface Upstream {
  /** Ends in `/api` by convention. */
  apiUrl: string;
  authString: string | undefined;
  apiKey: string | undefined;
  /** The header that these make. */
  authorization: string | undefined;
}

export interface RelayDeps {
  upstream: Upstream;
  /** What run tokens are signed with. */
  secret: string;
  spool: Spool;
  inbox: SpoolInbox;
  logger: Logger;
  /** Whether the plane answered when it was asked last, by whoever. */
  plane: { isThere: boolean };
  /** How long the plane may be silent before it counts as away. */
  answerMs: number;
  standing: RunStanding;
  created: CreatedRuns;
  runsReach: RunsReach;
  /** Sockets of each run. */
  sockets: Shares;
}
