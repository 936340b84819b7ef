import { stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import { defineStep } from "./step.ts";

const Inputs = z.object({ directory: z.string() });

/** Changes where later steps work. The process itself stays where it is: other deployments are not moved along. */
export const setWorkingDirectory = defineStep(
  Inputs,
  async (inputs, context) => {
    const home = context.env["HOME"] ?? "";
    const directory = path.resolve(context.directory, inputs.directory.replace(/^~(?=\/|$)/, home));
    const isFolder = await stat(directory).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) {
      throw new UserError("STEP_FAILED", `there is no folder ${directory}.`);
    }
    return { outputs: { directory }, directory };
  },
  "none",
);
