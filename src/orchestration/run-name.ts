import { adjectives, animals, uniqueNamesGenerator } from "unique-names-generator";

/** A name for a run that was given none: `brave-otter`. Not unique, and need not be. */
export function buildRunName(): string {
  return uniqueNamesGenerator({ dictionaries: [adjectives, animals], separator: "-" });
}
