import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client } from "pg";
import { systemClock } from "../../src/shared/clock.ts";
import { hasCode } from "../../src/shared/errors.ts";
import { openStore } from "../../src/storage/open-store.ts";
import type { Announcement, Store } from "../../src/storage/store.ts";
import { createBlankDatabase, type TestDatabase } from "../support/test-database.ts";
import { waitUntil } from "../support/wait-until.ts";
import { buildFlow } from "./build-rows.ts";

describe("two planes on one PostgreSQL", () => {
  let database: TestDatabase;
  let here: Store;
  let there: Store;
  let administrator: Client;

  before(async () => {
    database = await createBlankDatabase();
    [here, there] = await Promise.all([open(), open()]);
    administrator = new Client({ connectionString: database.url });
    await administrator.connect();
  });

  after(async () => {
    await administrator.end();
    await Promise.all([here.close(), there.close()]);
    await database[Symbol.asyncDispose]();
  });

  function open(): Promise<Store> {
    return openStore({ database: database.url, clock: systemClock });
  }

  /** Ends connections of the planes as an administrator or a restart does. */
  async function endConnections(where: string): Promise<number> {
    await administrator.query("select pg_stat_clear_snapshot()"); // a transaction sees the same activity to its end
    const { rowCount } = await administrator.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name = 'flowyard' and ${where}`,
    );
    return rowCount ?? 0;
  }

  test("what one reads in a transaction nobody else changes before it has written", async () => {
    const flow = buildFlow({ tags: [] });
    await here.transaction((tx) => tx.flows.insert(flow));

    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        (index % 2 === 0 ? here : there).transaction(async (tx) => {
          const current = await tx.flows.find(flow.id);
          await tx.flows.update(flow.id, { tags: [...(current?.tags ?? []), String(index)] });
        }),
      ),
    );

    assert.equal((await here.flows.find(flow.id))?.tags.length, 200);
    assert.deepEqual(await there.flows.find(flow.id), await here.flows.find(flow.id));
  });

  test("a question whose connection is cut fails, and the next one is answered", async () => {
    const flow = buildFlow({});
    await here.transaction((tx) => tx.flows.insert(flow));
    await administrator.query("begin; lock table flows in access exclusive mode");
    try {
      const asked = assert.rejects(here.flows.find(flow.id), (error) => hasCode(error, "SERVICE_UNAVAILABLE"));
      await waitUntil(async () => (await endConnections("wait_event_type = 'Lock'")) === 1, {
        timeoutMs: 5000,
        what: "the question",
      });
      await asked;
    } finally {
      await administrator.query("rollback");
    }

    assert.equal((await here.flows.find(flow.id))?.id, flow.id);
  });

  test("who waits at one is woken once by what the other commits, and not by what it undoes", async () => {
    const [atHome, abroad]: (string | null)[][] = [[], []];
    here.wakeUps.subscribe("flow_run_scheduled", (key) => atHome?.push(key));
    there.wakeUps.subscribe("flow_run_scheduled", (key) => abroad?.push(key));

    const undone = here.transaction(async (tx) => {
      tx.wakeUps.notify("flow_run_scheduled", "undone");
      throw new Error("changed its mind");
    });
    const kept = here.transaction(async (tx) => tx.wakeUps.notify("flow_run_scheduled", "it's kept"));
    await Promise.allSettled([undone, kept]);

    await waitUntil(async () => abroad?.length === 1, { timeoutMs: 5000, what: "the wake-up", pollMs: 5 });
    assert.deepEqual([atHome, abroad], [["it's kept"], ["it's kept"]]);
  });

  test("each hears what the other announces, however much, and nothing of its own", async () => {
    const ids = Array.from({ length: 1000 }, () => crypto.randomUUID());
    const heard: Announcement[] = [];
    let heardAtHome = 0;
    there.onAnnounced((announced) => heard.push(...announced));
    here.onAnnounced(() => {
      heardAtHome += 1;
    });

    await here.transaction(async (tx) => tx.announce("logs", ids, "other planes"));

    const list = () => heard.flatMap((announcement) => announcement.ids);
    await waitUntil(async () => list().length === ids.length, { timeoutMs: 5000, what: "the ids", pollMs: 5 });
    assert.deepEqual(list(), ids);
    assert.equal(heardAtHome, 0);
  });

  test("a connection that is lost in the middle undoes the batch, says so, and the next one goes on", async () => {
    const [lost, beside, next] = [buildFlow(), buildFlow(), buildFlow()];

    const broken = here.transaction(async (tx) => {
      await tx.flows.insert(lost);
      await endConnections("state like 'idle in transaction%'");
      await tx.flows.find(lost.id);
    });
    const sharing = here.transaction((tx) => tx.flows.insert(beside));

    await assert.rejects(broken, (error) => hasCode(error, "SERVICE_UNAVAILABLE"));
    await assert.rejects(sharing, (error) => hasCode(error, "SERVICE_UNAVAILABLE"));
    await here.transaction((tx) => tx.flows.insert(next));
    assert.deepEqual(await Promise.all([lost, beside, next].map(({ id }) => there.flows.find(id))), [
      undefined,
      undefined,
      next,
    ]);
  });

  test("a batch that began while the commit of the one before was lost is begun again", async () => {
    const [lost, next] = [buildFlow(), buildFlow()];
    let following: Promise<void> | undefined;

    const broken = here.transaction(async (tx) => {
      await tx.flows.insert(lost);
      following = here.transaction((later) => later.flows.insert(next));
      await endConnections("state like 'idle in transaction%'");
    });

    await assert.rejects(broken, (error) => hasCode(error, "SERVICE_UNAVAILABLE"));
    await following;
    assert.deepEqual(await Promise.all([lost, next].map(({ id }) => there.flows.find(id))), [undefined, next]);
  });

  test("after a lost connection who waits is told to look, whatever for, and hears again", async () => {
    const woken: (string | null)[] = [];
    there.wakeUps.subscribe("slot_released", (key) => woken.push(key));

    assert.ok((await endConnections("true")) > 0);

    await waitUntil(async () => woken.includes(null), { timeoutMs: 10_000, what: "the call to look" });
    await waitUntil(
      async () => {
        await here.transaction(async (tx) => tx.wakeUps.notify("slot_released", "slot")).catch(() => undefined);
        return woken.includes("slot");
      },
      { timeoutMs: 10_000, what: "the wake-up" },
    );
    assert.equal(await there.ping(), true);
  });

  test("a plane that opens while another one works changes nothing and finds what is there", async () => {
    const flow = buildFlow();
    await here.transaction((tx) => tx.flows.insert(flow));

    const third = await open();

    assert.deepEqual(await third.flows.find(flow.id), flow);
    await third.close();
  });
});

describe("opening a PostgreSQL", () => {
  test("planes that start together on an empty one all come up", async () => {
    await using database = await createBlankDatabase();

    const stores = await Promise.all(
      Array.from({ length: 4 }, () => openStore({ database: database.url, clock: systemClock })),
    );

    const flow = buildFlow();
    await stores[0]?.transaction((tx) => tx.flows.insert(flow));
    for (const store of stores) {
      assert.deepEqual(await store.flows.find(flow.id), flow);
      await store.close();
    }
  });

  test("names sort byte by byte, whatever the language of the database", async () => {
    await using database = await createBlankDatabase("locale_provider icu icu_locale 'en-US'");
    const store = await openStore({ database: database.url, clock: systemClock });

    for (const name of ["a", "B", "ä", "_", "Z", "b"]) {
      await store.transaction((tx) => tx.flows.insert(buildFlow({ name })));
    }

    const flows = await store.flows.list({}, { sort: "NAME_ASC", limit: 10, offset: 0 });
    assert.equal(flows.map(({ name }) => name).join(""), "BZ_abä");
    await store.close();
  });

  test("one with tables of another program is refused in a sentence, and is left as it is", async () => {
    await using database = await createBlankDatabase();
    await run(database.url, "create table flow_run (id uuid)");

    await assert.rejects(openStore({ database: database.url, clock: systemClock }), {
      code: "DATABASE_UNUSABLE",
      message: /another program: it has the table "flow_run"/,
    });
    assert.deepEqual(await run(database.url, "select tablename from pg_tables where schemaname = 'public'"), [
      { tablename: "flow_run" },
    ]);
  });

  test("one of a newer version is refused in a sentence", async () => {
    await using database = await createBlankDatabase();
    await (await openStore({ database: database.url, clock: systemClock })).close();
    await run(database.url, "insert into kysely_migration values ('0999-later', 'then')");

    await assert.rejects(openStore({ database: database.url, clock: systemClock }), {
      code: "DATABASE_UNUSABLE",
      message: /newer Flowyard .*"0999-later"/,
    });
  });

  test("one that is not there is refused without showing the password", async () => {
    await using database = await createBlankDatabase();
    const url = database.url.replace("postgres@/", "postgres:s3cret@/").replace(/\/flowyard_test_\w+/, "/nowhere");

    await assert.rejects(openStore({ database: url, clock: systemClock }), (error: Error) => {
      assert.ok(hasCode(error, "DATABASE_UNUSABLE"));
      assert.match(error.message, /^the database postgresql:\/\/postgres@\/nowhere.* cannot be used: /);
      assert.doesNotMatch(JSON.stringify(error) + error.stack, /s3cret/);
      return true;
    });
  });
});

async function run(url: string, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}
