import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { runCommand } from "../../../scripts/setup/run-command.ts";
import type { StateType } from "../../../src/prefect-api/states.ts";
import { type ChaosStage, type DeploymentName, type Expected, keepAsking, type Witnessed } from "./chaos-stage.ts";

/** What must all be 0, but for the first. */
export interface Counters {
  "ended as they would have": number;
  "ended otherwise": number;
  doubled: number;
  stuck: number;
  "over a limit": number;
  "slots held": number;
  "containers left": number;
  "processes left": number;
  "notes left": number;
  "lines missing": number;
  "lines doubled": number;
  /** Bytes that it has not sent; 1 when it does not answer. */
  "left with the relay": number;
}

const States = z.array(z.object({ type: z.string(), name: z.string(), message: z.string().nullable() }));
const Limit = z.object({ global_concurrency_limit: z.object({ active_slots: z.number() }).nullish() });

const OPEN: StateType[] = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"];
const FINAL = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"];
const EXPECTED_STATES: Record<string, string> = { COMPLETED: "COMPLETED", FAILED: "FAILED" };
const SETTLE_MS = 120_000;
/** Output and notes are dealt with after the state is there. */
const TIDY_MS = 40_000;
/** What workers left with the relay while the plane was away; a request into silence is given up after a minute. */
const DELIVER_MS = 90_000;

/** Waits, within bounds, until everything is settled, and counts what is not as it should be. */
export async function takeStock(chaos: ChaosStage): Promise<{ counters: Counters; complaints: string[] }> {
  const complaints: string[] = [];
  await settle(async () => (await countOpen(chaos)) === 0, SETTLE_MS);
  await settle(async () => (await findLeft(chaos)).every((left) => left.length === 0), TIDY_MS);
  await settle(async () => (await countWaitingBytes(chaos)) === 0, DELIVER_MS);
  const waitingBytes = await countWaitingBytes(chaos);
  const witnessed = await chaos.readWitness();
  const counters: Counters = {
    "ended as they would have": 0,
    "ended otherwise": 0,
    doubled: 0,
    stuck: 0,
    "over a limit": countOverLimits(witnessed, complaints),
    "slots held": await countSlots(chaos),
    "containers left": 0,
    "processes left": 0,
    "notes left": 0,
    "lines missing": 0,
    "lines doubled": 0,
    "left with the relay": waitingBytes ?? 1,
  };
  for (const run of chaos.runs) {
    await countRun(chaos, run, { witnessed, counters, complaints });
  }
  const [containers, processes, notes] = await findLeft(chaos);
  counters["containers left"] = containers.length;
  counters["processes left"] = processes.length;
  counters["notes left"] = notes.length;
  complaints.push(...[...containers, ...processes, ...notes].map((left) => `left: ${left}`));
  if (waitingBytes !== 0) {
    complaints.push(`the relay ${waitingBytes === undefined ? "does not answer" : `keeps ${waitingBytes} bytes`}`);
  }
  return { counters, complaints };
}

const RELAY_ANSWER_SECONDS = 3;
const Relay = z.object({ port: z.number() });
const Health = z.object({ waiting_bytes: z.number() });

/** What the relay has not sent yet; none without a relay that answers, which is asked again. */
async function countWaitingBytes({ stage }: ChaosStage): Promise<number | undefined> {
  try {
    const { port } = Relay.parse(JSON.parse(await readFile(join(stage.folder, "relay", "relay.json"), "utf8")));
    const [program = "curl", ...args] = [
      ...stage.through,
      "curl",
      "--silent",
      "--max-time",
      String(RELAY_ANSWER_SECONDS),
    ];
    const { stdout } = await runCommand(program, [...args, `http://127.0.0.1:${port}/relay/health`]);
    return Health.parse(JSON.parse(stdout)).waiting_bytes;
  } catch {
    return undefined;
  }
}

async function settle(isDone: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const endAt = Date.now() + timeoutMs;
  while (Date.now() < endAt && !(await isDone())) {
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

/** Runs that have not ended. */
export async function countOpen({ stage }: ChaosStage): Promise<number> {
  return (await stage.client.flowRuns.list({ flow_runs: { state: { type: { any_: OPEN } } } })).length;
}

async function countRun(
  chaos: ChaosStage,
  run: Expected,
  { witnessed, counters, complaints }: { witnessed: Witnessed[]; counters: Counters; complaints: string[] },
): Promise<void> {
  const answer = await fetch(`${chaos.stage.plane.apiUrl}/flow_run_states?flow_run_id=${run.id}`);
  const states = States.parse(await answer.json());
  const shown = `${run.id} (${run.end}): ${states.map(({ name, message }) => `${name} "${message ?? ""}"`).join(" > ")}`;
  const last = states.at(-1);
  if (!FINAL.includes(last?.type ?? "")) {
    counters.stuck += 1;
    complaints.push(`stuck: ${shown}`);
    return;
  }
  const begins = witnessed.filter(({ run: id, what }) => id === run.id && what === "begin").length;
  const finals = states.filter(({ type }) => FINAL.includes(type)).length;
  const running = states.filter(({ type }) => type === "RUNNING").length;
  if (begins > 1 || running > 1 || finals > 1) {
    counters.doubled += 1;
    complaints.push(`doubled, began ${begins} times: ${shown}`);
  }
  const isRight =
    begins === 1 &&
    last?.type === (EXPECTED_STATES[run.end] ?? "CRASHED") &&
    (last.type !== "CRASHED" || last.message?.includes(`exit code ${run.end}`) === true);
  counters[isRight ? "ended as they would have" : "ended otherwise"] += 1;
  if (!isRight) {
    complaints.push(`ended otherwise, began ${begins} times: ${shown}`);
  }
  const lines = await chaos.stage.listOutput(run.id);
  const wanted = [...Array.from({ length: run.lines }, (_, number) => `line ${number}`), "the end"];
  const missing = wanted.filter((line) => !lines.includes(line));
  const doubled = lines.length - new Set(lines).size;
  counters["lines missing"] += missing.length;
  counters["lines doubled"] += doubled;
  if (missing.length > 0 || doubled > 0) {
    complaints.push(
      `${missing.length} of ${wanted.length} lines missing (${summarize(missing)}), ${doubled} doubled: ${shown}`,
    );
  }
}

function summarize(lines: readonly string[]): string {
  return lines.length < 4 ? lines.join(", ") : `${lines[0]} … ${lines.at(-1)}`;
}

/** How many flows were at work at the same moment beyond what pool or deployment allow. */
function countOverLimits(witnessed: readonly Witnessed[], complaints: string[]): number {
  let over = 0;
  for (const [name, limit] of Object.entries(LIMITS)) {
    const mine = witnessed.filter(({ deployment }) => name === "pool" || deployment === name);
    const most = countMostAtOnce(mine);
    if (most > limit) {
      complaints.push(`${most} at once in ${name}, which has a limit of ${limit}`);
      over += most - limit;
    }
  }
  return over;
}

const LIMITS: Record<"pool" | Extract<DeploymentName, "narrow">, number> = { pool: 6, narrow: 2 };

export function countMostAtOnce(witnessed: readonly Witnessed[]): number {
  let now = 0;
  let most = 0;
  const moves = witnessed
    .filter(({ what }) => what === "begin" || what === "end")
    .toSorted((a, b) => a.at - b.at || Number(a.what === "begin") - Number(b.what === "begin"));
  for (const { what } of moves) {
    now += what === "begin" ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

async function countSlots({ stage }: ChaosStage): Promise<number> {
  const deployments = await keepAsking(() => stage.client.deployments.list());
  let held = 0;
  for (const { id } of deployments) {
    const answer = await fetch(`${stage.plane.apiUrl}/deployments/${id}`);
    held += Limit.parse(await answer.json()).global_concurrency_limit?.active_slots ?? 0;
  }
  return held;
}

/** Containers, processes, and what a worker's next start would have to deal with. */
async function findLeft(chaos: ChaosStage): Promise<[string[], string[], string[]]> {
  const home = join(chaos.stage.folder, "worker");
  const list = async (folder: string) =>
    (await readdir(join(home, folder)).catch(() => [])).map((name) => `${folder}/${name}`);
  const engines = await chaos.stage.listEngines();
  const notes = await Promise.all(["claims"].map(list));
  return [await chaos.listContainers(), engines.map(({ command }) => command), notes.flat()];
}
