import { access, chmod, chown, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installPackages } from "./apt.ts";
import { isAlive } from "./background-process.ts";
import { cacheDirectory } from "./config.ts";
import { PartMissing } from "./part.ts";
import { type CommandResult, runCommand } from "./run-command.ts";

const DEBIAN_PROGRAMS = "/usr/lib/postgresql";
/** Several planes and the connections of every store that a test has open at the same time. */
const MAX_CONNECTIONS = 200;
/** Followed by the number of the process whose tests made the database. */
export const TEST_DATABASE_PREFIX = "flowyard_test_";

export interface Cluster {
  /** Folder of `postgres`, `pg_ctl` and so on. */
  programs: string;
  /** Holds the data and the Unix socket. */
  directory: string;
  /** The operating system's account that owns it; PostgreSQL refuses root's. */
  account: string | null;
}

/** A PostgreSQL for the tests alone: on a Unix socket, without a password, and nothing in it survives a power cut. */
export async function setUpPostgres() {
  const programs = await findPrograms();
  const account = process.getuid?.() === 0 ? "postgres" : null;
  // A path to a socket has at most 107 bytes, and that account cannot read root's home.
  const directory = account === null ? join(cacheDirectory, "postgres") : join(tmpdir(), "flowyard-postgres");
  const cluster = { programs, directory, account };
  await createCluster(cluster, { isDurable: false });
  await startCluster(cluster);
  await dropTestDatabases(cluster);
  const version = (await run(cluster, "postgres", ["--version"])).stdout;
  return { part: { ...cluster, url: buildUrl(cluster, "postgres"), version }, found: `${version} at ${directory}` };
}

export function buildUrl({ directory }: Pick<Cluster, "directory">, database: string): string {
  return `postgresql://postgres@/${database}?host=${encodeURIComponent(directory)}`;
}

async function findPrograms(): Promise<string> {
  const installed = async () => {
    const versions = await readdir(DEBIAN_PROGRAMS).catch(() => []);
    const newest = versions.toSorted((a, b) => Number(b) - Number(a));
    for (const version of newest) {
      const programs = join(DEBIAN_PROGRAMS, version, "bin");
      if (await exists(join(programs, "initdb"))) {
        return programs;
      }
    }
    const found = await runCommand("pg_config", ["--bindir"]);
    return found.code === 0 && (await exists(join(found.stdout, "initdb"))) ? found.stdout : undefined;
  };
  const found = await installed();
  if (found !== undefined) {
    return found;
  }
  await installPackages(["postgresql"], "PostgreSQL");
  const made = await installed();
  if (made === undefined) {
    throw new PartMissing("PostgreSQL was installed, and its initdb is nowhere", "see the message above");
  }
  return made;
}

/** Makes the folder and the data in it, unless they are there. Durable: a commit waits for the disk, as in earnest. */
export async function createCluster(cluster: Cluster, { isDurable }: { isDurable: boolean }): Promise<void> {
  const data = join(cluster.directory, "data");
  if (await exists(join(data, "PG_VERSION"))) {
    return;
  }
  await rm(cluster.directory, { recursive: true, force: true });
  await mkdir(cluster.directory, { recursive: true });
  await chmod(cluster.directory, 0o700);
  if (cluster.account !== null) {
    const [uid, gid] = await Promise.all(["-u", "-g"].map((flag) => findNumber(flag, cluster.account ?? "")));
    await chown(cluster.directory, uid ?? 0, gid ?? 0);
  }
  const locale = ["--encoding=UTF8", "--locale=C.UTF-8"];
  const made = await run(cluster, "initdb", [
    "--pgdata",
    data,
    "--username=postgres",
    "--auth=trust",
    "--no-sync",
    ...locale,
  ]);
  if (made.code !== 0) {
    throw new PartMissing(`initdb failed:\n${made.tail}`, "see the message above");
  }
  const settings = [
    "listen_addresses = ''",
    `unix_socket_directories = '${cluster.directory}'`,
    `max_connections = ${MAX_CONNECTIONS}`,
    ...(isDurable ? [] : ["fsync = off", "synchronous_commit = off", "full_page_writes = off"]),
  ];
  await writeFile(join(data, "postgresql.auto.conf"), `${settings.join("\n")}\n`);
}

/** Does nothing when it runs. */
export async function startCluster(cluster: Cluster): Promise<void> {
  const data = ["--pgdata", join(cluster.directory, "data")];
  if ((await run(cluster, "pg_ctl", ["status", ...data])).code === 0) {
    return;
  }
  const log = join(cluster.directory, "postgres.log");
  const started = await run(cluster, "pg_ctl", ["start", ...data, "--wait", "--log", log]);
  if (started.code !== 0) {
    throw new PartMissing(`pg_ctl start failed:\n${started.tail}`, `see ${log}`);
  }
}

/**
 * Every connection ends in the middle of what it does. Immediate is a crash: what was committed is recovered at the next
 * start.
 */
export async function stopCluster(cluster: Cluster, mode: "fast" | "immediate" = "fast"): Promise<void> {
  await run(cluster, "pg_ctl", ["stop", "--pgdata", join(cluster.directory, "data"), `--mode=${mode}`, "--wait"]);
}

export async function removeCluster(cluster: Cluster): Promise<void> {
  await stopCluster(cluster);
  await rm(cluster.directory, { recursive: true, force: true });
}

/** Those that the tests of a process have made; of all processes that have ended, without `pid`. */
export async function dropTestDatabases(cluster: Cluster, pid?: number): Promise<void> {
  const listed = await sql(cluster, `select datname from pg_database where datname like '${TEST_DATABASE_PREFIX}%'`);
  for (const name of listed.split("\n").filter((line) => line !== "")) {
    const owner = Number(name.slice(TEST_DATABASE_PREFIX.length).split("_")[0]);
    if (pid === undefined ? !(await isAlive(owner)) : owner === pid) {
      await sql(cluster, `drop database if exists ${name} with (force)`);
    }
  }
}

export async function createDatabase(cluster: Cluster, name: string): Promise<void> {
  await sql(cluster, `create database ${name}`);
}

async function sql(cluster: Cluster, statement: string): Promise<string> {
  const args = ["--host", cluster.directory, "--username=postgres", "--no-psqlrc", "--tuples-only", "--no-align"];
  const result = await run(cluster, "psql", [...args, "--command", statement]);
  if (result.code !== 0) {
    throw new Error(`psql: ${result.tail}`);
  }
  return result.stdout;
}

function run(cluster: Cluster, program: string, args: string[]): Promise<CommandResult> {
  const path = join(cluster.programs, program);
  return cluster.account === null
    ? runCommand(path, args)
    : runCommand("runuser", ["-u", cluster.account, "--", path, ...args], { cwd: "/" });
}

async function findNumber(flag: string, account: string): Promise<number> {
  return Number((await runCommand("id", [flag, account])).stdout);
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
