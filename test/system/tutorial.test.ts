import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { z } from "zod";
import { loadMachine, type Machine } from "../../scripts/setup/machine.ts";
import { type Finished, runToEnd, TestProcess } from "../support/child-process.ts";
import { flowyard, type PlaneProcess, plainEnvironment, startPlane } from "../support/plane-process.ts";
import { waitUntil } from "../support/wait-until.ts";

const run = promisify(execFile);
const machine = await loadMachine();
const POOL = "my-docker-pool";

/** Who plays a part of the tutorial: our program or one of Prefect's. */
type Player = "flowyard" | "prefect" | "oldest prefect";

const combinations: { cli: Player; worker: Player }[] = [
  { cli: "flowyard", worker: "flowyard" },
  { cli: "flowyard", worker: "prefect" },
  { cli: "prefect", worker: "flowyard" },
  { cli: "prefect", worker: "prefect" },
  { cli: "oldest prefect", worker: "flowyard" },
];

const missing = missingPart(machine);

function missingPart({ docker, baseImage, prefect, oldestPrefect }: Machine): string | false {
  const part = [docker, baseImage, prefect, oldestPrefect].find(({ available }) => !available);
  return part !== undefined && !part.available ? part.reason : false;
}

const WorkPool = z.object({ status: z.string(), default_queue_id: z.string() });
const QueueStatus = z.object({ healthy: z.boolean() });
const Deployment = z.object({ id: z.string() });
const FlowRuns = z.array(z.object({ id: z.string(), state_type: z.string(), state_name: z.string() }));
const Logs = z.array(z.object({ message: z.string() }));
const TaskRuns = z.array(z.object({ state_type: z.string() }));

for (const { cli, worker } of combinations) {
  describe(`the tutorial with the ${cli} CLI and the ${worker} worker`, { skip: missing }, () => {
    let plane: PlaneProcess;
    let project: string;
    let image: string;
    let dockerHost = "";
    let workerProcess: TestProcess | undefined;

    before(async () => {
      plane = await startPlane();
      project = join(await mkdtemp(join(tmpdir(), "flowyard-tutorial-")), "tutorial");
      await cp(join(import.meta.dirname, "..", "fixtures", "tutorial"), project, { recursive: true });
      image = `docker-user/${basename(join(project, "..")).toLowerCase()}`;
      const file = join(project, "prefect.yaml");
      let yaml = (await readFile(file, "utf8")).replace("docker-user/IMAGE_NAME", image);
      if (cli === "oldest prefect") {
        // `auto` would start from the image of its own version; the engine in the container is the current one.
        yaml = yaml.replace("dockerfile: auto", "dockerfile: Dockerfile");
        await writeFile(join(project, "Dockerfile"), buildDockerfile());
      }
      await writeFile(file, yaml);
      dockerHost = machine.docker.available ? machine.docker.host : "";
    });

    after(async () => {
      await workerProcess?.stop(30_000);
      await docker(["image", "rm", "--force", `${image}:latest`]).catch(() => undefined);
      await plane[Symbol.asyncDispose]();
      await rm(join(project, ".."), { recursive: true, force: true });
    });

    function buildDockerfile(): string {
      assert.ok(machine.baseImage.available);
      return `FROM ${machine.baseImage.tag}\nCOPY . /opt/prefect/tutorial\nWORKDIR /opt/prefect/tutorial\n`;
    }

    function environment(): Record<string, string> {
      return plainEnvironment(plane.folder, {
        PREFECT_API_URL: plane.apiUrl,
        PREFECT_HOME: join(plane.folder, "prefect"),
        PREFECT_WORKER_QUERY_SECONDS: "2",
        PREFECT_SERVER_ANALYTICS_ENABLED: "false",
        DOCKER_HOST: dockerHost,
        COLUMNS: "200",
      });
    }

    function program(player: Player): string {
      if (player === "flowyard") {
        return flowyard;
      }
      const part = player === "prefect" ? machine.prefect : machine.oldestPrefect;
      assert.ok(part.available);
      return part.prefect;
    }

    function command(...args: string[]): Promise<Finished> {
      return runToEnd(program(cli), args, { cwd: project, env: environment(), timeoutMs: 180_000 });
    }

    async function succeed(...args: string[]): Promise<Finished> {
      const finished = await command(...args);
      assert.equal(finished.code, 0, `${args.join(" ")}\n${finished.stdout}\n${finished.stderr}`);
      return finished;
    }

    async function docker(args: string[]): Promise<string> {
      return (await run("docker", args, { env: plainEnvironment(plane.folder, { DOCKER_HOST: dockerHost }) })).stdout;
    }

    async function ask<T extends z.ZodType>(schema: T, path: string, body?: unknown): Promise<z.infer<T>> {
      const answer = await fetch(`${plane.apiUrl}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      assert.equal(answer.status, 200, `${path} answered ${answer.status}`);
      return schema.parse(await answer.json());
    }

    const findRuns = (deploymentId: string) =>
      ask(FlowRuns, "/flow_runs/filter", { flow_runs: { deployment_id: { any_: [deploymentId] } } });

    const evidence = () => `${workerProcess?.output ?? ""}\n--- plane ---\n${plane.process.output.slice(-4000)}`;

    test("a Docker work pool is created and listed", async () => {
      await succeed("work-pool", "create", "--type", "docker", POOL);
      const listed = await succeed("work-pool", "ls");

      assert.match(listed.stdout, /my-docker-pool/);
    });

    test("a started worker makes the pool ready and its queue healthy", async () => {
      workerProcess = new TestProcess(program(worker), ["worker", "start", "--pool", POOL], {
        cwd: plane.folder,
        env: environment(),
      });

      await waitUntil(
        async () => {
          const pool = await ask(WorkPool, `/work_pools/${POOL}`);
          const queue = await ask(QueueStatus, `/work_queues/${pool.default_queue_id}/status`);
          return pool.status === "READY" && queue.healthy;
        },
        { timeoutMs: 60_000, what: "a ready pool", evidence },
      );
    });

    test("a deployment is built and registered, and deployed again under the same id", async () => {
      await succeed("--no-prompt", "deploy", "--name", "my-deployment", "--name", "long");
      const first = await ask(Deployment, "/deployments/name/get-repo-info/my-deployment");
      await succeed("--no-prompt", "deploy", "--name", "my-deployment");
      const second = await ask(Deployment, "/deployments/name/get-repo-info/my-deployment");

      assert.equal(second.id, first.id);
    });

    test("a watched run completes in its own container, with its log lines and task runs stored", async () => {
      const watched = await succeed("deployment", "run", "get-repo-info/my-deployment", "--watch");
      const { id } = await ask(Deployment, "/deployments/name/get-repo-info/my-deployment");
      const [flowRun] = await findRuns(id);
      assert.ok(flowRun !== undefined);
      const logs = await ask(Logs, "/logs/filter", { logs: { flow_run_id: { any_: [flowRun.id] } } });
      // The engine's events of a short run come after its COMPLETED was accepted.
      let taskRuns: z.infer<typeof TaskRuns> = [];
      await waitUntil(
        async () => {
          taskRuns = await ask(TaskRuns, "/task_runs/filter", { flow_runs: { id: { any_: [flowRun.id] } } });
          return taskRuns.some(({ state_type }) => state_type === "COMPLETED");
        },
        { timeoutMs: 20_000, what: "a completed task run", evidence },
      );
      const printed = await succeed("flow-run", "logs", flowRun.id);

      assert.equal(flowRun.state_type, "COMPLETED", watched.stdout);
      assert.ok(
        logs.some(({ message }) => message === "Stars: 17"),
        JSON.stringify(logs),
      );
      assert.equal(taskRuns.length, 1);
      assert.match(`${printed.stdout}${printed.stderr}`, /Stars: 17/);
    });

    test("a cancelled run ends CANCELLED and its container is gone", async () => {
      await succeed("deployment", "run", "wait-long/long");
      const { id } = await ask(Deployment, "/deployments/name/wait-long/long");
      const stateOf = async () => (await findRuns(id))[0]?.state_type;
      await waitUntil(async () => (await stateOf()) === "RUNNING", { timeoutMs: 90_000, what: "RUNNING", evidence });
      const [flowRun] = await findRuns(id);
      assert.ok(flowRun !== undefined);

      await succeed("flow-run", "cancel", flowRun.id);

      await waitUntil(async () => (await stateOf()) === "CANCELLED", {
        timeoutMs: 90_000,
        what: "CANCELLED",
        evidence,
      });
      await waitUntil(
        async () => (await docker(["ps", "--quiet", "--filter", `label=io.prefect.flow-run-id=${flowRun.id}`])) === "",
        { timeoutMs: 60_000, what: "the container to be gone", evidence },
      );
    });
  });
}
