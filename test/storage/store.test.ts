import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "../../src/shared/clock.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { openStore } from "../../src/storage/open-store.ts";
import { openTestStore } from "../support/open-test-store.ts";
import { buildFlow, buildFlowRun } from "./build-rows.ts";

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-storage-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("transactions", () => {
  test("what a transaction wrote is read once it has resolved, and not before", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow();

    await store.transaction(async (tx) => {
      await tx.flows.insert(flow);
      assert.equal(await store.flows.find(flow.id), undefined);
      assert.deepEqual(await tx.flows.find(flow.id), flow);
    });

    assert.deepEqual(await store.flows.find(flow.id), flow);
  });

  test("one that throws undoes only itself, even when others share its commit", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flows = [buildFlow(), buildFlow(), buildFlow()];

    const outcomes = await Promise.allSettled(
      flows.map((flow, index) =>
        store.transaction(async (tx) => {
          await tx.flows.insert(flow);
          if (index === 1) {
            throw new Error("changed its mind");
          }
        }),
      ),
    );

    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal(await store.flows.count({}), 2);
    assert.equal(await store.flows.find(flows[1]?.id ?? ""), undefined);
  });

  test("a broken constraint undoes the transaction and leaves the next ones alone", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow();
    await store.transaction((tx) => tx.flows.insert(flow));

    const taken = store.transaction((tx) => tx.flows.insert(buildFlow({ name: flow.name })));
    const orphan = store.transaction((tx) => tx.flowRuns.insert(buildFlowRun(buildFlow().id)));
    const fine = store.transaction((tx) => tx.flowRuns.insert(buildFlowRun(flow.id)));

    await assert.rejects(taken, (error) => hasCode(error, "ALREADY_EXISTS"));
    await assert.rejects(orphan, (error) => hasCode(error, "DATA_CONFLICT"));
    await fine;
    assert.equal(await store.flowRuns.count({}), 1);
  });

  test("afterCommit is called once the rows can be read, in order, and never for an undone transaction", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const seen: string[] = [];

    await Promise.allSettled([
      store.transaction(async (tx) => {
        tx.afterCommit(() => seen.push("first"));
        tx.afterCommit(() => seen.push("second"));
        await tx.flows.insert(buildFlow());
        assert.deepEqual(seen, []);
      }),
      store.transaction(async (tx) => {
        tx.afterCommit(() => seen.push("undone"));
        await Promise.reject(new Error("no"));
      }),
    ]);

    assert.deepEqual(seen, ["first", "second"]);
  });

  test("writing outside a transaction is refused", async () => {
    await using opened = await openTestStore();

    await assert.rejects(opened.store.flows.insert(buildFlow()), /read-?only/);
  });

  test("many waiting transactions all succeed, each alone with the rows it reads", async () => {
    await using opened = await openTestStore();
    const { store } = opened;
    const flow = buildFlow({ tags: [] });
    await store.transaction((tx) => tx.flows.insert(flow));

    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        store.transaction(async (tx) => {
          const current = await tx.flows.find(flow.id);
          await tx.flows.update(flow.id, { tags: [...(current?.tags ?? []), String(index)] });
        }),
      ),
    );

    assert.equal((await store.flows.find(flow.id))?.tags.length, 200);
  });
});

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
