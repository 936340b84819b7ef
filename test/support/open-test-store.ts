import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/shared/clock.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";
import type { Store } from "../../src/storage/store.ts";
import { takePostgresDatabase, testDatabaseKind } from "./test-database.ts";

export interface TestStore extends AsyncDisposable {
  store: Store;
}

/** A real store on a database of its own, of the kind that the tier is for; gone when the test is over. */
export async function openTestStore(clock: Clock = systemClock): Promise<TestStore> {
  await using cleanUp = new AsyncDisposableStack();
  const database = await takeDatabase(cleanUp);
  const store = await openStore({ database, clock });
  cleanUp.defer(() => store.close());
  const later = cleanUp.move();
  return { store, [Symbol.asyncDispose]: () => later.disposeAsync() };
}

async function takeDatabase(cleanUp: AsyncDisposableStack): Promise<string> {
  if (testDatabaseKind === "postgres") {
    return cleanUp.use(await takePostgresDatabase()).url;
  }
  const folder = await mkdtemp(join(tmpdir(), "flowyard-store-"));
  cleanUp.defer(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "plane.sqlite");
}
