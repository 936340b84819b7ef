import { adjectives, animals, uniqueNamesGenerator } from "unique-names-generator";

/** What nobody wants to read of their work, or of people. */
const UNFIT = new Set(
  `blind bloody christian communist crazy dead deaf dirty drunk ethnic evil fat female filthy foreign gay genetic hostile
  ill mad male naked pregnant racial sexual sick stupid ugly violent`.split(/\s+/),
);
const ADJECTIVES = adjectives.filter((word) => !UNFIT.has(word));

/** A name for a run that was given none: `brave-otter`. Not unique, and need not be. */
export function buildRunName(): string {
  return uniqueNamesGenerator({ dictionaries: [ADJECTIVES, animals], separator: "-" });
}
