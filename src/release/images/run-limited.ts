/**
 * Runs `work` for every item, `limit` at a time. After a failure nothing new is begun and the signal that the others
 * have aborts; throws the first failure once all have ended.
 */
export async function runLimited<T>(
  items: readonly T[],
  limit: number,
  outer: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([outer, stop.signal]);
  const failures: unknown[] = [];
  const waiting = items[Symbol.iterator]();
  const runOne = async () => {
    for (const item of waiting) {
      if (signal.aborted) {
        return;
      }
      try {
        await work(item, signal);
      } catch (error) {
        failures.push(error);
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, runOne));
  if (failures.length > 0) {
    throw failures[0];
  }
  outer.throwIfAborted();
}
