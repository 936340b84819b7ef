import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../src/client/prefect-client.ts";
import { runToEnd } from "../support/child-process.ts";
import { ComposeProject, SOCKET } from "../support/compose-project.ts";
import { flowyard, plainEnvironment } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const { docker, baseImage, compose, postgresImage } = await loadMachine();
const missing = [docker, baseImage, compose, postgresImage].find((part) => !part.available);
const isLocal = docker.available && docker.host === `unix://${SOCKET}`;
const skip =
  missing?.available === false
    ? missing.reason
    : !isLocal && `the engine is not at ${SOCKET}, which a worker in a container is given`;

const FLOW = `import time
from pathlib import Path
from prefect import flow

@flow(log_prints=True)
def count():
    number = 0
    while not Path("/tmp/open").exists():
        print(f"line {number}")
        number += 1
        time.sleep(0.1)
    print(f"printed {number}")
`;

/** What a user of the composition has: the image's own Dockerfile, and no registry. */
function describeProject(name: string, base: string): Record<string, string> {
  return {
    "flow.py": FLOW,
    Dockerfile: `FROM ${base}\nCOPY flow.py /opt/count/flow.py\n`,
    "prefect.yaml": `name: count
build:
  - prefect_docker.deployments.steps.build_docker_image:
      id: build-image
      image_name: ${name}/count
      tag: latest
      dockerfile: Dockerfile
      pull: false
pull:
  - prefect.deployments.steps.set_working_directory: {directory: /opt/count}
deployments:
  - name: count
    entrypoint: flow.py:count
    work_pool:
      name: docker
      job_variables:
        image: "{{ build-image.image }}"
        image_pull_policy: Never
        networks: [${name}]
        labels: {${name}: ""}
`,
  };
}

const State = z.object({ Status: z.string(), ExitCode: z.number(), Health: z.object({ Status: z.string() }) });
const Config = z.object({ User: z.string(), Labels: z.record(z.string(), z.string()), Env: z.array(z.string()) });

describe("the image and compose.yaml", { skip }, () => {
  let project: ComposeProject;
  let client: PrefectClient;

  before(async () => {
    assert.ok(baseImage.available && compose.available && postgresImage.available);
    const parts = { baseImage: baseImage.tag, postgresImage: postgresImage.tag, composePlugin: compose.plugin };
    project = await ComposeProject.open(parts);
    client = createPrefectClient({ apiUrl: project.apiUrl, authString: project.authString });
  });
  after(() => project?.close());

  /** The CLI on the host, as the documentation has it. */
  async function cli(cwd: string, ...args: string[]): Promise<string> {
    const home = join(project.folder, "home");
    await mkdir(home, { recursive: true });
    const access = { PREFECT_API_URL: project.apiUrl, PREFECT_API_AUTH_STRING: project.authString };
    const env = plainEnvironment(home, { ...access, DOCKER_HOST: `unix://${SOCKET}` });
    const { code, stdout, stderr } = await runToEnd(flowyard, args, { cwd, env });
    assert.equal(code, 0, `flowyard ${args.join(" ")}: ${stdout}\n${stderr}`);
    return stdout;
  }

  async function inspectState(container: string) {
    return State.parse(JSON.parse(await project.docker("inspect", "--format", "{{json .State}}", container)));
  }

  test("the image holds Node and the program, for a user without rights", async () => {
    const config = Config.parse(
      JSON.parse(await project.docker("image", "inspect", "--format", "{{json .Config}}", project.image)),
    );
    const look = [
      "ls /usr/local/bin",
      "ls -d /usr/local/include /usr/local/lib/node_modules 2>/dev/null",
      "find / -xdev -type f -perm /6000 2>/dev/null",
      "true",
    ].join("; ");
    const found = await project.docker("run", "--rm", "--entrypoint", "sh", project.image, "-c", look);

    assert.equal(found, "node");
    assert.equal(config.User, "1000:1000");
    assert.equal(config.Labels["org.opencontainers.image.licenses"], "Apache-2.0");
    assert.match(config.Labels["org.opencontainers.image.source"] ?? "", /^https:/);
    assert.deepEqual(config.Env.map((one) => one.split("=", 1)[0]).sort(), [
      "FLOWYARD_HOME",
      "FLOWYARD_LOG_FORMAT",
      "HOME",
      "NODE_ENV",
      "PATH",
    ]);
  });

  test("a plane by itself takes its secret from a file, serves on SQLite, and ends as process 1 at SIGTERM", async () => {
    const secret = join(project.folder, "auth-string");
    await writeFile(secret, `${project.authString}\n`);
    const name = `${project.name}-alone`;
    const hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
    await project.docker(
      ...["run", "--detach", "--name", name, "--label", project.name, ...hardened],
      ...["--tmpfs", "/var/lib/flowyard:uid=1000,gid=1000", "--volume", `${secret}:/run/secrets/auth-string:ro`],
      ...["--env", "FLOWYARD_AUTH_STRING_FILE=/run/secrets/auth-string", "--health-interval", "1s"],
      ...[project.image, "server", "start", "--host", "0.0.0.0"],
    );
    await waitUntil(async () => (await inspectState(name)).Health.Status === "healthy", {
      timeoutMs: 30_000,
      what: "a healthy plane",
    });

    await project.docker("stop", "--time", "20", name);

    const { output } = await project.run("logs", name);
    assert.equal((await inspectState(name)).ExitCode, 0, output);
    assert.ok(!output.includes(project.authString), "the secret is in the log");
  });

  test("compose.yaml runs a deployment to its end, every line once, while each service is killed", async () => {
    assert.ok(baseImage.available);
    await project.compose("up", "--detach", "--wait");
    const folder = join(project.folder, "count");
    await mkdir(folder);
    for (const [file, text] of Object.entries(describeProject(project.name, baseImage.tag))) {
      await writeFile(join(folder, file), text);
    }
    await cli(folder, "deploy", "--all");
    await cli(folder, "deployment", "run", "count/count");
    const [run] = await client.flowRuns.list();
    assert.ok(run);
    const readLines = async () => {
      const logs = await client.logs.list({ logs: { flow_run_id: { any_: [run.id] } } });
      return logs.map(({ message }) => message).filter((message) => /^(line|printed) \d+$/.test(message));
    };
    /** What was printed after this was asked has reached the plane. */
    const waitForMoreLines = async (after: string) => {
      const printed = (await project.docker("logs", "--tail", "1", await findRunContainer())).match(/line (\d+)/);
      const last = Number(printed?.[1] ?? 0) + 2;
      await waitUntil(async () => (await readLines().catch((): string[] => [])).includes(`line ${last}`), {
        timeoutMs: 40_000,
        what: `line ${last} at the plane, after ${after}`,
      });
    };
    const findRunContainer = () =>
      project.docker("ps", "--quiet", "--filter", `label=${project.name}`, "--filter", "status=running");
    await waitUntil(async () => (await readLines()).length > 0, { timeoutMs: 40_000, what: "the first line" });

    for (const service of ["worker", "relay", "plane"]) {
      await project.compose("kill", "--signal", "KILL", service);
      await project.compose("up", "--detach", "--no-deps", service);
      await waitForMoreLines(`SIGKILL of ${service}`);
    }
    await project.docker("exec", await findRunContainer(), "touch", "/tmp/open");
    await waitUntil(async () => (await client.flowRuns.get(run.id)).end_time !== null, {
      timeoutMs: 40_000,
      what: "the end of the run",
    });
    const isExited = async () => (await client.timelines.find(run.id))?.entries.at(-1)?.phase === "exited";
    await waitUntil(isExited, { timeoutMs: 20_000, what: "the end of its container in the timeline" });

    const ended = await client.flowRuns.get(run.id);
    assert.equal(ended.state_type, "COMPLETED", ended.state?.message ?? "");
    const lines = await readLines();
    const count = lines.length - 1;
    assert.deepEqual(lines.toSorted(compareNumbers), [
      ...Array.from({ length: count }, (_, number) => `line ${number}`),
      `printed ${count}`,
    ]);
  });

  test("each service says that it is well, the worker tells its metrics, and docs/running.md's backup holds the runs", async () => {
    await project.compose("up", "--detach", "--wait");

    assert.match(await cli(project.folder, "worker", "ls"), /docker\/compose\s+ONLINE/);
    const ask = "fetch('http://127.0.0.1:8080/metrics').then((answer) => answer.text()).then(console.log)";
    const metrics = await project.compose("exec", "--no-TTY", "worker", "node", "--eval", ask);
    assert.match(metrics, /flowyard_worker_claims_total\{how="adopted",[^}]*worker_name="compose"[^}]*\} 1/);
    assert.match(metrics, /flowyard_worker_spool_bytes\{[^}]*\} \d+/);
    const dump = ["pg_dump", "--username", "flowyard", "--format", "custom", "flowyard"];
    const restored = `${dump.join(" ")} | pg_restore --data-only --table flow_runs --file -`;
    const rows = await project.compose("exec", "--no-TTY", "postgres", "sh", "-c", restored);
    assert.match(rows, /COMPLETED/);
  });

  test("compose.yaml ends in order and leaves nothing", async () => {
    await project.compose("stop");
    for (const service of ["worker", "relay", "plane"]) {
      const { ExitCode } = await inspectState(`${project.name}-${service}-1`);
      assert.equal(ExitCode, 0, `${service}: ${(await project.compose("logs", "--tail", "20", service)).slice(-2000)}`);
    }
    await project.compose("down", "--volumes");

    assert.deepEqual(await project.listParts(), []);
  });
});

/** `line 2` before `line 10`; `printed …` after them. */
function compareNumbers(one: string, other: string): number {
  const [oneWord = "", oneNumber] = one.split(" ");
  const [otherWord = "", otherNumber] = other.split(" ");
  return oneWord.localeCompare(otherWord) || Number(oneNumber) - Number(otherNumber);
}
