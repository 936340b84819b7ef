import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { installPackages } from "./apt.ts";
import { isAlive, lastLines, startDaemon, waitUntil } from "./background-process.ts";
import { cacheDirectory } from "./config.ts";
import { findFreePort } from "./free-port.ts";
import { PartMissing } from "./part.ts";
import { runCommand } from "./run-command.ts";

/** The one account of the private registry; it guards nothing but test images on loopback. */
const ACCOUNT = { username: "flowyard", password: "correct-horse" };
// bcrypt of the password above: the registry takes no other form.
const HTPASSWD = "flowyard:$2y$05$2viwZ3wpLraakAuucS7b1uiRUFzRgRs9xoe/ObuJRdtdxnugIiska\n";
const STATUS_WITHOUT_LOGIN = { open: 200, private: 401 };

type Kind = keyof typeof STATUS_WITHOUT_LOGIN;
const Running = z.object({ pid: z.int(), port: z.int() });

/**
 * Two container registries on loopback, one open and one with a login. They keep what was pushed between runs, so that
 * the layers of the base image travel only once.
 */
export async function setUpRegistries() {
  const program = await findProgram();
  const [openPort, privatePort] = await Promise.all([
    ensureRegistry(program, "open"),
    ensureRegistry(program, "private"),
  ]);
  const part = {
    address: `127.0.0.1:${openPort}`,
    private: { address: `127.0.0.1:${privatePort}`, ...ACCOUNT },
  };
  return { part, found: `open at ${part.address}, with login at ${part.private.address}` };
}

async function findProgram(): Promise<string> {
  for (const name of ["docker-registry", "registry"]) {
    if ((await runCommand(name, ["--version"])).code === 0) {
      return name;
    }
  }
  await installPackages(["docker-registry"], "docker-registry");
  return "docker-registry";
}

async function ensureRegistry(program: string, kind: Kind): Promise<number> {
  const directory = join(cacheDirectory, "registry", kind);
  const stateFile = join(directory, "running.json");
  await mkdir(directory, { recursive: true });
  const earlier = Running.safeParse(await readJson(stateFile)).data;
  if (earlier !== undefined && (await isAlive(earlier.pid)) && (await answers(kind, earlier.port))) {
    return earlier.port;
  }
  // The same port again if it is free: the engine remembers pushed layers by address.
  const port = await findFreePort(earlier?.port ?? 0);
  const log = join(directory, "registry.log");
  await writeFile(join(directory, "htpasswd"), HTPASSWD);
  await writeFile(join(directory, "config.yml"), buildConfig(directory, kind, port));
  const pid = await startDaemon(program, ["serve", join(directory, "config.yml")], { log });
  const ready = await waitUntil(async () => ((await answers(kind, port)) ? true : null), 10_000);
  if (ready === null) {
    throw new PartMissing(`${program} does not start:\n${await lastLines(log, 5)}`, "see the message above");
  }
  await writeFile(stateFile, JSON.stringify({ pid, port }));
  return port;
}

/** Written as JSON, which is YAML too. */
function buildConfig(directory: string, kind: Kind, port: number): string {
  return JSON.stringify({
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, "data") }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}` },
    ...(kind === "private" ? { auth: { htpasswd: { realm: "flowyard", path: join(directory, "htpasswd") } } } : {}),
  });
}

async function answers(kind: Kind, port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/v2/`, { signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.status === STATUS_WITHOUT_LOGIN[kind];
  } catch {
    return false;
  }
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    return null;
  }
}
