import { parseArgs } from "node:util";
import { z } from "zod";
import { loadMachine } from "../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../src/docker/containers.ts";
import { findEngine } from "../src/docker/engine.ts";
import { readEngineSettings } from "../src/docker/engine-address.ts";
import type { TestProcess } from "../test/support/child-process.ts";
import { type PlaceType, Stage } from "../test/system/worker-kill/stage.ts";
import { formatTable, type Row } from "./report.ts";

// From the start of a worker, whose predecessor was killed with SIGKILL under runs that print, to the first line that
// they had printed since then and that can be read from the plane; and to one of each run.

const RUNS = 5;
/** A line every 10 ms: more than a worker's lives take. */
const LINES = 60_000;
const PAUSE_MS = 1000;
const LOOK_MS = 5;

const { values } = parseArgs({ options: { rounds: { type: "string", default: "10" } } });
const rounds = Number(values.rounds);
const machine = await loadMachine();
const Lines = z.array(z.object({ message: z.string() }));

async function findLastLine(stage: Stage, id: string): Promise<number> {
  const answer = await fetch(`${stage.plane.apiUrl}/logs/filter`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ logs: { flow_run_id: { any_: [id] } }, sort: "TIMESTAMP_DESC", limit: 3 }),
  });
  const numbers = Lines.parse(await answer.json()).map(({ message }) => Number(message.replace("line ", "")));
  return Math.max(-1, ...numbers.filter((number) => !Number.isNaN(number)));
}

async function waitFor(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function recover(stage: Stage, worker: TestProcess, ids: readonly string[]) {
  worker.child.kill("SIGKILL");
  await worker.finish(5000);
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  const before = new Map<string, number>();
  for (const id of ids) {
    before.set(id, await findLastLine(stage, id));
  }
  const startedAt = performance.now();
  const next = stage.launchWorker();
  const waiting = new Set(ids);
  let firstMs = Number.NaN;
  await waitFor(async () => {
    for (const id of waiting) {
      if ((await findLastLine(stage, id)) > (before.get(id) ?? -1)) {
        waiting.delete(id);
        firstMs = Number.isNaN(firstMs) ? performance.now() - startedAt : firstMs;
      }
    }
    return waiting.size === 0;
  });
  return { worker: next, firstMs, allMs: performance.now() - startedAt };
}

async function measure(type: PlaceType): Promise<Row[]> {
  const stage = await Stage.open(type, machine);
  try {
    let worker = await stage.startWorker();
    const ids: string[] = [];
    for (let index = 0; index < RUNS; index += 1) {
      ids.push(await stage.createRun({ lines: LINES, gate: "never" }));
    }
    await waitFor(async () => (await Promise.all(ids.map((id) => findLastLine(stage, id)))).every((line) => line > 0));
    const first: number[] = [];
    const all: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const recovered = await recover(stage, worker, ids);
      worker = recovered.worker;
      first.push(recovered.firstMs);
      all.push(recovered.allMs);
    }
    return [
      { name: `${type}: to the first adopted line`, ...describe(first), goal: "<= 3000 ms" },
      { name: `${type}: to a line of each of ${RUNS} runs`, ...describe(all), goal: "" },
    ];
  } finally {
    await clear(stage, type);
  }
}

async function clear(stage: Stage, type: PlaceType): Promise<void> {
  if (type === "docker" && machine.docker.available) {
    const engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }));
    for (const { id } of await listContainers(engine, [stage.label])) {
      await removeContainer(engine, id);
    }
  }
  await stage.close();
}

function describe(times: readonly number[]): Pick<Row, "flowyard" | "prefect" | "ratio"> {
  const sorted = times.toSorted((a, b) => a - b);
  const p50 = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return {
    flowyard: `p50 ${p50.toFixed(0)} ms, max ${(sorted.at(-1) ?? Number.NaN).toFixed(0)} ms of ${sorted.length}`,
    prefect: "–",
    ratio: "",
  };
}

const rows = [
  ...(machine.docker.available && machine.baseImage.available ? await measure("docker") : []),
  ...(await measure("process")),
];
process.stdout.write(`${formatTable(rows)}\n`);
