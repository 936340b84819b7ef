import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { openWorkerHome } from "../../worker/worker-home.ts";

describe("what a worker notes of its runs", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-home-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("goes when it is old and its run is not seen any more, and stays while it is young, seen or looked after", async () => {
    const home = await openWorkerHome(folder);
    const gone = await openWorkerHome(folder);
    const note = { position: {}, shippedCharacters: 0, isDone: false };
    for (const key of ["gone", "seen", "adopted", "left"]) {
      await home.saveNote(key, note);
    }
    await home.takeOver("adopted");
    await gone.takeOver("left");
    await gone.close();
    const runs = join(folder, "runs");
    for (const name of await readdir(runs)) {
      await utimes(join(runs, name), new Date(0), new Date(0));
    }
    await home.saveNote("young", note);

    await home.sweep(["seen"]);

    const kept = async (key: string) => (await home.findNote(key)) !== undefined;
    const found = await Promise.all(["gone", "left", "seen", "adopted", "young"].map(kept));
    assert.deepEqual(found, [false, false, true, true, true]);
    assert.ok((await readdir(runs)).length <= 5);
    await home.close();
  });
});
