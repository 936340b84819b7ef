import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorMessage } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";

/** About three megabytes on disk. */
const MAX_RUNS = 40_000;
const LINE = /^([0-9a-f-]{36}) ([0-9a-f-]{36})$/;

/**
 * Which run was made by which. The plane knows that of subflows alone: a run that a flow starts beside itself
 * (`run_deployment(as_subflow=False)`) has no parent there. On disk, as the relay may be started again meanwhile.
 */
export class CreatedRuns {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #creators: Map<string, string>;
  #lines: number;

  constructor(folder: string, logger: Logger) {
    this.#path = join(folder, "created-runs");
    this.#logger = logger;
    this.#creators = new Map(readLines(this.#path));
    this.#lines = this.#creators.size;
  }

  find(flowRunId: string): string | undefined {
    return this.#creators.get(flowRunId);
  }

  note(flowRunId: string, creator: string): void {
    this.#creators.set(flowRunId, creator);
    this.#lines += 1;
    try {
      appendFileSync(this.#path, `${flowRunId} ${creator}\n`, { mode: 0o600 });
      if (this.#lines > MAX_RUNS) {
        this.#forgetHalf();
      }
    } catch (error) {
      this.#logger.warn({ reason: errorMessage(error) }, "Who made which run could not be noted on disk");
    }
  }

  #forgetHalf(): void {
    for (const flowRunId of [...this.#creators.keys()].slice(0, -MAX_RUNS / 2)) {
      this.#creators.delete(flowRunId);
    }
    this.#lines = this.#creators.size;
    const draft = `${this.#path}.draft`;
    writeFileSync(draft, [...this.#creators].map(([run, creator]) => `${run} ${creator}\n`).join(""), { mode: 0o600 });
    renameSync(draft, this.#path);
  }
}

function readLines(path: string): [string, string][] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .flatMap((line): [string, string][] => {
        const [, flowRunId, creator] = LINE.exec(line) ?? [];
        return flowRunId === undefined || creator === undefined ? [] : [[flowRunId, creator]];
      });
  } catch {
    return []; // nothing was noted yet
  }
}
