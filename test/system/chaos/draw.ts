/** Numbers in [0, 1) that are always the same for a seed. mulberry32. */
export function createDraw(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function pick<T>(draw: () => number, from: readonly T[]): T {
  const picked = from[Math.floor(draw() * from.length)];
  if (picked === undefined) {
    throw new Error("nothing to pick from");
  }
  return picked;
}

/** Each kind as often as every other, in an order of its own. */
export function drawEvenly<T>(draw: () => number, kinds: readonly T[], count: number): T[] {
  const drawn: T[] = [];
  while (drawn.length < count) {
    const round = kinds.map((kind) => ({ kind, at: draw() })).toSorted((a, b) => a.at - b.at);
    drawn.push(...round.map(({ kind }) => kind));
  }
  return drawn.slice(0, count);
}
