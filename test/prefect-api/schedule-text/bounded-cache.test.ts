import assert from "node:assert/strict";
import { test } from "node:test";
import { BoundedCache } from "../../../src/prefect-api/schedule-text/bounded-cache.ts";

test("a full cache forgets what was unused for longest", () => {
  const cache = new BoundedCache<string, number>(2);
  const computed: string[] = [];
  const ask = (key: string) =>
    cache.get(key, () => {
      computed.push(key);
      return computed.length;
    });

  for (const key of ["a", "b", "a", "c", "a", "b"]) {
    ask(key);
  }

  assert.deepEqual(computed, ["a", "b", "c", "b"]);
});
