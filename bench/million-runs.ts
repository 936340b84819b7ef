import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { findFreePort } from "../scripts/setup/free-port.ts";
import { openStore } from "../src/storage/open-store.ts";
import { type FilledStore, fillRuns } from "./fill-runs.ts";
import { type Answer, LoadClient, type LoadResult, runLoad } from "./load.ts";
import { residentMegabytes, startProcess } from "./processes.ts";

// How the plane answers over a million stored runs, and over ten thousand: the same questions over HTTP to a plane in a
// process of its own. Options: --runs, --small, --seconds, --database (a PostgreSQL URL of an empty database for --runs).

const CLIENTS = 8;
const Created = z.object({ id: z.string() });

interface Question {
  name: string;
  path: string;
  body: unknown;
}

interface Measured {
  poll: LoadResult;
  answers: Map<string, LoadResult>;
  create: LoadResult;
  transition: LoadResult;
  megabytes: number;
  serverErrors: number;
}

function listQuestions({ deploymentId, flowName, tags }: FilledStore, now: Date): Question[] {
  const filter = (name: string, body: object, path = "/flow_runs/filter") => ({ name, path, body });
  const newest = { sort: "EXPECTED_START_TIME_DESC" };
  const latest = { sort: "START_TIME_DESC" };
  const type = (...types: string[]) => ({ state: { type: { any_: types } } });
  const tagged = (tag: string) => ({ flow_runs: { tags: { all_: [tag] } } });
  const week = new Date(now.getTime() - 7 * 86_400_000).toISOString();
  return [
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
    filter("of a flow by name", { ...newest, flows: { name: { any_: [flowName] } } }),
    filter("with a common tag", { ...newest, ...tagged(tags.common) }),
    filter("with a rare tag", { ...newest, ...tagged(tags.rare) }),
    filter("with a tag of ten runs", { ...newest, ...tagged(tags.scarce) }),
    filter("of a week, FAILED", { ...latest, flow_runs: { start_time: { after_: week }, ...type("FAILED") } }),
    filter("offset 199,800", { ...newest, offset: 199_800 }),
    filter("page 1", { ...latest, page: 1 }, "/flow_runs/paginate"),
    filter("page 1000", { ...latest, page: 1000 }, "/flow_runs/paginate"),
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

class Plane {
  readonly #client: LoadClient;
  readonly #filled: FilledStore;

  constructor(apiUrl: string, filled: FilledStore) {
    this.#client = new LoadClient(apiUrl, CLIENTS);
    this.#filled = filled;
  }

  /** As one worker after the other, as many times as there is time for. */
  poll(seconds: number): Promise<LoadResult> {
    const path = `/work_pools/${this.#filled.poolName}/get_scheduled_flow_runs`;
    return this.#ask({ name: "poll", path, body: { limit: 20 } }, seconds);
  }

  async askAll(seconds: number): Promise<Map<string, LoadResult>> {
    const answers = new Map<string, LoadResult>();
    for (const question of listQuestions(this.#filled, new Date())) {
      answers.set(question.name, await this.#ask(question, seconds));
    }
    return answers;
  }

  /** What a poll takes while somebody asks for what takes long. */
  async pollBeside(seconds: number): Promise<LoadResult> {
    let done = false;
    const long = { sort: "START_TIME_DESC", flow_runs: { name: { like_: "nobody is called so" } } };
    const asking = (async () => {
      while (!done) {
        await this.#client.send("POST", "/flow_runs/filter", long);
      }
    })();
    const result = await this.poll(seconds);
    done = true;
    await asking;
    return result;
  }

  #ask({ path, body }: Question, seconds: number): Promise<LoadResult> {
    const operate = async () => ((await this.#client.send("POST", path, body)).status === 200 ? 1 : 0);
    return runLoad({ clients: 1, seconds, operate });
  }

  /** Runs that are not due yet: a poll finds as many as before. */
  create(seconds: number, created: string[]): Promise<LoadResult> {
    const state_details = { scheduled_time: new Date(Date.now() + 86_400_000).toISOString() };
    const body = { state: { type: "SCHEDULED", state_details }, parameters: { n: 1 } };
    return runLoad({
      clients: CLIENTS,
      seconds,
      operate: async () => {
        const path = `/deployments/${this.#filled.deploymentId}/create_flow_run`;
        const answer = await this.#client.send("POST", path, body);
        if (answer.status !== 201) {
          return 0;
        }
        created.push(Created.parse(JSON.parse(answer.body)).id);
        return 1;
      },
    });
  }

  transition(seconds: number, ids: string[]): Promise<LoadResult> {
    const current = new Map<number, { id: string; steps: string[] }>();
    return runLoad({
      clients: CLIENTS,
      seconds,
      operate: async (client) => {
        const run = current.get(client) ?? { id: ids.pop(), steps: ["PENDING", "RUNNING", "COMPLETED"] };
        const [type, ...steps] = run.steps;
        if (run.id === undefined || type === undefined) {
          return undefined;
        }
        const answer = await this.#client.send("POST", `/flow_runs/${run.id}/set_state`, {
          state: { type },
          force: true,
        });
        if (steps.length === 0) {
          current.delete(client);
        } else {
          current.set(client, { id: run.id, steps });
        }
        return isServerError(answer) ? 0 : 1;
      },
    });
  }

  close(): void {
    this.#client.close();
  }
}

function isServerError(answer: Answer): boolean {
  return answer.status >= 500 || answer.status === 0;
}

async function measure(
  database: string,
  folder: string,
  options: { runs: number; seconds: number },
): Promise<Measured> {
  const store = await openStore({ database, clock: { now: () => new Date() } });
  const startedAt = performance.now();
  const filled = await fillRuns(store, options.runs, new Date());
  await store.close();
  process.stdout.write(`${options.runs} runs stored in ${((performance.now() - startedAt) / 1000).toFixed(0)} s\n`);
  const port = await findFreePort();
  const apiUrl = `http://127.0.0.1:${port}/api`;
  const server = await startProcess({
    command: join(import.meta.dirname, "..", "bin", "flowyard"),
    args: ["server", "start", "--port", String(port), "--database", database],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", FLOWYARD_HOME: folder },
    healthUrl: `${apiUrl}/health`,
    timeoutMs: 120_000,
  });
  const plane = new Plane(apiUrl, filled);
  try {
    await plane.poll(1);
    const poll = await plane.poll(options.seconds);
    const beside = await plane.pollBeside(options.seconds);
    const answers = await plane.askAll(options.seconds / 5);
    const created: string[] = [];
    const create = await plane.create(options.seconds, created);
    const transition = await plane.transition(options.seconds, created);
    answers.set("poll beside a long search", beside);
    const megabytes = residentMegabytes(server.child.pid ?? 0);
    const results = [poll, create, transition, ...answers.values()];
    const serverErrors = results.reduce((sum, result) => sum + result.serverErrors, 0);
    return { poll, answers, create, transition, megabytes, serverErrors };
  } finally {
    plane.close();
    await server.stop();
  }
}

function listRows(small: Measured, large: Measured): string[][] {
  const times = ({ p50Ms, p99Ms }: LoadResult) => `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
  const rate = ({ rate: perSecond }: LoadResult) => `${perSecond.toFixed(0)}/s`;
  const asked = [...large.answers].map(([name, result]) => {
    const before = small.answers.get(name);
    return [name, before === undefined ? "" : times(before), times(result), goalOf(name)];
  });
  return [
    ["get_scheduled_flow_runs", times(small.poll), times(large.poll), "p99 <= 2x"],
    ...asked,
    ["create flow runs", rate(small.create), rate(large.create), ""],
    ["state transitions", rate(small.transition), rate(large.transition), ""],
    ["memory", `${small.megabytes.toFixed(0)} MB`, `${large.megabytes.toFixed(0)} MB`, "<= 200 MB"],
    ["answers with 5xx", String(small.serverErrors), String(large.serverErrors), "0"],
  ];
}

function goalOf(name: string): string {
  if (name.startsWith("count")) {
    return "p50 <= 100 ms";
  }
  return name.startsWith("history") || name.startsWith("poll") ? "" : "p50 <= 50 ms";
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "1000000" },
      small: { type: "string", default: "10000" },
      seconds: { type: "string", default: "5" },
      database: { type: "string" },
    },
  });
  const seconds = Number(values.seconds);
  const folder = mkdtempSync(join(tmpdir(), "flowyard-bench-"));
  try {
    const small = await measure(join(folder, "small.sqlite"), folder, { runs: Number(values.small), seconds });
    const database = values.database ?? join(folder, "large.sqlite");
    const large = await measure(database, folder, { runs: Number(values.runs), seconds });
    const rows = [["", `${values.small} runs`, `${values.runs} runs`, "goal"], ...listRows(small, large)];
    const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
    const lines = rows.map((row) => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`);
    lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
    process.stdout.write(`${lines.join("\n")}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
