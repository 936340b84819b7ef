import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { stopEarly } from "../../src/prefect-api/stop-early.ts";

const buildSchema = () =>
  z.object({
    logs: z.array(z.object({ name: z.string(), pair: z.array(z.number()).length(2) })).nullish(),
    labels: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
    ids: z.array(z.string()).max(1000).optional(),
  });
const fill = <T>(length: number, build: (index: number) => T) => Array.from({ length }, (_, index) => build(index));
const countProblems = (value: unknown) => stopEarly(buildSchema()).safeParse(value).error?.issues ?? [];

test("what is right is read as without it, however long it is", () => {
  const value = {
    logs: fill(1234, (index) => ({ name: `line ${index}`, pair: [index, 2] })),
    labels: Object.fromEntries([...fill(250, (index) => [`key ${index}`, index]), ["constructor", "x"]]),
    ids: fill(1000, String),
  };

  assert.deepEqual(stopEarly(buildSchema()).parse(value), buildSchema().parse(value));
});

test("problems keep their places, and a million of them are not looked for", () => {
  const logs = [...fill(150, () => ({ name: "right", pair: [1, 2] })), ...fill(1_000_000, () => ({}))];

  const problems = countProblems({ logs });

  assert.deepEqual(problems[0]?.path, ["logs", 150, "name"]);
  assert.equal(problems.length, 100);
  assert.equal(countProblems({ labels: Object.fromEntries(fill(5000, (index) => [`k${index}`, null])) }).length, 100);
});

test("a list that is too long is one problem, whatever is in it", () => {
  const problems = countProblems({ ids: fill(1_000_000, () => 0) });

  assert.deepEqual(
    problems.map(({ code, path }) => ({ code, path })),
    [{ code: "too_big", path: ["ids"] }],
  );
});

test("a schema may be given twice, and contain itself", () => {
  const Tree = z.object({ name: z.string(), children: z.lazy((): z.ZodType => z.array(Tree)) });
  const schema = stopEarly(stopEarly(Tree));

  assert.equal(schema.safeParse({ name: "a", children: [{ name: "b", children: [] }] }).success, true);
});
