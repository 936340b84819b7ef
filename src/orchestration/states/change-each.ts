import type { Store, Tx } from "../../storage/store.ts";

/** What one pass of a loop did. */
export interface BatchResult {
  changed: number;
  /** Whether there may be more to do at once. */
  more: boolean;
}

/**
 * Changes each of the things in a transaction of its own, so that one that cannot be changed holds up no other. `change`
 * looks again whether it is still to be changed (another plane may have been faster) and answers whether it was.
 * Answers how many were. Throws the first failure when all have been tried.
 */
export async function changeEach<Id>(
  store: Pick<Store, "transaction">,
  ids: readonly Id[],
  change: (tx: Tx, id: Id) => Promise<boolean>,
): Promise<number> {
  const outcomes = await Promise.allSettled(ids.map((id) => store.transaction((tx) => change(tx, id))));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure !== undefined) {
    throw failure.reason;
  }
  return outcomes.filter((outcome) => outcome.status === "fulfilled" && outcome.value).length;
}
