import { v7 as uuidv7 } from "uuid";
import type { Event } from "../../src/prefect-api/events.ts";
import type { CreateLog } from "../../src/prefect-api/logs.ts";
import { timestampFromDate } from "../../src/prefect-api/timestamp.ts";
import type { Clock } from "../../src/shared/clock.ts";
import type { RunIdentity } from "./run-token.ts";
import type { Spool } from "./spool.ts";
import { type Spooled, writeSpooled } from "./spooled.ts";

const WARNING = 30;
/** A container may name any run: beyond so many, lost lines are counted together. */
const MAX_NOTED_RUNS = 1000;

type Speaker = Pick<RunIdentity, "flow_run_id" | "use">;

interface Dropped {
  count: number;
  by: string | undefined;
  /** Whether it was the run's own share that was full. */
  isOwnFault: boolean;
}

/** Takes what containers say into the spool. */
export class SpoolInbox {
  readonly #spool: Spool;
  readonly #clock: Clock;
  /** Lines of each run that found no room, until there is room to say so. */
  #dropped = new Map<string | null, Dropped>();

  constructor(spool: Spool, clock: Clock) {
    this.#spool = spool;
    this.#clock = clock;
  }

  /** Lines that find no room are dropped, and the run's log says how many as soon as there is room again. */
  addLogs(logs: readonly CreateLog[], by: Speaker | undefined): void {
    this.tellDropped();
    const lines = writeLogs(logs, by);
    if (this.#spool.append(lines)) {
      return;
    }
    const isOwnFault = this.#spool.isBeyondShare(lines);
    for (const { flow_run_id } of logs) {
      const isNoted = this.#dropped.has(flow_run_id ?? null) || this.#dropped.size < MAX_NOTED_RUNS;
      const noted = isNoted ? (flow_run_id ?? null) : null;
      const count = (this.#dropped.get(noted)?.count ?? 0) + 1;
      this.#dropped.set(noted, { count, by: by?.flow_run_id, isOwnFault });
    }
  }

  /** Answers whether there was room. */
  keepLogs(logs: readonly CreateLog[], by: Speaker | undefined): boolean {
    this.tellDropped();
    return this.#spool.append(writeLogs(logs, by));
  }

  /** Answers whether there was room: clients keep an event until it is taken. */
  addEvents(events: readonly Event[], by: Speaker | undefined): boolean {
    return this.#spool.append(events.map((event) => writeSpooled({ ...describeSpeaker(by), kind: "event", event })));
  }

  /** To be called when there is room again, too: a run that has lost lines may say nothing more. */
  tellDropped(): void {
    for (const [flowRunId, dropped] of this.#dropped) {
      if (this.#spool.append([this.#writeNotice(flowRunId, dropped)])) {
        this.#dropped.delete(flowRunId);
      }
    }
  }

  #writeNotice(flow_run_id: string | null, { count, by, isOwnFault }: Dropped): string {
    const why = isOwnFault
      ? "more of it was waiting for the control plane than a relay keeps of one run (FLOWYARD_RELAY_SPOOL_RUN_MB)."
      : "the control plane was away, and the relay had no more room for them.";
    const message = `${count} log lines of this run were lost: ${why}`;
    const timestamp = timestampFromDate(this.#clock.now());
    const log = { id: uuidv7(), name: "flowyard.relay", level: WARNING, message, timestamp, flow_run_id };
    return writeSpooled({ ...(by === undefined ? {} : { by, as: "worker" }), kind: "log", log });
  }
}

function writeLogs(logs: readonly CreateLog[], by: Speaker | undefined): string[] {
  return logs.map((log) =>
    writeSpooled({ ...describeSpeaker(by), kind: "log", log: { ...log, id: log.id ?? uuidv7() } }),
  );
}

function describeSpeaker(by: Speaker | undefined): Pick<Spooled, "by" | "as"> {
  return by === undefined ? {} : { by: by.flow_run_id, as: by.use };
}
