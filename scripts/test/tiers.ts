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
  /** A Node per file, one file at a time: for tests that start processes and kill them. */
  isolated: boolean;
  /** For all files together, or for each when isolated. */
  timeoutMs: number;
}

const FAST_TIMEOUT_MS = 300_000;
const SYSTEM_TIMEOUT_MS = 2_400_000;
const LONG_TIMEOUT_MS = 7_200_000;
/** Run after all others, and only these apart from the others: they are slow. */
const SLOW_TIERS: Record<string, number> = { system: SYSTEM_TIMEOUT_MS, long: LONG_TIMEOUT_MS };

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
      isolated: folder in SLOW_TIERS,
      timeoutMs: SLOW_TIERS[folder] ?? FAST_TIMEOUT_MS,
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
