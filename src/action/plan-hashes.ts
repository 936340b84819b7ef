import { UserError } from "../shared/errors.ts";
import type { Step } from "./step.ts";

/** The hash that each project's plan must still have, in the order of the files; none when none is said. Throws INPUT_INVALID. */
export function listPlanHashes({ inputs }: Pick<Step, "inputs">, projects: number): string[] {
  const hashes = inputs["plan-hash"];
  if (hashes.length > 0 && hashes.length !== projects) {
    throw new UserError(
      "INPUT_INVALID",
      `The input plan-hash has ${hashes.length} hashes, and there are ${projects} project files.`,
      { hint: "Hand over the output plan-hash of a plan of the same files." },
    );
  }
  return hashes;
}
