import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Machine } from "../../../scripts/setup/machine.ts";
import { TransientError } from "../../../src/shared/errors.ts";
import { waitUntil } from "../../support/wait-until.ts";
import type { PlaceType } from "../worker-kill/stage.ts";
import { ChaosStage, DEPLOYMENTS, NARROW_LIMIT, POOL_LIMIT } from "./chaos-stage.ts";
import { countOpen, takeStock } from "./check.ts";
import { createDraw, drawEvenly, pick } from "./draw.ts";
import { buildReport, describeVerdict } from "./evidence.ts";
import { MovedClock } from "./moved-clock.ts";
import { STRIKES, type Strike } from "./strikes.ts";

const ENDS = ["COMPLETED", "FAILED", "3", "COMPLETED"];
const MAX_OPEN_RUNS = 12;
const CREATE_MS = 250;
const MAX_QUIET_MS = 2000;
/** Now and then something is struck before it works. */
const MAX_COMING_UP_MS = 15_000;

interface ChaosOptions {
  machine: Machine;
  skip: string | false;
  moments: number;
  seed: number;
  strikes?: readonly Strike[];
}

/** A stream of runs in which everything is struck at random moments, and what must be true of all of them after it. */
export function describeChaos(
  type: PlaceType,
  { machine, skip, moments, seed, strikes = STRIKES }: ChaosOptions,
): void {
  describe(`${moments} strikes at random moments over ${type} runs (seed ${seed})`, {
    skip,
    concurrency: false,
  }, () => {
    let chaos: ChaosStage;
    let folder: string;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), "flowyard-clocks-"));
      const clocks = { plane: new MovedClock(join(folder, "plane")), workers: new MovedClock(join(folder, "workers")) };
      await Promise.all([clocks.plane.moveTo(0), clocks.workers.moveTo(0)]);
      chaos = await ChaosStage.open(type, machine, { clocks });
    });
    after(async () => {
      await chaos?.close();
      await rm(folder, { recursive: true, force: true });
    });

    test("every run ends as it would have, once, with every line once, and nothing is left or held", async () => {
      const seconds = startStopwatch();
      chaos.startWorkers();
      const struck = await strikeStream(chaos, drawEvenly(createDraw(seed), strikes, moments), seed);
      const struckFor = seconds();

      const { counters, complaints } = await takeStock(chaos);
      const all = { runs: chaos.runs.length, ...Object.fromEntries(struck), ...counters };
      const shown = Object.entries(all).map(([name, count]) => `${name} ${count}`);
      process.stdout.write(
        `  chaos of ${type} runs, seed ${seed}, ${struckFor} s and ${seconds()} s: ${shown.join(" · ")}\n`,
      );
      const verdict = describeVerdict(counters, chaos.runs.length);
      assert.ok(verdict === "", await buildReport(chaos, `${type} runs, seed ${seed}: ${verdict}`, complaints));
    });

    test("all slots can be taken afterwards", async () => {
      const gate = join(chaos.stage.folder, "gate");
      const before = new Set((await chaos.readWitness()).map(({ run }) => run));
      const all = Array.from({ length: POOL_LIMIT + 2 }, (_, index) => (index < NARROW_LIMIT ? "narrow" : "free"));
      for (const deployment of all) {
        const run = {
          deployment: deployment === "narrow" ? DEPLOYMENTS[1] : DEPLOYMENTS[0],
          lines: 1,
          end: "COMPLETED",
        };
        await chaos.createRun(run, { seconds: 0, gate });
      }

      await waitUntil(
        async () => (await chaos.readWitness()).filter(({ run }) => !before.has(run)).length === POOL_LIMIT,
        { timeoutMs: 40_000, what: `${POOL_LIMIT} runs at once`, evidence: () => describeWorkers(chaos) },
      );
      await chaos.stage.openGate();
      await waitUntil(async () => (await countOpen(chaos)) === 0, { timeoutMs: 60_000, what: "their end" });
    });
  });
}

/** How often each kind struck something. However it ends, no more runs are made then. */
async function strikeStream(chaos: ChaosStage, strikes: readonly Strike[], seed: number): Promise<Map<Strike, number>> {
  const draw = createDraw(seed + 2_000_000);
  const struck = new Map<Strike, number>();
  const streaming = new AbortController();
  const stream = createRuns(chaos, createDraw(seed + 1_000_000), streaming.signal);
  try {
    await waitUntil(async () => (await chaos.readWitness()).length > 0, {
      timeoutMs: 60_000,
      what: "a first run",
      evidence: () => describeWorkers(chaos),
    });
    for (const what of strikes) {
      await letWork(chaos);
      await new Promise((resolve) => setTimeout(resolve, draw() * MAX_QUIET_MS));
      if (await chaos.strike(what, draw)) {
        struck.set(what, (struck.get(what) ?? 0) + 1);
      }
    }
    streaming.abort();
    await stream;
    return struck;
  } finally {
    streaming.abort();
    await stream.catch(() => undefined); // what failed first is told
  }
}

/** Until a flow has begun since the last strike: what is still coming up has little to lose. */
async function letWork(chaos: ChaosStage): Promise<void> {
  const before = (await chaos.readWitness()).length;
  const endAt = Date.now() + MAX_COMING_UP_MS;
  while (Date.now() < endAt && (await chaos.readWitness()).length === before) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function startStopwatch(): () => number {
  let from = performance.now();
  return () => {
    const seconds = Math.round((performance.now() - from) / 1000);
    from = performance.now();
    return seconds;
  };
}

/** As many as keep the pool busy, created whatever is away. */
async function createRuns(chaos: ChaosStage, draw: () => number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const open = await countOpen(chaos).catch((error: unknown) => {
      if (error instanceof TransientError) {
        return MAX_OPEN_RUNS;
      }
      throw error;
    });
    if (open < MAX_OPEN_RUNS) {
      const lines = 3 + Math.floor(draw() * 20);
      await chaos.createRun(
        { deployment: pick(draw, DEPLOYMENTS), lines, end: pick(draw, ENDS) },
        { seconds: draw() * 3 },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, CREATE_MS));
  }
}

function describeWorkers({ workers, stage }: ChaosStage): string {
  const outputs = [...workers.map((worker) => worker.log), stage.plane.process.output];
  return outputs.map((output) => output.slice(-3000)).join("\n----\n");
}
