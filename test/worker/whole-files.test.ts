import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { z } from "zod";
import { readParsed, sweepDrafts, writeFirst, writeWhole } from "../../worker/whole-files.ts";

describe("small files that several processes share", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-files-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("the first of several that write at once stays, whole", async () => {
    const path = join(folder, "secret");

    const wrote = await Promise.all(["a", "b", "c"].map((text) => writeFirst(path, text.repeat(50))));

    assert.equal(wrote.filter(Boolean).length, 1);
    assert.match(await readFile(path, "utf8"), /^(a{50}|b{50}|c{50})$/);
    assert.deepEqual(await readdir(folder), ["secret"]);
  });

  test("what is not there, or half written, is nothing", async () => {
    const path = join(folder, "note.json");
    assert.equal(await readParsed(path, z.number()), undefined);
    await writeFile(path, '{"half');
    assert.equal(await readParsed(path, z.number()), undefined);
    await writeWhole(path, 7);
    assert.equal(await readParsed(path, z.number()), 7);
  });

  test("drafts of writers that were killed are swept, and those of living ones are not", async () => {
    const [old, young] = [join(folder, `a.json.${randomUUID()}`), join(folder, `b.json.${randomUUID()}`)];
    await writeFile(old, "");
    await writeFile(young, "");
    await writeWhole(join(folder, "c.json"), 1);
    await utimes(old, new Date(0), new Date(0));

    await sweepDrafts(folder);

    assert.deepEqual(
      (await readdir(folder)).toSorted(),
      [young, join(folder, "c.json")].map((path) => path.slice(folder.length + 1)).toSorted(),
    );
  });
});
