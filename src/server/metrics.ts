import type { FastifyReply, FastifyRequest } from "fastify";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import packageJson from "../../package.json" with { type: "json" };
import { secondsBetween, timestampFromDate } from "../prefect-api/timestamp.ts";
import type { AppDeps } from "./app-deps.ts";

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const MS = 1000;
/** States in which runs wait or work; those that ended are only history. */
const COUNTED_STATES = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"] as const;
/** Counting further would read more than a scrape is worth. */
const MAX_COUNTED_RUNS = 10_000;
/** Waits for work by design. */
const LONG_POLL = /\/claim$/;

/** What this plane process has done since it started, for Prometheus. Names never change, they are only added to. */
export class PlaneMetrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<"method" | "status">;
  readonly #seconds: Histogram<"method">;
  readonly #deps: Pick<AppDeps, "store" | "clock" | "loops" | "bus">;
  #hasProcessMetrics = false;

  constructor(deps: Pick<AppDeps, "store" | "clock" | "loops" | "bus">) {
    this.#deps = deps;
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: "flowyard_plane_requests_total",
      help: "Requests that were answered, by class of status.",
      labelNames: ["method", "status"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "flowyard_plane_request_seconds",
      help: "How long answers took; waits for work are left out.",
      labelNames: ["method"],
      buckets: BUCKETS,
      registers,
    });
    this.#addGauges();
  }

  /** Hook of every answer. Paths are no label: they have ids in them. */
  note(request: FastifyRequest, reply: FastifyReply): void {
    const { method } = request;
    this.#requests.inc({ method, status: `${Math.floor(reply.statusCode / 100)}xx` });
    if (!LONG_POLL.test(request.routeOptions.url ?? "")) {
      this.#seconds.observe({ method }, reply.elapsedTime / MS);
    }
  }

  async render(): Promise<{ contentType: string; text: string }> {
    if (!this.#hasProcessMetrics) {
      this.#hasProcessMetrics = true; // they watch the process, so they are only made for who asks
      collectDefaultMetrics({ register: this.#registry });
    }
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #addGauges(): void {
    const { store, clock, loops, bus } = this.#deps;
    const registers = [this.#registry];
    new Gauge({ name: "flowyard_plane_info", help: "Always 1.", labelNames: ["version"], registers }).set(
      { version: packageJson.version },
      1,
    );
    new Counter({
      name: "flowyard_plane_transitions_total",
      help: "Accepted state changes of flow runs by this plane, by the type of the new state.",
      labelNames: ["to"],
      registers,
      collect() {
        this.reset();
        for (const [to, count] of bus.transitions) {
          this.inc({ to }, count);
        }
      },
    });
    new Gauge({
      name: "flowyard_plane_loop_lag_seconds",
      help: "Since the last tick of a loop that did its work.",
      labelNames: ["loop"],
      registers,
      collect() {
        const now = timestampFromDate(clock.now());
        for (const { name, last_success_at } of loops?.listStatuses() ?? []) {
          if (last_success_at !== null) {
            this.set({ loop: name }, Math.max(0, secondsBetween(last_success_at, now)));
          }
        }
      },
    });
    new Gauge({
      name: "flowyard_plane_loop_failures",
      help: "Failed ticks of a loop in a row.",
      labelNames: ["loop"],
      registers,
      collect() {
        for (const { name, consecutive_failures } of loops?.listStatuses() ?? []) {
          this.set({ loop: name }, consecutive_failures);
        }
      },
    });
    new Gauge({
      name: "flowyard_plane_flow_runs",
      help: `Flow runs of the database that have not ended, by state; ${MAX_COUNTED_RUNS} stands for as many or more.`,
      labelNames: ["state_type"],
      registers,
      async collect() {
        for (const state_type of COUNTED_STATES) {
          this.set({ state_type }, await store.situations.countRuns(state_type, MAX_COUNTED_RUNS));
        }
      },
    });
  }
}
