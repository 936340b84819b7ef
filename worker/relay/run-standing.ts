import { z } from "zod";
import { Uuid } from "../../src/prefect-api/primitives.ts";
import { isTerminal, StateType } from "../../src/prefect-api/states.ts";
import { askPlane } from "./ask-plane.ts";
import type { CreatedRuns } from "./created-runs.ts";
import type { Target } from "./relay-access.ts";
import type { Upstream } from "./relay-deps.ts";

/** A run that ends is known to have ended this much later. */
const FRESH_MS = 10_000;
const MAX_KNOWN = 10_000;
/** Subflows of subflows; more is a circle. */
const MAX_ABOVE = 50;

const FlowRunFacts = z.object({
  parent_task_run_id: Uuid.nullish(),
  state_type: StateType.nullish(),
  end_time: z.iso.datetime({ offset: true }).nullish(),
});
const TaskRunFacts = z.object({ flow_run_id: Uuid.nullish() });

/** `missing`: there is no such run; `unknown`: the plane is away, and nobody else can say. */
export type Belonging = "own" | "other" | "missing" | "unknown";

/** What the plane says about runs that speak through the relay: whether they go on, and who made whom. */
export class RunStanding {
  readonly #upstream: Upstream;
  readonly #created: CreatedRuns;
  readonly #graceMs: number;
  /** Until when each run's token counts, on this process's clock, as of when it was asked. */
  readonly #lives = new Map<string, { askedAtMs: number; endsAtMs: number }>();
  readonly #asking = new Map<string, Promise<number>>();
  /** The run or task run that each was made for; that never changes. */
  readonly #above = new Map<string, Target | null>();

  constructor(upstream: Upstream, created: CreatedRuns, graceSeconds: number) {
    this.#upstream = upstream;
    this.#created = created;
    this.#graceMs = graceSeconds * 1000;
  }

  /**
   * Whether a run has ended so long ago that its token has, too. One that is started again counts again, so the end of a
   * token is never remembered; while the plane is away, what was known last holds.
   */
  async isOver(flowRunId: string): Promise<boolean> {
    const now = performance.now();
    const known = this.#lives.get(flowRunId);
    if (known !== undefined && known.endsAtMs > now && now - known.askedAtMs < FRESH_MS) {
      return false;
    }
    const asking = this.#asking.get(flowRunId) ?? this.#askEnd(flowRunId);
    this.#asking.set(flowRunId, asking);
    return (await asking) <= performance.now();
  }

  /** Whether the target is the run itself, or was made by it, or by one that it made. */
  async findBelonging(flowRunId: string, target: Target): Promise<Belonging> {
    const toLookAt: Target[] = [target];
    const seen = new Set<string>();
    for (let next = toLookAt.pop(); next !== undefined && seen.size < MAX_ABOVE; next = toLookAt.pop()) {
      if (next.id === flowRunId) {
        return "own";
      }
      if (seen.has(next.id)) {
        continue;
      }
      seen.add(next.id);
      const creator = this.#created.find(next.id);
      const above = await this.#findAbove(next);
      if (above === "unknown") {
        return "unknown";
      }
      if (above === "missing" && next === target) {
        return "missing";
      }
      toLookAt.push(...(creator === undefined ? [] : [{ kind: "flow_run" as const, id: creator }]));
      toLookAt.push(...(above === null || above === "missing" ? [] : [above]));
    }
    return "other";
  }

  /** Its state is about to change: it is asked for again before its token counts again. */
  forget(flowRunId: string): void {
    this.#lives.delete(flowRunId);
  }

  /** What the plane said when it was made: so most is known without asking. */
  learn(id: string, above: Target): void {
    remember(this.#above, id, above);
  }

  async #askEnd(flowRunId: string): Promise<number> {
    const answer = await askPlane(this.#upstream, `/flow_runs/${flowRunId}`);
    this.#asking.delete(flowRunId);
    const askedAtMs = performance.now();
    switch (answer.kind) {
      case "away":
        return this.#lives.get(flowRunId)?.endsAtMs ?? Number.POSITIVE_INFINITY;
      case "missing":
        this.#lives.delete(flowRunId);
        return askedAtMs;
      case "found": {
        const { data } = FlowRunFacts.safeParse(answer.body);
        const endsAtMs = askedAtMs + this.#findRestMs(data, answer.answeredAt);
        remember(this.#lives, flowRunId, { askedAtMs, endsAtMs });
        return endsAtMs;
      }
    }
  }

  /** By the plane's own clock: it wrote the end. */
  #findRestMs(run: z.infer<typeof FlowRunFacts> | undefined, now: Date): number {
    if (run === undefined || !run.state_type || !isTerminal(run.state_type) || !run.end_time) {
      return Number.POSITIVE_INFINITY;
    }
    return Date.parse(run.end_time) + this.#graceMs - now.getTime();
  }

  async #findAbove({ kind, id }: Target): Promise<Target | null | "missing" | "unknown"> {
    const known = this.#above.get(id);
    if (known !== undefined) {
      return known;
    }
    const answer = await askPlane(this.#upstream, `/${kind}s/${id}`);
    if (answer.kind !== "found") {
      return answer.kind === "missing" ? "missing" : "unknown";
    }
    const above = kind === "flow_run" ? readParent(answer.body) : readFlowRun(answer.body);
    remember(this.#above, id, above);
    return above;
  }
}

function readParent(body: unknown): Target | null {
  const id = FlowRunFacts.pick({ parent_task_run_id: true }).safeParse(body).data?.parent_task_run_id;
  return id ? { kind: "task_run", id } : null;
}

function readFlowRun(body: unknown): Target | null {
  const id = TaskRunFacts.safeParse(body).data?.flow_run_id;
  return id ? { kind: "flow_run", id } : null;
}

/** The oldest go first. */
function remember<V>(known: Map<string, V>, key: string, value: V): void {
  known.delete(key);
  known.set(key, value);
  for (const [oldest] of known) {
    if (known.size <= MAX_KNOWN) {
      return;
    }
    known.delete(oldest);
  }
}
