import type { ActionConfig } from "./config.ts";
import type { Inputs } from "./inputs.ts";
import type { Outputs } from "./outputs.ts";
import type { Runner } from "./runner.ts";

/** All that one run of the action has: who runs it, what it was told, where it answers. */
export interface Step {
  runner: Runner;
  config: ActionConfig;
  inputs: Inputs;
  /** What `prefect.yaml` and its steps see. */
  environment: Record<string, string>;
  /** Filled as things become known, so that a failed step says what it had reached. */
  outputs: Outputs;
  signal: AbortSignal;
}
