import { access, constants, mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { installPackages } from "./apt.ts";
import { isAlive, lastLines, removeStalePidFile, startDaemon, waitUntil } from "./background-process.ts";
import { cacheDirectory, dockerHost } from "./config.ts";
import { PartMissing } from "./part.ts";
import { runCommand } from "./run-command.ts";

const SYSTEM_HOST = "unix:///var/run/docker.sock";
const START_TIMEOUT_MS = 30_000; // first start lays out the data root; 1 s seen

/** Finds a Docker engine, or on Debian as root installs and starts one. */
export async function setUpDockerEngine() {
  const found = await findEngine();
  if (found !== null) {
    return { part: found, found: `engine ${found.version} at ${found.host}` };
  }
  if (dockerHost !== undefined) {
    throw new PartMissing(`no engine answers at DOCKER_HOST=${dockerHost}`, "start it, or unset DOCKER_HOST");
  }
  if ((await runCommand("dockerd", ["--version"])).code === 127) {
    await installPackages(["docker.io"], "a Docker engine");
    const service = await waitUntil(findEngine, 5_000); // where systemd runs, the package starts it
    if (service !== null) {
      return { part: service, found: `engine ${service.version} at ${service.host}, installed` };
    }
  }
  const started = await startEngine();
  return { part: started, found: `engine ${started.version} at ${started.host}, started` };
}

async function findEngine(): Promise<{ host: string; version: string } | null> {
  for (const host of await listHosts()) {
    const version = await askVersion(host);
    if (version !== null) {
      return { host, version };
    }
  }
  return null;
}

async function listHosts(): Promise<string[]> {
  if (dockerHost !== undefined) {
    return [dockerHost];
  }
  const context = await runCommand("docker", ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
  const hosts = [
    ...(context.code === 0 && context.stdout !== "" ? [context.stdout] : []),
    SYSTEM_HOST,
    `unix://${join(homedir(), ".docker/run/docker.sock")}`,
  ];
  return [...new Set(hosts)];
}

async function askVersion(host: string): Promise<string | null> {
  const answer = await runCommand("docker", ["--host", host, "version", "--format", "{{.Server.Version}}"], {
    timeoutMs: 10_000,
  });
  return answer.code === 0 ? answer.stdout : null;
}

function isRefused(socket: string): Promise<boolean> {
  return access(socket, constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "EACCES",
  );
}

async function startEngine(): Promise<{ host: string; version: string }> {
  if (process.getuid?.() !== 0) {
    if (await isRefused(SYSTEM_HOST.slice("unix://".length))) {
      throw new PartMissing(
        "this user may not use the Docker engine's socket",
        "sudo usermod -aG docker $USER, and log in again",
      );
    }
    throw new PartMissing("no Docker engine is running and starting one needs root", "sudo systemctl start docker");
  }
  const directory = join(cacheDirectory, "docker");
  await mkdir(directory, { recursive: true });
  const log = join(directory, "dockerd.log");
  const pidFile = join(directory, "dockerd.pid");
  const execRoot = join(directory, "exec");
  await removeStalePidFile(pidFile, "dockerd");
  await removeStalePidFile(join(execRoot, "containerd/containerd.pid"), "containerd");
  const pid = await startDaemon(
    "dockerd",
    [
      `--data-root=${join(directory, "data")}`,
      `--exec-root=${execRoot}`,
      `--pidfile=${pidFile}`,
      `--host=${SYSTEM_HOST}`,
    ],
    { log },
  );
  const version = await waitUntil(
    async () => (await askVersion(SYSTEM_HOST)) ?? ((await isAlive(pid)) ? null : "died"),
    START_TIMEOUT_MS,
  );
  if (version === null || version === "died") {
    throw new PartMissing(
      `dockerd does not start here; its last words:\n${await lastLines(log, 8)}`,
      "a machine that allows nested containers, or DOCKER_HOST pointing to an engine elsewhere",
    );
  }
  return { host: SYSTEM_HOST, version };
}
