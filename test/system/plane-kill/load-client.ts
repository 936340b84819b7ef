import { z } from "zod";

/** What the plane has acknowledged about one run. */
export interface KnownRun {
  id: string;
  /** Ids of the states that were answered as accepted, in order. */
  stateIds: string[];
  stateType: string;
  /** Proposed, and not answered when the plane died: may have been written. */
  open: string | null;
  /** Batches of lines: their marks, and how many lines each has. */
  logBatches: { mark: string; lines: number; acknowledged: boolean }[];
}

export interface KnownSchedules {
  /** The slugs that were answered for, all of one write. */
  kept: string[];
  /** Those of a write that was not answered. */
  open: string[] | null;
}

const Created = z.object({ id: z.string(), state: z.object({ id: z.string(), type: z.string() }) });
const Decided = z.object({ status: z.string(), state: z.object({ id: z.string() }) });
const CHAIN = ["PENDING", "RUNNING", "COMPLETED"] as const;
const LINES = 5;

/** One client under load: makes runs, takes them through their states, logs, and rewrites schedules, until it fails. */
export class LoadClient {
  readonly runs: KnownRun[] = [];
  readonly schedules: KnownSchedules = { kept: [], open: null };
  readonly #apiUrl: string;
  readonly #deploymentId: string;
  readonly #name: string;

  constructor(apiUrl: string, deploymentId: string, name: string) {
    this.#apiUrl = apiUrl;
    this.#deploymentId = deploymentId;
    this.#name = name;
  }

  /** Resolves when the plane no longer answers. Throws when it answers wrongly. */
  async work(): Promise<void> {
    for (let round = 0; await this.#workOn(round); round += 1);
  }

  async #workOn(round: number): Promise<boolean> {
    const made = await this.#send("POST", `/deployments/${this.#deploymentId}/create_flow_run`, {
      name: `${this.#name}-${round}`,
    });
    if (made === undefined) {
      return false;
    }
    const { id, state } = Created.parse(made);
    const run: KnownRun = { id, stateIds: [state.id], stateType: state.type, open: null, logBatches: [] };
    this.runs.push(run);
    for (const type of CHAIN) {
      if (!(await this.#propose(run, type)) || !(await this.#log(run, `${this.#name}-${round}-${type}`))) {
        return false;
      }
    }
    return this.#rewriteSchedules(round);
  }

  async #propose(run: KnownRun, type: string): Promise<boolean> {
    run.open = type;
    const answer = await this.#send("POST", `/flow_runs/${run.id}/set_state`, { state: { type } });
    if (answer === undefined) {
      return false;
    }
    const decided = Decided.parse(answer);
    if (decided.status !== "ACCEPT") {
      throw new Error(`${type} of ${run.id} was answered ${decided.status}`);
    }
    run.stateIds.push(decided.state.id);
    run.stateType = type;
    run.open = null;
    return true;
  }

  async #log(run: KnownRun, mark: string): Promise<boolean> {
    const batch = { mark, lines: LINES, acknowledged: false };
    run.logBatches.push(batch);
    const timestamp = new Date().toISOString(); // older lines are removed by and by
    const line = { name: "n", level: 20, message: mark, timestamp, flow_run_id: run.id };
    const answer = await this.#send("POST", "/logs/", Array(LINES).fill(line));
    batch.acknowledged = answer !== undefined;
    return batch.acknowledged;
  }

  async #rewriteSchedules(round: number): Promise<boolean> {
    const slugs = ["a", "b", "c"].map((letter) => `${letter}-${round}`);
    this.schedules.open = slugs;
    const schedules = slugs.map((slug) => ({ schedule: { cron: "0 0 * * *" }, slug, active: false }));
    const body = { name: this.#name, flow_id: await this.#flowId(), schedules };
    if ((await this.#send("POST", "/deployments/", body)) === undefined) {
      return false;
    }
    this.schedules.kept = slugs;
    this.schedules.open = null;
    return true;
  }

  async #flowId(): Promise<string> {
    const answer = await this.#send("GET", `/deployments/${this.#deploymentId}`);
    return z.object({ flow_id: z.string() }).safeParse(answer).data?.flow_id ?? "";
  }

  /** Undefined when the connection broke: nothing was acknowledged. */
  async #send(method: string, path: string, body?: unknown): Promise<unknown> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(`${this.#apiUrl}${path}`, {
        method,
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch {
      return undefined;
    }
    if (!response.ok) {
      throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    }
    return JSON.parse(text);
  }
}
