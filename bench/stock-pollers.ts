import { z } from "zod";
import { LoadClient } from "./load.ts";

/** How old a list may be that a poller still takes runs from. */
const STALE_MS = 1000;
const POLL_EVERY_MS = 100;
const LIST_LIMIT = 50;
/** Nothing that was due was given to anybody for this long: something is stuck. */
const STUCK_MS = 60_000;

const Listed = z.array(z.object({ flow_run: z.object({ id: z.string() }) }));
const Decided = z.object({ status: z.enum(["ACCEPT", "REJECT", "WAIT", "ABORT"]) });

interface Options {
  apiUrl: string;
  poolName: string;
  pollers: number;
  /** Runs that one poller works on at the same time, as a worker with that limit. */
  slots: number;
  /** From RUNNING to COMPLETED. */
  runMs: number;
  /** How many completed runs end it. */
  runs: number;
}

export interface PollResult {
  /** Answers to PENDING with ACCEPT, by run: more than one is a run that was started twice. */
  started: Map<string, number>;
  completed: number;
  seconds: number;
  /** PENDING proposals that were answered "not now" or "not you". */
  refused: number;
  serverErrors: number;
}

/**
 * Pollers as Prefect's workers: each asks for a list, and proposes PENDING for what is on it, in any order, from lists
 * that are up to a second old, without knowing of the others. What is accepted goes on to COMPLETED.
 */
export class StockPollers {
  readonly #client: LoadClient;
  readonly #options: Options;
  readonly #started = new Map<string, number>();
  readonly #completed = new Set<string>();
  #refused = 0;
  #serverErrors = 0;
  #progressAt = performance.now();
  readonly #end = Promise.withResolvers<void>();

  constructor(options: Options) {
    this.#options = options;
    this.#client = new LoadClient(options.apiUrl, options.pollers * options.slots + options.pollers);
  }

  /** Throws when nothing is completed any more. */
  async run(): Promise<PollResult> {
    const startedAt = performance.now();
    this.#progressAt = startedAt;
    try {
      await Promise.all(Array.from({ length: this.#options.pollers }, () => this.#poll()));
    } finally {
      this.#client.close();
    }
    return {
      started: this.#started,
      completed: this.#completed.size,
      seconds: (performance.now() - startedAt) / 1000,
      refused: this.#refused,
      serverErrors: this.#serverErrors,
    };
  }

  async #poll(): Promise<void> {
    const lists = new Lists();
    const loops = Array.from({ length: this.#options.slots }, () => this.#work(lists));
    while (!this.#isDone()) {
      const answer = await this.#send(`/work_pools/${this.#options.poolName}/get_scheduled_flow_runs`, {
        limit: LIST_LIMIT,
      });
      if (answer.status === 200) {
        lists.add(Listed.parse(JSON.parse(answer.body)).map((item) => item.flow_run.id));
      }
      await Promise.race([pause(POLL_EVERY_MS * (0.5 + Math.random())), this.#end.promise]);
    }
    lists.end();
    await Promise.all(loops);
  }

  async #work(lists: Lists): Promise<void> {
    for (let id = await lists.next(); id !== undefined; id = await lists.next()) {
      await this.#take(id);
    }
  }

  async #take(id: string): Promise<void> {
    if ((await this.#propose(id, { type: "PENDING", name: "Pending" })) !== "ACCEPT") {
      this.#refused += 1;
      return;
    }
    this.#started.set(id, (this.#started.get(id) ?? 0) + 1);
    await this.#propose(id, { type: "PENDING", name: "Submitting" });
    await this.#propose(id, { type: "RUNNING" });
    await pause(this.#options.runMs);
    await this.#propose(id, { type: "COMPLETED" });
    this.#completed.add(id);
    this.#progressAt = performance.now();
    if (this.#isDone()) {
      this.#end.resolve();
    }
  }

  async #propose(id: string, state: { type: string; name?: string }): Promise<string> {
    for (;;) {
      const answer = await this.#send(`/flow_runs/${id}/set_state`, {
        state: { ...state, state_details: {} },
        force: false,
      });
      if (answer.status < 500 && answer.status !== 0) {
        return Decided.parse(JSON.parse(answer.body)).status;
      }
      await pause(50);
    }
  }

  async #send(path: string, body: unknown) {
    const answer = await this.#client.send("POST", path, body);
    this.#serverErrors += answer.status >= 500 || answer.status === 0 ? 1 : 0;
    return answer;
  }

  #isDone(): boolean {
    if (performance.now() - this.#progressAt > STUCK_MS) {
      throw new Error(`${this.#completed.size} of ${this.#options.runs} runs were completed, and nothing goes on`);
    }
    return this.#completed.size >= this.#options.runs;
  }
}

/** What one poller was given lately: taken from in any order, also from what is up to a second old. */
class Lists {
  #lists: { at: number; ids: string[] }[] = [];
  #changed = Promise.withResolvers<void>();
  #ended = false;

  add(ids: string[]): void {
    this.#lists.push({ at: performance.now(), ids: shuffle(ids) });
    this.#tell();
  }

  end(): void {
    this.#ended = true;
    this.#tell();
  }

  async next(): Promise<string | undefined> {
    while (!this.#ended) {
      this.#lists = this.#lists.filter(({ at, ids }) => ids.length > 0 && performance.now() - at < STALE_MS);
      const id = this.#lists[Math.floor(Math.random() * this.#lists.length)]?.ids.pop();
      if (id !== undefined) {
        return id;
      }
      await this.#changed.promise;
    }
    return undefined;
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function shuffle<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
