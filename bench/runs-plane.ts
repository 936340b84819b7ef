import { z } from "zod";
import type { FilledStore } from "./fill-runs.ts";
import { type Answer, LoadClient, type LoadResult, percentile, runLoad } from "./load.ts";
import { cpuMilliseconds, peakMegabytes, type StartedProcess } from "./processes.ts";

const CLIENTS = 8;
const Created = z.object({ id: z.string() });

interface Question {
  name: string;
  path: string;
  body: unknown;
}

/** What one plane answered to one question. */
export interface Asked {
  p50Ms: number;
  p99Ms: number;
  /** Of the plane's process, for each answer. */
  cpuMs: number;
  failed: number;
}

export interface Change {
  rate: number;
  cpuMs: number;
  serverErrors: number;
}

export function listQuestions({ poolName, deploymentId, flowName, tags }: FilledStore, now: Date): Question[] {
  const filter = (name: string, body: object, path = "/flow_runs/filter") => ({ name, path, body });
  const newest = { sort: "EXPECTED_START_TIME_DESC" };
  const latest = { sort: "START_TIME_DESC" };
  const type = (...types: string[]) => ({ state: { type: { any_: types } } });
  const tagged = (tag: string) => ({ flow_runs: { tags: { all_: [tag] } } });
  const nobody = { state: { name: { any_: ["Nobody"] } } };
  const week = new Date(now.getTime() - 7 * 86_400_000).toISOString();
  return [
    { name: "poll", path: `/work_pools/${poolName}/get_scheduled_flow_runs`, body: { limit: 20 } },
    filter("newest", newest),
    filter("latest started", latest),
    filter("in no order", {}),
    filter("last ended", { sort: "END_TIME_DESC" }),
    filter("by name", { sort: "NAME_ASC" }),
    filter("next due", { sort: "NEXT_SCHEDULED_START_TIME_ASC" }),
    filter("FAILED", { ...latest, flow_runs: type("FAILED") }),
    filter("RUNNING", { ...newest, flow_runs: type("RUNNING") }),
    filter("FAILED or CRASHED, newest", { ...newest, flow_runs: type("FAILED", "CRASHED") }),
    filter("of a deployment", { ...newest, flow_runs: { deployment_id: { any_: [deploymentId] } } }),
    filter("of a deployment, FAILED", {
      ...latest,
      flow_runs: { deployment_id: { any_: [deploymentId] }, ...type("FAILED") },
    }),
    filter("Failed or Crashed by name", { ...latest, flow_runs: { state: { name: { any_: ["Failed", "Crashed"] } } } }),
    filter("not SCHEDULED", { ...latest, flow_runs: { state: { type: { not_any_: ["SCHEDULED"] } } } }),
    filter("no subflow, FAILED", {
      ...latest,
      flow_runs: { parent_task_run_id: { is_null_: true }, ...type("FAILED") },
    }),
    filter("of a flow by name", { ...newest, flows: { name: { any_: [flowName] } } }),
    filter("with a common tag", { ...newest, ...tagged(tags.common) }),
    filter("with a rare tag", { ...newest, ...tagged(tags.rare) }),
    filter("with a tag of ten runs", { ...newest, ...tagged(tags.scarce) }),
    filter("of a week, FAILED", { ...latest, flow_runs: { start_time: { after_: week }, ...type("FAILED") } }),
    filter("offset 199,800", { ...newest, offset: 199_800 }),
    filter("page 1", { ...latest, page: 1 }, "/flow_runs/paginate"),
    filter("page 1000", { ...latest, page: 1000 }, "/flow_runs/paginate"),
    filter("flows with FAILED runs", { flow_runs: type("FAILED") }, "/flows/filter"),
    filter("flows with runs that nobody has", { flow_runs: nobody }, "/flows/filter"),
    filter("deployments with runs that nobody has", { flow_runs: nobody }, "/deployments/filter"),
    filter("count of all", {}, "/flow_runs/count"),
    filter("count of COMPLETED", { flow_runs: type("COMPLETED") }, "/flow_runs/count"),
    filter("count of a flow by name", { flows: { name: { any_: [flowName] } } }, "/flow_runs/count"),
    filter("count with a rare tag", tagged(tags.rare), "/flow_runs/count"),
    filter(
      "count of a deployment, FAILED",
      { flow_runs: { deployment_id: { any_: [deploymentId] }, ...type("FAILED") } },
      "/flow_runs/count",
    ),
    filter(
      "history of a week",
      { history_start: week, history_end: now.toISOString(), history_interval_seconds: 21_600 },
      "/flow_runs/history",
    ),
  ];
}

/** A plane over stored runs, with one client that asks and eight that change. */
export class RunsPlane {
  readonly #client: LoadClient;
  readonly #filled: FilledStore;
  readonly #server: StartedProcess;

  constructor(apiUrl: string, filled: FilledStore, server: StartedProcess) {
    this.#client = new LoadClient(apiUrl, CLIENTS);
    this.#filled = filled;
    this.#server = server;
  }

  get questions(): Question[] {
    return listQuestions(this.#filled, new Date());
  }

  /** Asked by one plane after the other, in turns. */
  static async askInTurns(planes: readonly RunsPlane[], name: string, seconds: number): Promise<Asked[]> {
    const tallies = planes.map((plane) => ({ plane, latencies: [] as number[], cpuMs: 0, failed: 0 }));
    const question = planes.map((plane) => plane.questions.find((asked) => asked.name === name));
    const before = planes.map((plane) => plane.cpuMs);
    const endAt = performance.now() + seconds * 1000;
    while (performance.now() < endAt) {
      for (const [at, tally] of tallies.entries()) {
        const startedAt = performance.now();
        const answer = await tally.plane.#send(question[at]);
        tally.latencies.push(performance.now() - startedAt);
        tally.failed += answer.status === 200 ? 0 : 1;
      }
    }
    return tallies.map(({ plane, latencies, failed }, at) => ({
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      cpuMs: (plane.cpuMs - (before[at] ?? 0)) / latencies.length,
      failed,
    }));
  }

  /** The same while somebody asks each plane for what takes long. */
  static async askBesideLongSearch(planes: readonly RunsPlane[], name: string, seconds: number): Promise<Asked[]> {
    let done = false;
    const long = { sort: "START_TIME_DESC", flow_runs: { name: { like_: "nobody is called so" } } };
    const searches = planes.map(async (plane) => {
      while (!done) {
        await plane.#client.send("POST", "/flow_runs/filter", long);
      }
    });
    const asked = await RunsPlane.askInTurns(planes, name, seconds);
    done = true;
    await Promise.all(searches);
    return asked;
  }

  #send(question: Question | undefined): Promise<Answer> {
    if (question === undefined) {
      throw new Error("there is no such question");
    }
    return this.#client.send("POST", question.path, question.body);
  }

  /** Runs that are not due yet: a poll finds as many as before. */
  create(seconds: number, created: string[]): Promise<Change> {
    const state_details = { scheduled_time: new Date(Date.now() + 86_400_000).toISOString() };
    const body = { state: { type: "SCHEDULED", state_details }, parameters: { n: 1 } };
    const path = `/deployments/${this.#filled.deploymentId}/create_flow_run`;
    return this.#change(seconds, async () => {
      const answer = await this.#client.send("POST", path, body);
      if (answer.status === 201) {
        created.push(Created.parse(JSON.parse(answer.body)).id);
      }
      return unitsOf(answer);
    });
  }

  /** Runs of which each becomes PENDING, RUNNING and COMPLETED. */
  transition(seconds: number, ids: string[]): Promise<Change> {
    const current = new Map<number, { id: string; steps: string[] }>();
    return this.#change(seconds, async (client) => {
      const run = current.get(client) ?? { id: ids.pop(), steps: ["PENDING", "RUNNING", "COMPLETED"] };
      const [type, ...steps] = run.steps;
      if (run.id === undefined || type === undefined) {
        return undefined;
      }
      const body = { state: { type }, force: true };
      const answer = await this.#client.send("POST", `/flow_runs/${run.id}/set_state`, body);
      if (steps.length === 0) {
        current.delete(client);
      } else {
        current.set(client, { id: run.id, steps });
      }
      return unitsOf(answer);
    });
  }

  async #change(seconds: number, operate: (client: number) => Promise<number | undefined>): Promise<Change> {
    const before = this.cpuMs;
    const result: LoadResult = await runLoad({ clients: CLIENTS, seconds, operate });
    const cpuMs = (this.cpuMs - before) / Math.max(1, result.operations);
    return { rate: result.rate, cpuMs, serverErrors: result.serverErrors };
  }

  /** Spent by the plane's process so far. */
  get cpuMs(): number {
    return cpuMilliseconds(this.#server.child.pid ?? 0);
  }

  get peakMegabytes(): number {
    return peakMegabytes(this.#server.child.pid ?? 0);
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#server.stop();
  }
}

/** An answer that is no success counts as refused, whatever its status: the first is told. */
function unitsOf(answer: Answer): number {
  if (answer.status === 200 || answer.status === 201) {
    return 1;
  }
  firstRefusal ??= answer;
  return 0;
}

export let firstRefusal: Answer | undefined;
