import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "../../src/shared/clock.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { buildFlow } from "./build-rows.ts";

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-storage-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("opening", () => {
  test("a file that another plane has open is refused, and free again when that one has closed", async () => {
    await withFolder(async (folder) => {
      const file = join(folder, "deep", "er", "plane.db");
      const first = await openStore({ database: file, clock: systemClock });

      await assert.rejects(openStore({ database: file, clock: systemClock }), (error) =>
        hasCode(error, "DATABASE_IN_USE"),
      );

      const flow = buildFlow();
      await first.transaction((tx) => tx.flows.insert(flow));
      await first.close();
      const second = await openStore({ database: file, clock: systemClock });
      assert.deepEqual(await second.flows.find(flow.id), flow);
      await second.close();
    });
  });

  test("closing waits for the transactions that are under way", async () => {
    await withFolder(async (folder) => {
      const file = join(folder, "plane.db");
      const first = await openStore({ database: file, clock: systemClock });
      const flow = buildFlow();

      const written = first.transaction((tx) => tx.flows.insert(flow));
      await first.close();

      await written;
      const second = await openStore({ database: file, clock: systemClock });
      assert.deepEqual(await second.flows.find(flow.id), flow);
      await second.close();
    });
  });

  test("a file that is no database is refused in a sentence, and is left as it is", async () => {
    await withFolder(async (folder) => {
      const file = join(folder, "notes.txt");
      await writeFile(file, "this is no database, and it is long enough to be looked at ".repeat(20));

      await assert.rejects(openStore({ database: file, clock: systemClock }), (error) =>
        hasCode(error, "DATABASE_UNUSABLE"),
      );
      await assert.rejects(openStore({ database: file, clock: systemClock }), (error) =>
        hasCode(error, "DATABASE_UNUSABLE"),
      );
    });
  });

  test("a folder where a file is in the way is refused in a sentence", async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, "file"), "");

      await assert.rejects(openStore({ database: join(folder, "file", "plane.db"), clock: systemClock }), (error) =>
        hasCode(error, "DATABASE_UNUSABLE"),
      );
    });
  });
});
