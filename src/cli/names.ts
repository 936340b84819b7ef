import { findNearest } from "../project/did-you-mean.ts";
import { UserError } from "../shared/errors.ts";

const MAX_NAMES_SHOWN = 8;

/** NOT_FOUND for a name, with what was most likely meant or what there is. */
export function buildUnknownName(noun: string, name: string, known: string[], howToMake: string): UserError {
  const nearest = findNearest(name, known);
  const shown = known.slice(0, MAX_NAMES_SHOWN).join(", ") + (known.length > MAX_NAMES_SHOWN ? ", …" : "");
  const hint =
    nearest !== undefined ? `Did you mean "${nearest}"?` : known.length > 0 ? `There are: ${shown}.` : howToMake;
  return new UserError("NOT_FOUND", `There is no ${noun} "${name}".`, { hint });
}
