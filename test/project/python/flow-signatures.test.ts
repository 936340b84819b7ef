import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { FlowSource } from "../../../src/project/python/flow-source.ts";
import { inspectFlow } from "../../../src/project/python/inspect-flow.ts";
import { UserError } from "../../../src/shared/errors.ts";

const ROOT = join(import.meta.dirname, "../../fixtures/flow-signatures");

const Recorded = z.record(z.string(), z.unknown());
const Failure = z.object({ error: z.array(z.object({ class: z.string(), message: z.string() })) });
const Case = z.object({ entrypoint: z.string(), deploy: Recorded, fallback: Recorded.nullish() });
type Case = z.infer<typeof Case>;

const CASES = readFileSync(join(ROOT, "expected.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => Case.parse(JSON.parse(line)));

/** What a reader that does not run the file must say: a file that ends the program is read in pieces. */
function expectedOf(one: Case): Record<string, unknown> {
  const failure = Failure.safeParse(one.deploy);
  const isExit = failure.success && failure.data.error[0]?.class === "SystemExit";
  return isExit ? (one.fallback ?? {}) : one.deploy;
}

type Outcome = "equal" | "degraded" | "wrong" | "fatal";

async function outcomeOf(one: Case): Promise<{ outcome: Outcome; detail: string }> {
  const expected = expectedOf(one);
  const isRefused = "error" in expected;
  let read: FlowSource;
  try {
    read = await inspectFlow({ root: ROOT, entrypoint: one.entrypoint });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { outcome: isRefused ? "equal" : "fatal", detail: error.message };
  }
  const { notices, ...flow } = read;
  const plain: unknown = JSON.parse(JSON.stringify(flow));
  if (isDeepStrictEqual(plain, expected)) return { outcome: "equal", detail: "" };
  const detail = notices.map((notice) => notice.message).join("; ");
  return { outcome: isLeftOpen(read, expected) ? "degraded" : "wrong", detail };
}

/** Nothing is claimed that Prefect says otherwise: what differs is a parameter that accepts anything, with a notice. */
function isLeftOpen(read: FlowSource, expected: Record<string, unknown>): boolean {
  if (read.notices.length === 0) return false;
  const schema = z.object({ properties: Recorded }).safeParse(expected["parameter_openapi_schema"]);
  return Object.entries(read.parameter_openapi_schema.properties).every(([name, property]) => {
    const isSame =
      schema.success && isDeepStrictEqual(JSON.parse(JSON.stringify(property)), schema.data.properties[name]);
    const keys = Object.keys(z.record(z.string(), z.unknown()).parse(property));
    const isAny = keys.every((key) => ["default", "description", "position", "title"].includes(key));
    const isNamed = read.notices.some((notice) => notice.message.includes(`"${name}"`));
    return isSame || (isAny && isNamed) || !schema.success;
  });
}

test("flows read from their source equal what Prefect reads by running it", async (context) => {
  const outcomes = await Promise.all(CASES.map(async (one) => ({ one, ...(await outcomeOf(one)) })));

  const passed = outcomes.filter(({ outcome }) => outcome === "equal").length;
  context.diagnostic(`${passed}/${CASES.length} flow signatures equal`);
  for (const { one, outcome, detail } of outcomes) {
    if (outcome !== "equal") context.diagnostic(`${one.entrypoint}: ${outcome}: ${detail}`);
  }
  assert.ok(CASES.length >= 376);
  assert.ok(passed / CASES.length >= 0.95, `${passed}/${CASES.length}`);
  assert.deepEqual(
    outcomes.filter(({ outcome }) => outcome === "wrong" || outcome === "fatal").map(({ one }) => one.entrypoint),
    [],
  );
});

test("the one known difference is an interpreter's: typing.TypedDict is accepted from Python 3.12 on", async () => {
  const outcomes = await Promise.all(CASES.map(async (one) => ({ one, ...(await outcomeOf(one)) })));

  const different = outcomes.filter(({ outcome }) => outcome !== "equal").map(({ one }) => one.entrypoint);

  assert.deepEqual(different, ["typeddict_from_typing.py:typing_typeddict"]);
});
