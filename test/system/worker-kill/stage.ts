import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine } from "../../../scripts/setup/machine.ts";
import { createPrefectClient, type PrefectClient } from "../../../src/client/prefect-client.ts";
import type { ReceivedFlowRun } from "../../../src/prefect-api/flow-runs.ts";
import type { JsonObject } from "../../../src/prefect-api/primitives.ts";
import { isTerminal } from "../../../src/prefect-api/states.ts";
import { findRegistration } from "../../../worker/relay/registration.ts";
import { TestProcess } from "../../support/child-process.ts";
import { flowyard, type PlaneProcess, plainEnvironment, startPlane } from "../../support/plane-process.ts";
import { waitUntil } from "../../support/wait-until.ts";

/** Speaks to the plane as an engine does, but starts in a tenth of a second: so that many can run on a small machine. */
const ENGINE = `import base64, json, os, sys, time, urllib.request
from pathlib import Path

url = os.environ["PREFECT_API_URL"] + "/flow_runs/" + os.environ["PREFECT__FLOW_RUN_ID"] + "/set_state"

auth = base64.b64encode(os.environ.get("PREFECT_API_AUTH_STRING", "").encode()).decode()
headers = {"Content-Type": "application/json", "Authorization": "Basic " + auth}

def report(kind):
    body = json.dumps({"state": {"type": kind}}).encode()
    for _ in range(300):
        try:
            request = urllib.request.Request(url, body, headers)
            return urllib.request.urlopen(request, timeout=10).read()
        except OSError:
            time.sleep(0.2)

lines, gate, end = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
report("RUNNING")
for number in range(lines):
    stream = sys.stderr if number % 3 == 2 else sys.stdout
    print(f"line {number}", file=stream, flush=True)
    time.sleep(0.01)
while not gate.exists():
    time.sleep(0.05)
print("the end", flush=True)
if end in ("COMPLETED", "FAILED"):
    report(end)
else:
    os._exit(int(end))
`;

const MAX_PLANE_CHARACTERS = 5000;

export type PlaceType = "docker" | "process";

/** One plane and one pool for runs of the small engine; workers are started and killed by the test. */
export class Stage {
  readonly plane: PlaneProcess;
  readonly client: PrefectClient;
  /** The engine and its gates; containers see it at the same path. */
  readonly folder: string;
  readonly label: string;
  readonly #type: PlaceType;
  readonly #environment: Record<string, string>;
  /** What each job of the pool needs. */
  readonly jobVariables: JsonObject;
  readonly #workers: TestProcess[] = [];
  /** What workers are launched through: a command and its arguments, as to enter a namespace. */
  through: readonly string[] = [];
  #flowId = "";

  private constructor(plane: PlaneProcess, folder: string, type: PlaceType, machine: Machine) {
    this.plane = plane;
    this.client = createPrefectClient({ apiUrl: plane.apiUrl });
    this.folder = folder;
    this.label = `flowyard-test-${randomUUID().slice(0, 8)}`;
    this.#type = type;
    this.#environment = {
      ...(machine.docker.available ? { DOCKER_HOST: machine.docker.host } : {}),
      PREFECT_API_URL: plane.apiUrl,
      FLOWYARD_HOME: folder,
    };
    this.jobVariables =
      type === "process"
        ? {}
        : {
            image: machine.baseImage.available ? machine.baseImage.tag : "",
            image_pull_policy: "Never",
            volumes: [`${folder}:${folder}`],
            labels: { [this.label]: "" },
          };
  }

  static async open(type: PlaceType, machine: Machine, planeEnvironment: Record<string, string> = {}): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), "flowyard-kill-"));
    const stage = new Stage(await startPlane(planeEnvironment), folder, type, machine);
    await writeFile(join(folder, "engine.py"), ENGINE);
    await stage.client.workPools.create({ name: type, type });
    stage.#flowId = (await stage.client.flows.create({ name: "small" })).id;
    return stage;
  }

  /** Does not wait until it works. */
  launchWorker(environment: Record<string, string> = {}, ...flags: string[]): TestProcess {
    const [program = flowyard, ...args] = [
      ...this.through,
      flowyard,
      "worker",
      "start",
      "--pool",
      this.#type,
      ...flags,
    ];
    const worker = new TestProcess(program, args, {
      cwd: this.folder,
      env: plainEnvironment(this.folder, { ...this.#environment, ...environment }),
    });
    this.#workers.push(worker);
    return worker;
  }

  async startWorker(environment: Record<string, string> = {}, ...flags: string[]): Promise<TestProcess> {
    const worker = this.launchWorker(environment, ...flags);
    await worker.waitForOutput(/Worker started/, 20_000);
    return worker;
  }

  /** The relay that a worker started, which outlives it. False when there is none that lives. */
  async killRelay(): Promise<boolean> {
    const relay = await findRegistration(join(this.folder, "relay"));
    if (relay?.isAlive === true) {
      process.kill(relay.pid, "SIGKILL");
    }
    return relay?.isAlive === true;
  }

  async createRun({ lines = 1, gate = "gate", end = "COMPLETED", variables = {} as JsonObject } = {}): Promise<string> {
    const { value } = await this.client.flowRuns.create({
      flow_id: this.#flowId,
      work_pool_name: this.#type,
      state: { type: "SCHEDULED" },
      job_variables: {
        ...this.jobVariables,
        command: `python3 ${join(this.folder, "engine.py")} ${lines} ${join(this.folder, gate)} ${end}`,
        ...variables,
      },
    });
    return value.id;
  }

  openGate(gate = "gate"): Promise<void> {
    return writeFile(join(this.folder, gate), "");
  }

  async waitForState(id: string, type: string, timeoutMs = 30_000): Promise<ReceivedFlowRun> {
    let run = await this.client.flowRuns.get(id);
    const evidence = () => `${JSON.stringify(run.state)}\n${this.tellAll()}`;
    await waitUntil(
      async () => {
        run = await this.client.flowRuns.get(id);
        const isOver = run.state != null && isTerminal(run.state.type);
        assert.ok(run.state_type === type || !isOver, `${id} ended otherwise than ${type}:\n${evidence()}`);
        return run.state_type === type;
      },
      {
        timeoutMs,
        what: `${type} of ${id}`,
        evidence,
      },
    );
    return run;
  }

  /** The stored output of a run, in the order in which it is shown. */
  async listOutput(id: string): Promise<string[]> {
    const logs = await this.client.logs.list({ logs: { flow_run_id: { any_: [id] } } });
    return logs.filter(({ name }) => name.startsWith("flowyard.")).map(({ message }) => message);
  }

  /** Engines of this stage that run, in containers or not, and the shells that wait for them. */
  async listEngines(): Promise<{ pid: number; command: string }[]> {
    const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const all = await Promise.all(
      names.map(async (name) => ({
        pid: Number(name),
        command: (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " "),
      })),
    );
    return all.filter(({ command }) => command.includes(`${this.folder}/`) && command.includes(".py "));
  }

  /** What everybody here has said, for a wait that was in vain. */
  tellAll(): string {
    return [
      ...this.#workers.map(({ output }, index) => `worker ${index + 1}:\n${output}`),
      `relay:\n${readRelayLog(this.folder)}`,
      `plane:\n${this.plane.process.output.slice(-MAX_PLANE_CHARACTERS)}`,
    ].join("\n---\n");
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) {
      worker.child.kill("SIGKILL");
      await worker.finish(5000);
    }
    for (const { pid } of await this.listEngines()) {
      endProcess(pid);
    }
    await this.killRelay();
    await this.plane[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function readRelayLog(folder: string): string {
  try {
    return readFileSync(join(folder, "relay", "relay.log"), "utf8");
  } catch {
    return "there is none";
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended since it was listed.
  }
}

export function missingPart(...parts: Machine[keyof Machine][]): string | false {
  const part = parts.find((candidate) => !candidate.available);
  return part !== undefined && !part.available ? part.reason : false;
}
