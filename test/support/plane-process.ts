import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../../scripts/setup/free-port.ts";
import { TestProcess } from "./child-process.ts";
import { waitUntil } from "./wait-until.ts";

export const repositoryRoot = join(import.meta.dirname, "..", "..");
export const flowyard = join(repositoryRoot, "bin", "flowyard");
/** Most of it is for machines that do ten other things: of its own a plane needs half a second of a processor. */
const START_MS = 60_000;
const SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/** The environment of a newcomer's shell: a path, an own home, nothing of Prefect's or ours. */
export function plainEnvironment(home: string, extra: Record<string, string> = {}): Record<string, string> {
  return { PATH: SYSTEM_PATH, HOME: home, FLOWYARD_HOME: home, LANG: "C.UTF-8", ...extra };
}

export interface PlaneProcess extends AsyncDisposable {
  process: TestProcess;
  apiUrl: string;
  folder: string;
  /** Kills it without warning. */
  kill(): Promise<void>;
  /** Starts it again, killed first if need be, over the same database, at the same address. */
  start(): Promise<void>;
}

/** A real control plane in a process and folder of its own, ready to answer. */
export async function startPlane(
  env: Record<string, string> = {},
  flags: readonly string[] = [],
): Promise<PlaneProcess> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-plane-"));
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const plane: PlaneProcess = {
    process: launchPlane({ folder, port, env, flags }),
    apiUrl,
    folder,
    async kill() {
      plane.process.child.kill("SIGKILL");
      await plane.process.finish(10_000);
    },
    async start() {
      await plane.kill();
      plane.process = launchPlane({ folder, port, env, flags });
      await waitForPlane(plane.process, apiUrl);
    },
    async [Symbol.asyncDispose]() {
      await plane.process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await waitForPlane(plane.process, apiUrl);
  return plane;
}

interface Launch {
  folder: string;
  port: number;
  env: Record<string, string>;
  flags: readonly string[];
}

function launchPlane({ folder, port, env, flags }: Launch): TestProcess {
  return new TestProcess(
    flowyard,
    ["server", "start", "--port", String(port), "--database", join(folder, "plane.sqlite"), ...flags],
    { cwd: folder, env: plainEnvironment(folder, env) },
  );
}

function waitForPlane(plane: TestProcess, apiUrl: string): Promise<void> {
  return waitUntil(
    async () => {
      if (plane.child.exitCode !== null) {
        throw new Error(`the plane ended with ${plane.child.exitCode}:\n${plane.output}`);
      }
      return fetch(`${apiUrl}/health`).then(
        (answer) => answer.ok,
        () => false,
      );
    },
    { timeoutMs: START_MS, what: "the plane's health", evidence: () => plane.output },
  );
}
