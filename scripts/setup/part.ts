import { performance } from "node:perf_hooks";
import { errorMessage } from "../../src/shared/errors.ts";

/** Something this machine cannot have, with what a person can do about it. */
export class PartMissing extends Error {
  override readonly name = "PartMissing";
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.remedy = remedy;
  }
}

type Outcome<T> = ({ available: true } & T) | { available: false; reason: string; remedy: string };

/**
 * Makes one part of the machine and says what happened and how long it took.
 * `make` returns the part and a short text for people; it throws PartMissing when the machine cannot have it.
 */
export async function setUpPart<T>(name: string, make: () => Promise<{ part: T; found: string }>): Promise<Outcome<T>> {
  const startedAt = performance.now();
  const seconds = () => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  try {
    const { part, found } = await make();
    say(`${name}: ${found} (${seconds()})`);
    return { available: true, ...part };
  } catch (error) {
    const remedy = error instanceof PartMissing ? error.remedy : "see the message above";
    const reason = errorMessage(error);
    say(`${name}: MISSING after ${seconds()}: ${reason}\n  to get it: ${remedy}`);
    return { available: false, reason, remedy };
  }
}

export function say(text: string): void {
  process.stdout.write(`set-up: ${text}\n`);
}
