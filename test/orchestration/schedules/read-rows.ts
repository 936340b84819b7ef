import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { z } from "zod";

const folder = join(import.meta.dirname, "../../fixtures/schedules");

export function readRows<Row>(file: string, schema: z.ZodType<Row>): Row[] {
  const rows: unknown = JSON.parse(readFileSync(join(folder, file), "utf8"));
  assert.ok(Array.isArray(rows) && rows.length > 20, `${file} holds too few rows`);
  return rows.map((row) => schema.parse(row));
}

/** Runs every row, says how many passed, and fails with the first rows that did not. */
export function checkRows<Row>(context: TestContext, rows: readonly Row[], check: (row: Row) => void): void {
  const failures: string[] = [];
  for (const row of rows) {
    try {
      check(row);
    } catch (error) {
      failures.push(`${JSON.stringify(row)}\n${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const score = `${rows.length - failures.length}/${rows.length} rows passed`;
  context.diagnostic(score);
  assert.equal(failures.length, 0, `${score}\n${failures.slice(0, 5).join("\n")}`);
}

/** `2026-11-24T00:00:00Z`, as the fixtures write it. */
export function formatInstant(instant: Date | number): string {
  return new Date(instant).toISOString().replace(".000Z", "Z");
}
