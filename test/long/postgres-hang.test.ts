import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/shared/clock.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { buildFlow } from "../storage/build-rows.ts";
import { createBlankDatabase } from "../support/test-database.ts";

test("a plane that hangs in the middle of a transaction holds up another one for ten seconds and no longer", async () => {
  await using database = await createBlankDatabase();
  const [hanging, other] = await Promise.all([
    openStore({ database: database.url, clock: systemClock }),
    openStore({ database: database.url, clock: systemClock }),
  ]);
  const [lost, kept] = [buildFlow(), buildFlow()];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();

  const hung = hanging.transaction(async (tx) => {
    await tx.flows.insert(lost);
    begun.resolve();
    await released;
  });
  const refused = assert.rejects(hung, (error) => hasCode(error, "SERVICE_UNAVAILABLE"));
  await begun.promise;
  await other.transaction((tx) => tx.flows.insert(kept));
  release();
  await refused;

  assert.deepEqual(await hanging.flows.find(lost.id), undefined);
  assert.deepEqual(await hanging.flows.find(kept.id), kept);
  await hanging.transaction((tx) => tx.flows.insert(lost));
  await Promise.all([hanging.close(), other.close()]);
});
