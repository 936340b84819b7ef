import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { runCli } from "../../src/cli/run-cli.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { startServer } from "../../src/server/start-server.ts";

export interface Printed {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  env?: Record<string, string>;
  stdin?: string;
  workingDirectory?: string;
  signal?: AbortSignal;
  /** Called with everything printed so far, whenever something is printed. */
  onOutput?: (printed: string) => void;
}

export interface TestPlane extends AsyncDisposable {
  apiUrl: string;
  client: PrefectClient;
  /** A folder that is removed with the plane. */
  folder: string;
  /** Runs a command line against the plane, in this process. */
  cli(argv: string[], options?: CommandOptions): Promise<Printed>;
}

/** A real plane on a database file of its own, in this process. */
export async function startTestPlane({ authString }: { authString?: string } = {}): Promise<TestPlane> {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-cli-"));
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    database: join(folder, "plane.db"),
    authString: authString ?? null,
    logLevel: "error",
    logFormat: "json",
    loops: null,
  });
  const { apiUrl } = server;
  return {
    apiUrl,
    folder,
    client: createPrefectClient({ apiUrl, authString }),
    cli: (argv, options = {}) =>
      runInProcess(argv, {
        workingDirectory: folder,
        ...options,
        env: { FLOWYARD_HOME: join(folder, "home"), PREFECT_API_URL: apiUrl, ...options.env },
      }),
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function runInProcess(
  argv: string[],
  { env = {}, stdin = "", workingDirectory = "/", signal, onOutput }: CommandOptions,
): Promise<Printed> {
  let stdout = "";
  let stderr = "";
  const code = await runCli({
    argv,
    env,
    stdout: {
      write: (text) => {
        stdout += text;
        onOutput?.(stdout + stderr);
      },
    },
    stderr: {
      write: (text) => {
        stderr += text;
        onOutput?.(stdout + stderr);
      },
    },
    stdin: Readable.from([stdin]),
    workingDirectory,
    signal: signal ?? new AbortController().signal,
  });
  return { code, stdout, stderr };
}

/** A flow and a deployment of it, as a deploy would have made them. */
export async function createDeployment(client: PrefectClient, flowName = "get-repo-info", name = "my-deployment") {
  if ((await client.workPools.find("pool")) === undefined) {
    await client.workPools.create({ name: "pool", type: "process" });
  }
  const flow = await client.flows.create({ name: flowName });
  const { value } = await client.deployments.create({
    name,
    flow_id: flow.id,
    work_pool_name: "pool",
    entrypoint: "repo_info.py:get_repo_info",
    parameter_openapi_schema: {
      type: "object",
      properties: { repo: { type: "string" }, stars: { type: "integer", default: 1 } },
    },
  });
  return value;
}
