import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { listProjectFiles, root } from "./sources.ts";

/** The variables of every `…Config` object that a `config.ts` of the product exports. */
async function listVariables(): Promise<string[]> {
  const files = (await listProjectFiles()).filter((path) =>
    /^(src\/[^/]+|worker|worker\/relay)\/config\.ts$/.test(path),
  );
  const modules: unknown[] = await Promise.all(files.map((path) => import(join(root, path))));
  const exported = modules.flatMap((module) =>
    Object.entries(z.record(z.string(), z.unknown()).parse({ ...Object(module) })),
  );
  return exported.flatMap(([name, value]) =>
    name.endsWith("Config") && value instanceof z.ZodObject ? Object.keys(value.shape) : [],
  );
}

/** The first cell of each row of the tables in docs/configuration.md, where it is a variable. */
async function listDocumented(): Promise<string[]> {
  const markdown = await readFile(join(root, "docs/configuration.md"), "utf8");
  return [...markdown.matchAll(/^\| `([A-Z][A-Z0-9_]+)`/gm)].map((match) => match[1] ?? "");
}

test("every variable that a process reads is in docs/configuration.md, and nothing else is", async () => {
  const variables = [...new Set(await listVariables())].sort();

  assert.ok(variables.length > 0, "no config.ts with a …Config object was found");
  assert.deepEqual([...new Set(await listDocumented())].sort(), variables);
});
