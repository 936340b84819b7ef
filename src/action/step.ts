import type { GitHub } from "../github/github.ts";
import type { ActionConfig } from "./config.ts";
import type { Inputs } from "./inputs.ts";
import type { Outputs } from "./outputs.ts";
import type { Runner } from "./runner.ts";

/** All that one run of the action has: who runs it, what it was told, where it answers. */
export interface Step {
  runner: Runner;
  config: ActionConfig;
  inputs: Inputs;
  /** Absolute folder of the checkout. */
  workspace: string;
  /** What `prefect.yaml` and its steps see. */
  environment: Record<string, string>;
  /** Filled as things become known, so that a failed step says what it had reached. */
  outputs: Outputs;
  /** Ends the work; what has to be told is told all the same. */
  signal: AbortSignal;
  /** Follows `signal` after a while: what has not ended by then is given up, so that time is left to tell it. */
  cutOff: AbortSignal;
  /** What the event says of the commit that was pushed. */
  headCommit?: { id: string; timestamp: string } | undefined;
  /** Undefined when there is no token to speak to GitHub with. */
  findGitHub(): Promise<GitHub | undefined>;
}
