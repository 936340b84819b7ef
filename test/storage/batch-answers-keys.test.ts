import assert from "node:assert/strict";
import { test } from "node:test";
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from "kysely";
import { asRepeatable, BatchAnswers } from "../../src/storage/batch-answers.ts";

interface Names {
  names: { pool: string; queue: string };
}

const db = new Kysely<Names>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (each) => new PostgresIntrospector(each),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

test("two questions whose values only look alike side by side are two questions", async () => {
  const asked: (readonly unknown[])[] = [];
  const answers = new BatchAnswers(async ({ parameters }) => {
    asked.push(parameters);
    return { rows: [{ parameters }], command: "SELECT", rowCount: 1, oid: 0, fields: [] };
  });
  const ask = (pool: string, queue: string) =>
    answers.run(
      asRepeatable(db.selectFrom("names").selectAll().where("pool", "=", pool).where("queue", "=", queue).compile()),
    );

  await ask("a b", "c");
  await ask("a", "b c");
  await ask("a", "b c");

  assert.deepEqual(asked, [
    ["a b", "c"],
    ["a", "b c"],
  ]);
});
