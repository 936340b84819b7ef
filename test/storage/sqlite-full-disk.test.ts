import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { SqliteWriter } from "../../src/storage/sqlite-writer.ts";
import { TransactionQueue } from "../../src/storage/transaction-queue.ts";

test("while the disk is full writing can be tried again, nothing of a batch stays, and room helps", async () => {
  const connection = new DatabaseSync(":memory:");
  connection.exec("create table notes (text blob)");
  const queue = new TransactionQueue(new SqliteWriter(connection), () => connection, {
    wake: () => undefined,
    announce: () => undefined,
  });
  const write = (bytes: number) =>
    queue.run(async (tx) => {
      tx.prepare("insert into notes values (zeroblob(?))").run(bytes);
    });
  const count = () => connection.prepare("select count(*) as n from notes").get()?.["n"];

  connection.exec("pragma max_page_count = 4");
  const batch = await Promise.allSettled([write(10), write(100_000)]);
  const kept = count();
  connection.exec("pragma max_page_count = 1000");
  await write(100_000);

  const [small, large] = batch;
  assert.ok(large?.status === "rejected");
  assert.deepEqual(large.reason.code, "SERVICE_UNAVAILABLE");
  assert.match(large.reason.message, /disk .* is full/);
  assert.equal(kept, small?.status === "fulfilled" ? 1 : 0);
  assert.equal(count(), Number(kept) + 1);
  connection.close();
});

test("a lock file that cannot be used is not taken for another plane", async () => {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-lock-"));
  await writeFile(join(folder, "plane.db.lock"), "no database at all, and long enough to be one".repeat(50));

  await assert.rejects(openStore({ database: join(folder, "plane.db"), clock: systemClock }), {
    code: "DATABASE_UNUSABLE",
    message: /not a database/,
  });
  await rm(folder, { recursive: true });
});
