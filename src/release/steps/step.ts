import type { z } from "zod";
import type { Engine } from "../../docker/engine.ts";
import type { Environment } from "../../project/template.ts";
import { UserError } from "../../shared/errors.ts";

/** What a step may use. Everything that reaches outside is here, so that a test can stand at the border. */
export interface StepContext {
  /** The working directory: the project's root until a step changes it. */
  directory: string;
  env: Environment;
  signal: AbortSignal;
  /** Output of the step as it comes, in whole or in part lines. */
  write(text: string): void;
  notice(message: string): void;
  /** The Docker engine of this machine; found once. */
  findEngine(): Promise<Engine>;
}

export interface StepResult {
  outputs: Record<string, unknown>;
  /** Where later steps work from now on. */
  directory?: string;
}

export interface Step {
  /** Checked before the first step runs, as far as values are not templates. */
  inputs: z.ZodObject;
  run(inputs: Record<string, unknown>, context: StepContext): Promise<StepResult>;
  /** A second call with the same inputs is answered with the first one's outputs, unless `ignore_cache` is given. */
  cached?: boolean;
}

/** Builds a step whose `run` gets parsed inputs. Throws UserError STEP_FAILED for inputs that do not fit. */
export function defineStep<S extends z.ZodObject>(
  inputs: S,
  run: (inputs: z.infer<S>, context: StepContext) => Promise<StepResult>,
  options: { cached?: boolean } = {},
): Step {
  return {
    inputs,
    run: (raw, context) => {
      const parsed = inputs.safeParse(raw);
      if (!parsed.success) {
        const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "inputs"}: ${issue.message}`);
        throw new UserError("STEP_FAILED", `its inputs do not fit: ${issues.join("; ")}.`);
      }
      return run(parsed.data, context);
    },
    ...options,
  };
}
