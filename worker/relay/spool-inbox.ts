import { v7 as uuidv7 } from "uuid";
import type { Event } from "../../src/prefect-api/events.ts";
import type { CreateLog } from "../../src/prefect-api/logs.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import type { Clock } from "../../src/shared/clock.ts";
import type { Spool } from "./spool.ts";
import type { Spooled } from "./spooled.ts";

const WARNING = 30;
/** A container may name any run: beyond so many, lost lines are counted together. */
const MAX_NOTED_RUNS = 1000;

/** Takes what containers say into the spool. */
export class SpoolInbox {
  readonly #spool: Spool;
  readonly #clock: Clock;
  /** Lines of each run that found no room, until there is room to say so. */
  #dropped = new Map<string | null, number>();

  constructor(spool: Spool, clock: Clock) {
    this.#spool = spool;
    this.#clock = clock;
  }

  /** Lines that find no room are dropped, and the run's log says how many as soon as there is room again. */
  addLogs(logs: readonly CreateLog[]): void {
    if (this.keepLogs(logs)) {
      return;
    }
    for (const { flow_run_id } of logs) {
      const isNoted = this.#dropped.has(flow_run_id ?? null) || this.#dropped.size < MAX_NOTED_RUNS;
      const noted = isNoted ? (flow_run_id ?? null) : null;
      this.#dropped.set(noted, (this.#dropped.get(noted) ?? 0) + 1);
    }
  }

  /** Answers whether there was room. */
  keepLogs(logs: readonly CreateLog[]): boolean {
    this.#reportDropped();
    return this.#append(logs.map((log) => ({ kind: "log", log: { ...log, id: log.id ?? uuidv7() } })));
  }

  /** Answers whether there was room: clients keep an event until it is taken. */
  addEvents(events: readonly Event[]): boolean {
    return this.#append(events.map((event) => ({ kind: "event", event })));
  }

  #reportDropped(): void {
    const now = timestampFromDate(this.#clock.now());
    const notices = [...this.#dropped].map(([flowRunId, count]): CreateLog => {
      const message = `${count} log lines of this run were lost: the control plane was away, and the relay had no more room for them.`;
      return { id: uuidv7(), name: "flowyard.relay", level: WARNING, message, timestamp: now, flow_run_id: flowRunId };
    });
    if (notices.length > 0 && this.#append(notices.map((log) => ({ kind: "log", log })))) {
      this.#dropped.clear();
    }
  }

  #append(entries: readonly Spooled[]): boolean {
    return this.#spool.append(entries.map((entry) => JSON.stringify(entry)));
  }
}
