import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { findViolations, parseImportTable, readSources } from "./import-table.ts";

const root = join(import.meta.dirname, "../..");
const rooms = parseImportTable(await readFile(join(root, "docs/architecture.md"), "utf8"));

describe("imports", () => {
  test("every import of src and worker is one that the table allows", async () => {
    const sources = await readSources(root);

    assert.ok(sources.length > 50, `only ${sources.length} files were read`);
    assert.deepEqual(findViolations(rooms, sources), []);
  });

  test("every row of the table has files", async () => {
    const sources = await readSources(root);

    const empty = rooms.filter((room) => !sources.some((file) => file.path.startsWith(`${room.folder}/`)));

    assert.deepEqual(
      empty.map((room) => room.name),
      [],
    );
  });

  for (const [text, complaint] of [
    ['import { openDatabase } from "../src/storage/database.ts";', /worker must not import storage/],
    ['import type { Store } from "../src/storage/store.ts";', /worker must not import storage/],
    ['export { app } from "../src/server/app.ts";', /worker must not import server/],
    ['const store = await import("../src/storage/store.ts");', /worker must not import storage/],
    ['import "../src/orchestration/rules.ts";', /worker must not import orchestration/],
    ['import {\n  a,\n  b,\n} from "../src/server/app.ts";', /worker must not import server/],
    ['import Docker from "dockerode";', /worker does not own the package dockerode/],
    ['import { DatabaseSync } from "node:sqlite";', /worker does not own the package node:sqlite/],
    ['import { Kysely } from "kysely/migration";', /worker does not own the package kysely/],
    ['import { setUp } from "../scripts/setup.ts";', /in no room/],
  ] as const) {
    test(`a planted fault is found: ${text.replaceAll(/\s+/g, " ")}`, () => {
      const found = findViolations(rooms, [{ path: "worker/planted.ts", text }]);

      assert.equal(found.length, 1);
      assert.match(found.join(), complaint);
    });
  }

  test("what is allowed for types only is refused for values", () => {
    const type = 'import type { Store } from "../storage/store.ts";';
    const value = 'import { openStore } from "../storage/store.ts";';

    const found = [type, value].map((text) => findViolations(rooms, [{ path: "src/orchestration/planted.ts", text }]));

    assert.deepEqual(
      found.map((violations) => violations.length),
      [0, 1],
    );
  });

  test("a folder without a row is found", () => {
    assert.match(findViolations(rooms, [{ path: "src/utils/planted.ts", text: "" }]).join(), /no row in the table/);
  });
});
