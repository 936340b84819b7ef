import type { z } from "zod";
import type { Environment } from "../../project/template.ts";
import { UserError } from "../../shared/errors.ts";
import type { ImageSession } from "../images/image-session.ts";
import type { PlannedImage } from "../images/planned-image.ts";

/** What a step may use. Everything that reaches outside is here, so that a test can stand at the border. */
export interface StepContext {
  /** The working directory: the project's root until a step changes it. */
  directory: string;
  env: Environment;
  signal: AbortSignal;
  /** Output of the step as it comes, in whole or in part lines. */
  write(text: string): void;
  notice(message: string): void;
  /** Where steps of images say what they want. */
  images: ImageSession;
  /** The same deployment has a step that pushes. */
  pushesImages: boolean;
}

export interface StepResult {
  outputs: Record<string, unknown>;
  /** Where later steps work from now on. */
  directory?: string;
  /** What a step of images asked for; it is there only after the session carried it out. */
  image?: { planned: PlannedImage; name: string; tags: string[] };
}

export interface Step {
  /** Checked before the first step runs, as far as values are not templates. */
  inputs: z.ZodObject;
  run(inputs: Record<string, unknown>, context: StepContext): Promise<StepResult>;
  /**
   * `any` may have effects that cannot be told, and is not run for a plan; `images` only tells the session what it
   * wants; `none` changes nothing outside the deploy.
   */
  effects: Effects;
}

export type Effects = "any" | "images" | "none";

/** Builds a step whose `run` gets parsed inputs. Throws UserError STEP_FAILED for inputs that do not fit. */
export function defineStep<S extends z.ZodObject>(
  inputs: S,
  run: (inputs: z.infer<S>, context: StepContext) => Promise<StepResult>,
  effects: Effects = "any",
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
    effects,
  };
}
