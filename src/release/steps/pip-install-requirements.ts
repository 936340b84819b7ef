import path from "node:path";
import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import { runProcess } from "./run-process.ts";
import { defineStep } from "./step.ts";

const Inputs = z.object({
  directory: z.string().nullish(),
  requirements_file: z.string().default("requirements.txt"),
  stream_output: z.boolean().default(true),
});

/** Installs into the Python that `python3` names, a virtual environment's when one is active. */
export const pipInstallRequirements = defineStep(Inputs, async (inputs, context) => {
  const finished = await runProcess({
    command: "python3",
    args: ["-m", "pip", "install", "-r", inputs.requirements_file],
    directory: path.resolve(context.directory, inputs.directory ?? "."),
    env: context.env,
    signal: context.signal,
    onOutput: inputs.stream_output ? context.write : () => undefined,
  });
  if (finished.exitCode !== 0) {
    throw new UserError(
      "STEP_FAILED",
      `pip install -r ${inputs.requirements_file} ended with exit code ${finished.exitCode}: ${finished.stderr.trim()}`,
    );
  }
  return { outputs: { stdout: finished.stdout.trim(), stderr: finished.stderr.trim() } };
});
