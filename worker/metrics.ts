import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { ExitReason } from "./runs/run-phases.ts";

/** A container is up within half a second; a large image takes minutes. */
const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600];

export type StartPhase = "pulled" | "created" | "started" | "first_log";

/** What this worker has done since it started. Names never change, they are only added to. */
export interface WorkerMetrics {
  noteTaken(how: "claimed" | "adopted"): void;
  /** A step on the way to the first line of a run, and how long after the step before it. */
  noteStartPhase(phase: StartPhase, seconds: number): void;
  noteExit(reason: ExitReason): void;
  /** A run is not in hand any more. */
  noteGone(): void;
  /** A look for runs, or a sign of life, and whether the plane answered. */
  notePlaneRequest(succeeded: boolean): void;
  /** In Prometheus' text format. */
  render(): Promise<{ contentType: string; text: string }>;
}

interface MetricsOptions {
  workerName: string;
  pool: string;
  version: string;
  /** Where the relay of this machine keeps what the plane has not taken yet. */
  relayFolder: string;
}

export function createWorkerMetrics({ workerName, pool, version, relayFolder }: MetricsOptions): WorkerMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ worker_name: workerName, work_pool_name: pool });
  const registers = [registry];
  let hasProcessMetrics = false;
  const taken = new Counter({
    name: "flowyard_worker_claims_total",
    help: "Runs taken from the plane (claimed), or from a worker that is gone (adopted).",
    labelNames: ["how"],
    registers,
  });
  const inHand = new Gauge({ name: "flowyard_worker_runs_in_hand", help: "Runs that it looks after.", registers });
  const startPhases = new Histogram({
    name: "flowyard_worker_start_seconds",
    help: "From one step of a start to the next: claimed, pulled, created, started, first_log; labelled by where it ends.",
    labelNames: ["phase"],
    buckets: BUCKETS,
    registers,
  });
  const exits = new Counter({
    name: "flowyard_worker_exits_total",
    help: "Runs whose container or process ended, or that were never started, by reason.",
    labelNames: ["reason"],
    registers,
  });
  const requests = new Counter({
    name: "flowyard_worker_plane_requests_total",
    help: "Looks for runs and signs of life, by outcome.",
    labelNames: ["outcome"],
    registers,
  });
  new Gauge({
    name: "flowyard_worker_spool_bytes",
    help: "On disk, of what containers said and the plane has not taken yet.",
    registers,
    async collect() {
      this.set(await measureSpool(join(relayFolder, "spool")));
    },
  });
  new Gauge({ name: "flowyard_worker_info", help: "Always 1.", labelNames: ["version"], registers }).set(
    { version },
    1,
  );
  return {
    noteTaken: (how) => {
      taken.inc({ how });
      inHand.inc();
    },
    noteStartPhase: (phase, seconds) => startPhases.observe({ phase }, seconds),
    noteExit: (reason) => exits.inc({ reason }),
    noteGone: () => inHand.dec(),
    notePlaneRequest: (succeeded) => requests.inc({ outcome: succeeded ? "answered" : "failed" }),
    render: async () => {
      if (!hasProcessMetrics) {
        hasProcessMetrics = true; // they watch the process, so they are only made for who asks
        collectDefaultMetrics({ register: registry });
      }
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

/** What is behind the relay's cursor; 0 where there is no relay. */
async function measureSpool(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const cursor = await readFile(join(folder, "cursor"), "utf8").catch(() => "");
  const [, segment = "0", offset = "0"] = /^(\d+) (\d+)$/.exec(cursor) ?? [];
  let bytes = -Number(offset);
  for (const name of names) {
    const [, number] = /^(\d+)\.lines$/.exec(name) ?? [];
    if (number !== undefined && Number(number) >= Number(segment)) {
      bytes += await stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0, // removed meanwhile
      );
    }
  }
  return Math.max(0, bytes);
}
