import { sleep } from "../../src/shared/abort.ts";
import { TransientError } from "../../src/shared/errors.ts";
import type { Logger } from "../../src/shared/logger.ts";
import { keepTrying } from "../keep-trying.ts";
import { errorFields } from "../runs/report.ts";
import type { RunNote, WorkerHome } from "../worker-home.ts";
import type { LogSender } from "./log-sender.ts";
import { advance, type OutputEntry } from "./output-lines.ts";

/** Lines come in bursts: a moment's wait makes one request of many. */
const GATHER_MS = 250;
const MAX_BATCH_ENTRIES = 500;
const MAX_BATCH_CHARACTERS = 500_000;
/** While the plane is away so much waits in memory; the rest waits in the container's own log. */
const MAX_WAITING_CHARACTERS = 2_000_000;

export interface LogShipper {
  /** Takes one entry; waits while too many are waiting already. */
  add(entry: OutputEntry): Promise<void>;
  /** Returns when everything that was added is at the plane, or was refused by it. */
  finish(): Promise<void>;
}

interface ShipperOptions {
  sender: LogSender;
  home: Pick<WorkerHome, "saveNote">;
  run: { flowRunId: string; key: string };
  /** Where the reading began; changed as entries arrive at the plane. */
  note: RunNote;
  /** More than this of one run's output is not stored; how much that was is said in its log. */
  maxCharacters: number;
  logger: Logger;
  signal: AbortSignal;
}

/**
 * Sends a run's output to the plane in batches, in order, each until the plane has it, and notes how far it came. Entries
 * that the engine sends itself are only counted as dealt with.
 */
export function createLogShipper(options: ShipperOptions): LogShipper {
  const { note, signal } = options;
  const waiting: OutputEntry[] = [];
  const hurry = new AbortController();
  const untilHurry = AbortSignal.any([hurry.signal, signal]); // one for all waits: each holds on to its sources
  const dropped = { lines: 0, characters: 0 };
  let waitingCharacters = 0;
  let sending: Promise<void> | undefined;
  let room = Promise.withResolvers<void>();

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) {
      await sleep(GATHER_MS, untilHurry);
      const batch = takeBatch(waiting);
      await sendBatch(options, batch);
      for (const entry of batch) {
        note.position = advance(note.position, entry);
        waitingCharacters -= entry.message.length;
      }
      await options.home.saveNote(options.run.key, note);
      room.resolve();
      room = Promise.withResolvers<void>();
    }
  }

  return {
    add: async (entry) => {
      if (entry.source === "output") {
        if (note.shippedCharacters > options.maxCharacters) {
          dropped.lines += 1;
          dropped.characters += entry.message.length;
          return;
        }
        note.shippedCharacters += entry.message.length;
      }
      waiting.push(entry);
      waitingCharacters += entry.message.length;
      sending ??= sendAll().finally(() => {
        sending = undefined;
      });
      sending.catch(() => undefined); // comes out of `finish`, or of the wait below
      while (waitingCharacters > MAX_WAITING_CHARACTERS && sending !== undefined) {
        await Promise.race([room.promise, sending]);
      }
    },
    finish: async () => {
      hurry.abort();
      await sending;
      if (dropped.lines > 0) {
        await sendBatch(options, [buildNotice(dropped, options.maxCharacters)]);
      }
    },
  };
}

function buildNotice(dropped: { lines: number; characters: number }, maxCharacters: number): OutputEntry {
  const stored = Math.round(maxCharacters / 1_000_000);
  return {
    source: "output",
    level: 30,
    name: "flowyard.worker",
    message: `${dropped.lines} lines of output (${dropped.characters} characters) are not stored: more than ${stored} MB came from this run (FLOWYARD_WORKER_LOG_LIMIT_MB).`,
    at: `${new Date().toISOString().slice(0, 23)}000000Z`,
    stream: "stderr",
    place: "limit",
    end: "limit",
  };
}

function takeBatch(waiting: OutputEntry[]): OutputEntry[] {
  let characters = 0;
  let count = 0;
  for (const { message } of waiting) {
    characters += message.length;
    if (count > 0 && (count >= MAX_BATCH_ENTRIES || characters > MAX_BATCH_CHARACTERS)) {
      break;
    }
    count += 1;
  }
  return waiting.splice(0, count);
}

async function sendBatch({ sender, run, logger, signal }: ShipperOptions, entries: OutputEntry[]): Promise<void> {
  const batch = entries.filter(({ source }) => source === "output");
  if (batch.length === 0) {
    return;
  }
  try {
    await keepTrying({ what: "send the run's output", logger, signal }, () => sender.send(run, batch));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TransientError) {
      throw error;
    }
    // It would be refused for ever, and with it everything behind it.
    logger.error(
      { ...errorFields(error), lines: batch.length },
      "Lines of a run's output are lost: the plane refused them",
    );
  }
}
