import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { copyFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type Docker from "dockerode";
import { buildImageContext } from "../../scripts/build-image.ts";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { runCommand } from "../../scripts/setup/run-command.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import { waitUntil } from "../support/wait-until.ts";

const AUTH_STRING = "operator:correct-horse";
const SOCKET = "/var/run/docker.sock";
const FLOW = `import time
from pathlib import Path
from prefect import flow

@flow(log_prints=True)
def pass_gate(gate: str):
    print("at the gate")
    while not Path(gate).exists():
        time.sleep(0.05)
    print("through the gate")
`;

const machine = await loadMachine();
const isLocal = machine.docker.available && machine.docker.host === `unix://${SOCKET}`;
const missing = !machine.docker.available
  ? machine.docker.reason
  : !machine.baseImage.available
    ? machine.baseImage.reason
    : !isLocal && `the engine is not at ${SOCKET}, which a worker in a container is given`;

/** What compose.yaml starts, by the engine's API: the same image, commands, users, networks and volumes. */
class Composition {
  readonly engine: Engine;
  readonly name = `flowyard-image-${randomUUID().slice(0, 8)}`;
  readonly image = `${this.name}:test`;
  readonly folder: string;
  readonly #containers = new Map<string, Docker.Container>();
  #network: Docker.Network | undefined;

  private constructor(engine: Engine, folder: string) {
    this.engine = engine;
    this.folder = folder;
  }

  static async open(host: string): Promise<Composition> {
    const engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: host }));
    const composition = new Composition(engine, await mkdtemp(join(tmpdir(), "flowyard-image-")));
    await writeFile(join(composition.folder, "gate.py"), FLOW);
    await composition.#build(host);
    composition.#network = await engine.docker.createNetwork({ Name: composition.name });
    return composition;
  }

  /** The official Node image where a hub answers; here it is made of what the machine has. */
  async #build(host: string): Promise<void> {
    assert.ok(machine.baseImage.available);
    const docker = async (...args: string[]) => {
      const { code, tail } = await runCommand("docker", ["--host", host, ...args]);
      assert.equal(code, 0, tail);
    };
    const base = join(this.folder, "base");
    const context = await buildImageContext(join(this.folder, "context"));
    await runCommand("mkdir", [base]);
    await copyFile(process.execPath, join(base, "node"));
    await writeFile(
      join(base, "Dockerfile"),
      `FROM ${machine.baseImage.tag}\nCOPY node /usr/local/bin/node\nENTRYPOINT []\n`,
    );
    await docker("build", "--quiet", "--tag", `${this.name}:base`, base);
    await docker("build", "--quiet", "--tag", this.image, "--build-arg", `NODE_IMAGE=${this.name}:base`, context);
    await rm(base, { recursive: true });
  }

  async start(
    service: string,
    command: readonly string[],
    { env = {}, host = {}, port }: { env?: Record<string, string>; host?: Docker.HostConfig; port?: number } = {},
  ): Promise<void> {
    const container = await this.engine.docker.createContainer({
      name: `${this.name}-${service}`,
      Image: this.image,
      Cmd: [...command],
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...(port === undefined ? {} : { ExposedPorts: { [`${port}/tcp`]: {} } }),
      HostConfig: {
        Init: true,
        ReadonlyRootfs: true,
        Tmpfs: { "/tmp": "" },
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges:true"],
        NetworkMode: this.name,
        ...(port === undefined ? {} : { PortBindings: { [`${port}/tcp`]: [{ HostIp: "127.0.0.1", HostPort: "0" }] } }),
        ...host,
      },
      NetworkingConfig: { EndpointsConfig: { [this.name]: { Aliases: [service] } } },
    });
    this.#containers.set(service, container);
    await container.start();
  }

  get(service: string): Docker.Container {
    const container = this.#containers.get(service);
    assert.ok(container, `${service} was not started`);
    return container;
  }

  async findPort(service: string, port: number): Promise<number> {
    const { NetworkSettings } = await this.get(service).inspect();
    return Number(NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort);
  }

  async readLog(service: string): Promise<string> {
    return String(await this.get(service).logs({ stdout: true, stderr: true }));
  }

  async waitUntilHealthy(service: string): Promise<void> {
    await waitUntil(
      async () => {
        const { State } = await this.get(service).inspect();
        assert.ok(State.Running, `${service} ended: ${await this.readLog(service)}`);
        return State.Health?.Status === "healthy";
      },
      { timeoutMs: 45_000, what: `a healthy ${service}` },
    );
  }

  async close(): Promise<void> {
    const { docker } = this.engine;
    for (const { Id } of await docker.listContainers({ all: true, filters: { label: [this.name] } })) {
      await removeContainer(this.engine, Id);
    }
    for (const container of this.#containers.values()) {
      await removeContainer(this.engine, container.id);
    }
    await this.#network?.remove();
    await docker.getVolume(this.name).remove();
    for (const tag of [this.image, `${this.name}:base`]) {
      await docker.getImage(tag).remove({ force: true });
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

describe("plane, relay and worker in containers of the one image", { skip: missing }, () => {
  let composition: Composition;
  let client: PrefectClient;
  let deploymentId = "";

  before(async () => {
    assert.ok(machine.docker.available && machine.baseImage.available);
    composition = await Composition.open(machine.docker.host);
    const access = { PREFECT_API_URL: "http://plane:4200/api", PREFECT_API_AUTH_STRING: AUTH_STRING };
    const shared = { Binds: [`${composition.name}:/var/lib/flowyard`] };
    await composition.start("plane", ["server", "start", "--host", "0.0.0.0"], {
      env: { FLOWYARD_AUTH_STRING: AUTH_STRING },
      host: { Tmpfs: { "/tmp": "", "/var/lib/flowyard": "uid=1000,gid=1000" } },
      port: 4200,
    });
    client = createPrefectClient({
      apiUrl: `http://127.0.0.1:${await composition.findPort("plane", 4200)}/api`,
      authString: AUTH_STRING,
    });
    await waitUntil(
      () =>
        client.releases.findCapabilities().then(
          () => true,
          () => false,
        ),
      { timeoutMs: 20_000, what: "the plane" },
    );
    await composition.start("relay", ["relay", "start"], {
      env: { ...access, FLOWYARD_RELAY_HOSTS: "0.0.0.0", FLOWYARD_RELAY_PORT: "4280" },
      host: shared,
    });
    const command = ["worker", "start", "--pool=docker", "--type=docker", "--name=compose", "--with-healthcheck"];
    await composition.start("worker", [...command, "--base-job-template=/opt/flowyard/compose-job-template.json"], {
      env: { ...access, FLOWYARD_WORKER_RELAY: "http://relay:4280/api" },
      host: {
        Binds: [...shared.Binds, `${SOCKET}:${SOCKET}`],
        GroupAdd: [String((await stat(SOCKET)).gid)],
      },
      port: 8080,
    });
    deploymentId = await deploy();
  });
  after(() => composition?.close());

  async function deploy(): Promise<string> {
    assert.ok(machine.baseImage.available);
    await waitUntil(async () => (await client.workPools.find("docker")) !== undefined, {
      timeoutMs: 20_000,
      what: "the worker's pool",
    });
    const flow = await client.flows.create({ name: "pass-gate" });
    const { folder, name } = composition;
    const { value } = await client.deployments.create({
      name: "gate",
      flow_id: flow.id,
      work_pool_name: "docker",
      entrypoint: "gate.py:pass_gate",
      pull_steps: [{ "prefect.deployments.steps.set_working_directory": { directory: folder } }],
      job_variables: {
        image: machine.baseImage.tag,
        image_pull_policy: "Never",
        networks: [name],
        volumes: [`${folder}:${folder}`],
        labels: { [name]: "" },
      },
    });
    return value.id;
  }

  async function waitForState(id: string, type: string): Promise<void> {
    await waitUntil(
      async () => {
        const run = await client.flowRuns.get(id);
        assert.ok(run.state_type === type || !run.end_time, `${run.state_type}: ${run.state?.message}`);
        return run.state_type === type;
      },
      { timeoutMs: 45_000, what: type },
    );
  }

  test("a run goes to its own container and through the relay, also when its worker is killed meanwhile", async () => {
    const { value: run } = await client.deployments.createFlowRun(deploymentId, {
      parameters: { gate: join(composition.folder, "open") },
    });
    await waitForState(run.id, "RUNNING");
    await composition.get("worker").kill({ signal: "SIGKILL" });
    await composition.get("worker").start();
    await writeFile(join(composition.folder, "open"), "");
    await waitForState(run.id, "COMPLETED");

    await waitUntil(async () => (await client.timelines.find(run.id))?.entries.at(-1)?.phase === "exited", {
      timeoutMs: 20_000,
      what: "the end of the container in the timeline",
    });

    const phases = (await client.timelines.find(run.id))?.entries.map(({ phase }) => phase) ?? [];
    const expected = ["scheduled", "pending", "claimed", "created", "started", "running", "completed", "exited"];
    assert.deepEqual(
      phases.filter((phase) => expected.includes(phase)),
      expected,
    );
    const lines = await client.logs.list({ logs: { flow_run_id: { any_: [run.id] } } });
    assert.equal(lines.filter(({ message }) => message === "through the gate").length, 1);
  });

  test("each says that it is healthy, runs as nobody special, and the worker tells its metrics", async () => {
    await Promise.all(["plane", "relay", "worker"].map((service) => composition.waitUntilHealthy(service)));

    const { Config } = await composition.engine.docker.getImage(composition.image).inspect();
    assert.equal(Config.User, "1000:1000");
    const port = await composition.findPort("worker", 8080);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /flowyard_worker_claims_total\{how="adopted",[^}]*worker_name="compose"[^}]*\} 1/);
    assert.match(metrics, /flowyard_worker_spool_bytes\{[^}]*\} \d+/);
  });

  test("each ends by itself at SIGTERM", async () => {
    for (const service of ["worker", "relay", "plane"]) {
      await composition.get(service).stop({ t: 20 });
      const { State } = await composition.get(service).inspect();
      assert.equal(State.ExitCode, 0, `${service}: ${(await composition.readLog(service)).slice(-2000)}`);
    }
  });
});
