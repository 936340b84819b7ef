import { readdir } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";

const root = join(import.meta.dirname, "../..");

/** A folder of test files that run together. */
export interface Tier {
  /** The folder's, with the database behind it when that is not the usual one. */
  name: string;
  folder: string;
  /** What their stores are on. */
  database: "sqlite" | "postgres";
  /** Paths from the root of the checkout. */
  files: string[];
  /**
   * A Node per file, for tests that start processes and kill them, and so many files at the same time. Undefined when
   * one Node runs all.
   */
  lanes: number | undefined;
  /** For all files together, or for each in a Node of its own. */
  timeoutMs: number;
}

const FAST_TIMEOUT_MS = 300_000;
/**
 * Run after all others, and only these apart from the others: they are slow. The tests of `system` wait most of their
 * time for containers, graces and leases, so that two files share a machine of two cores; those of `long` also measure.
 */
const SLOW_TIERS: Record<string, { lanes: number; timeoutMs: number }> = {
  system: { lanes: 2, timeoutMs: 1_200_000 },
  long: { lanes: 1, timeoutMs: 7_200_000 },
};

/** These run once more on PostgreSQL: all that reads or writes a store. */
const ON_BOTH_DATABASES = ["storage", "orchestration", "server"];

/** Files whose names begin so are about that database alone. */
const ABOUT_ONE = { sqlite: "sqlite-", postgres: "postgres-" };

/** Every tier, in the order to run them: contract, the rooms, the slow ones. */
export async function listTiers(): Promise<Tier[]> {
  const byTier = new Map<string, string[]>();
  for (const file of await listTestFiles()) {
    const [, name] = file.split("/");
    if (name !== undefined) {
      byTier.set(name, [...(byTier.get(name) ?? []), file]);
    }
  }
  const tiers = [...byTier].flatMap(([folder, files]): Tier[] => {
    const isOnBoth = ON_BOTH_DATABASES.includes(folder);
    const tier: Tier = {
      name: folder,
      folder,
      database: "sqlite",
      files: isOnBoth ? selectFiles(files, ABOUT_ONE.postgres) : files.sort(),
      lanes: SLOW_TIERS[folder]?.lanes,
      timeoutMs: SLOW_TIERS[folder]?.timeoutMs ?? FAST_TIMEOUT_MS,
    };
    const again: Tier = {
      ...tier,
      name: `${folder} (postgres)`,
      database: "postgres",
      files: selectFiles(files, ABOUT_ONE.sqlite),
    };
    return isOnBoth ? [tier, again] : [tier];
  });
  return tiers.sort((a, b) => rankTier(a.folder) - rankTier(b.folder) || a.name.localeCompare(b.name));
}

function selectFiles(files: string[], without: string): string[] {
  return files.filter((file) => !basename(file).startsWith(without)).sort();
}

function rankTier(name: string): number {
  return ["contract", "", "system", "long"].indexOf(name === "contract" || name in SLOW_TIERS ? name : "");
}

async function listTestFiles(): Promise<string[]> {
  const entries = await readdir(join(root, "test"), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".test.ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
}
