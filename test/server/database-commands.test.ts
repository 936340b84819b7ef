import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { administerDatabase } from "../../src/server/administer-database.ts";
import { systemClock } from "../../src/shared/clock.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { buildFlow } from "../storage/build-rows.ts";
import { createBlankDatabase } from "../support/test-database.ts";

describe("the plane's database in an administrator's hands", () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-database-"));
  });

  after(() => rm(folder, { recursive: true, force: true }));

  test("a SQLite file is copied while a plane writes to it, as it is at one moment", async () => {
    const file = join(folder, "busy.db");
    const store = await openStore({ database: file, clock: systemClock });
    const flow = buildFlow();
    await store.transaction((tx) => tx.flows.insert(flow));
    let isCopied = false;
    const writing = (async () => {
      while (!isCopied) {
        await store.transaction((tx) => tx.flows.insert(buildFlow()));
      }
    })();

    administerDatabase({}, file).backUp(join(folder, "copy.db"));
    isCopied = true;
    await writing;
    await store.close();

    const copy = await openStore({ database: join(folder, "copy.db"), clock: systemClock });
    assert.deepEqual(await copy.flows.find(flow.id), flow);
    await copy.close();
  });

  test("a backup overwrites nothing, and leaves nothing behind when it cannot be made", async () => {
    const file = join(folder, "plane.db");
    await administerDatabase({}, file).upgrade();
    await writeFile(join(folder, "precious"), "");

    const { backUp } = administerDatabase({}, file);

    assert.throws(() => backUp(join(folder, "precious")), { code: "BACKUP_REFUSED", message: /exists/ });
    assert.throws(() => backUp(join(folder, "no", "folder")), { code: "BACKUP_REFUSED" });
    assert.throws(() => administerDatabase({}, join(folder, "none")).backUp(join(folder, "x")), {
      code: "BACKUP_REFUSED",
      message: /there is no database/,
    });
  });

  test("PostgreSQL is backed up with the command that is told, without the password in it", () => {
    const { backUp } = administerDatabase({ FLOWYARD_DATABASE_URL: "postgres://me:s3cret@db.example/runs" }, undefined);

    assert.throws(() => backUp("it's.dump"), {
      code: "BACKUP_REFUSED",
      hint: `Run: pg_dump --format=custom --file='it'\\''s.dump' postgresql://me@db.example:5432/runs`,
    });
  });

  test("a file is upgraded, and told about, also while a plane has it", async () => {
    const file = join(folder, "info.db");
    const { inspect, upgrade } = administerDatabase({ FLOWYARD_DATABASE_URL: `sqlite:${file}` }, undefined);
    await assert.rejects(inspect(), { code: "DATABASE_UNUSABLE", message: /there is no database/ });

    await upgrade();
    const store = await openStore({ database: file, clock: systemClock });
    await store.transaction((tx) => tx.flows.insert(buildFlow()));
    const { size_bytes: sizeBytes, ...info } = await inspect();

    assert.ok(sizeBytes > 0);
    assert.equal(info.kind, "sqlite");
    assert.equal(info.schema_version, "0001-initial");
    assert.equal(info.rows?.["flows"], 1);
    await assert.rejects(upgrade(), { code: "DATABASE_IN_USE" });
    await store.close();
  });

  test("what is no database of ours is told, with its name", async () => {
    const file = join(folder, "letter.db");
    await writeFile(file, "Dear plane,");

    for (const place of [file, folder, ""]) {
      await assert.rejects(administerDatabase({}, place).inspect(), {
        code: "DATABASE_UNUSABLE",
        message: /cannot be used/,
      });
    }
  });

  test("the file and its copies are their owner's alone", async () => {
    const file = join(folder, "private.db");
    const { backUp, upgrade } = administerDatabase({}, file);

    await upgrade();
    backUp(join(folder, "private-copy.db"));

    for (const path of [file, join(folder, "private-copy.db")]) {
      assert.equal((await stat(path)).mode & 0o777, 0o600);
    }
  });

  test("a PostgreSQL database is upgraded, and told about without its password", async () => {
    await using database = await createBlankDatabase();
    const { inspect, upgrade } = administerDatabase({}, database.url.replace("postgres@", "postgres:s3cret@"));
    assert.deepEqual((await inspect()).rows, null);

    await Promise.all([upgrade(), upgrade()]);
    const info = await inspect();

    assert.equal(info.kind, "postgresql");
    assert.equal(info.schema_version, "0001-initial");
    assert.equal(info.rows?.["flow_runs"], 0);
    assert.doesNotMatch(JSON.stringify(info), /s3cret/);
  });
});
