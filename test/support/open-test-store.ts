import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../src/shared/clock.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";
import type { Store } from "../../src/storage/store.ts";

export interface TestStore extends AsyncDisposable {
  store: Store;
}

/** A real store in a file of its own, gone when the test is over. */
export async function openTestStore(clock: Clock = systemClock): Promise<TestStore> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-store-"));
  const store = await openStore({ file: join(folder, "plane.sqlite"), clock, durability: "NORMAL" });
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
