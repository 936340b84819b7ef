import type { OutputLine, OutputPosition, OutputStream } from "../../src/docker/logs.ts";

/**
 * One entry of a run's log, made of one line of its output or of several that belong together.
 * `engine`: the Prefect engine in the run sends it to the plane itself.
 */
export interface OutputEntry {
  source: "output" | "engine";
  /** Python's level: 20 INFO, 30 WARNING, 40 ERROR. */
  level: number;
  /** Of the logger, or `flowyard.stdout`, `flowyard.stderr`. */
  name: string;
  message: string;
  /** Of its first line. */
  at: string;
  stream: OutputStream;
  /** Of its first line: names the entry, however often it is read. */
  place: string;
  /** Of its last line. */
  end: string;
}

/**
 * Marks around what Prefect's console handler prints, invisible on a terminal: so its lines, and messages of several
 * lines, are told from what the flow prints. SOH header, then STX (the engine sends it to the plane too) or EOT (it does
 * not), message, ETX. A traceback comes behind the ETX, as Python's formatter appends it.
 */
const START = "\u0001";
const SENT = "\u0002";
const NOT_SENT = "\u0004";
const END = "\u0003";

const HEADER = "%(asctime)s.%(msecs)03d | %(levelname)-7s | ";

/** As pydantic reads a setting. */
export function isFalse(text: string): boolean {
  return /^(?:0|f|false|n|no|off)$/i.test(text);
}

/** Prefect's own console formats (logging.yml, 3.8 and 3.9) with the marks, for a run with this environment. */
export function buildMarkedFormats(environment: Readonly<Record<string, string>>): Record<string, string> {
  const isSent = !isFalse(environment["PREFECT_LOGGING_TO_API_ENABLED"] ?? "true");
  const ofRun = isSent ? SENT : NOT_SENT;
  return {
    PREFECT_LOGGING_FORMATTERS_STANDARD_FORMAT: `${START}${HEADER}%(name)s - ${NOT_SENT}%(message)s${END}`,
    PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT: `${START}${HEADER}Flow run %(flow_run_name)r - ${ofRun}%(message)s${END}`,
    PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT: `${START}${HEADER}Task run %(task_run_name)r - ${ofRun}%(message)s${END}`,
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the marks
const MARKS = /[\u0001-\u0004]/g;

/** For people's eyes. */
export function dropMarks(text: string): string {
  return text.replaceAll(MARKS, "");
}

const LEVELS: Readonly<Record<string, number>> = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 };
const STREAM_LEVELS: Readonly<Record<OutputStream, number>> = { stdout: 20, stderr: 30 };
const ERROR_LEVEL = 40;
/** A message that never ends (its process was killed) is cut here. */
const MAX_ENTRY_LINES = 2000;

interface OutputReader {
  /** The entries that are complete with this line, in order. */
  push(line: OutputLine): OutputEntry[];
  /** What is left when the output has ended. */
  end(): OutputEntry[];
}

/** Makes log entries of the lines of a run's output. Pure but for what it remembers of unfinished entries. */
export function createOutputReader(): OutputReader {
  const streams = { stdout: createStreamReader(), stderr: createStreamReader() };
  return {
    push: (line) => streams[line.stream].push(line),
    end: () => [...streams.stdout.end(), ...streams.stderr.end()],
  };
}

interface Open {
  entry: OutputEntry;
  lines: string[];
  /** `message`: its end mark has not come. `behind`: a traceback may follow. The others are inside of one. */
  part: "message" | "behind" | "traceback" | "between";
}

function createStreamReader(): OutputReader {
  let open: Open | undefined;
  const close = (): OutputEntry[] => {
    const entries = open === undefined ? [] : [finish(open)];
    open = undefined;
    return entries;
  };
  const begin = (line: OutputLine): OutputEntry[] => {
    if (line.text.startsWith(START)) {
      open = openEntry(line);
      return open.part === "behind" && open.entry.level < ERROR_LEVEL ? close() : [];
    }
    return [buildPlainEntry(line)];
  };
  return {
    push: (line) => {
      if (open === undefined) {
        return begin(line);
      }
      if (open.lines.length >= MAX_ENTRY_LINES || !continueEntry(open, line)) {
        return [...close(), ...begin(line)];
      }
      return open.part === "behind" && open.entry.level < ERROR_LEVEL ? close() : [];
    },
    end: close,
  };
}

function openEntry(line: OutputLine): Open {
  const separator = line.text.includes(SENT) ? SENT : NOT_SENT;
  const [header = "", message = ""] = splitOnce(line.text.slice(START.length), separator);
  const [, levelName = "", origin = ""] = header.split(" | ");
  const isEnded = message.endsWith(END);
  return {
    entry: {
      source: separator === SENT ? "engine" : "output",
      level: LEVELS[levelName.trim()] ?? STREAM_LEVELS[line.stream],
      name: decideLogger(origin) ?? `flowyard.${line.stream}`,
      message: "",
      at: line.at,
      stream: line.stream,
      place: line.place,
      end: line.place,
    },
    lines: [isEnded ? message.slice(0, -END.length) : message],
    part: isEnded ? "behind" : "message",
  };
}

function decideLogger(origin: string): string | undefined {
  const name = origin.replace(/ - $/, "");
  const [, kind] = /^(Flow|Task) run ['"]/.exec(name) ?? [];
  return kind === undefined ? name || undefined : kind === "Task" ? "prefect.task_runs" : "prefect.flow_runs";
}

function splitOnce(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return index === -1 ? ["", text] : [text.slice(0, index), text.slice(index + separator.length)];
}

const TRACEBACK = /^\s*(?:\+ Exception Group )?Traceback \(most recent call last\):$/;
const CHAINED =
  /^(?:During handling of the above exception, another exception occurred|The above exception was the direct cause of the following exception):$/;

/** False when the line does not belong to the entry. */
function continueEntry(open: Open, { text, place }: OutputLine): boolean {
  if (text.startsWith(START)) {
    return false;
  }
  const next = decideNextPart(open, text);
  if (next === undefined) {
    return false;
  }
  const isLast = open.part === "message" && text.endsWith(END);
  open.lines.push(isLast ? text.slice(0, -END.length) : text);
  open.part = next;
  open.entry.end = place;
  return true;
}

function decideNextPart(open: Open, text: string): Open["part"] | undefined {
  switch (open.part) {
    case "message":
      return text.endsWith(END) ? "behind" : "message";
    case "behind":
      return TRACEBACK.test(text) ? "traceback" : undefined;
    case "traceback":
      // Frames are indented; the exception's own line is not, and ends the traceback unless another one is chained.
      return /^\s/.test(text) ? "traceback" : "between";
    case "between":
      if (TRACEBACK.test(text)) {
        return "traceback";
      }
      return text === "" || CHAINED.test(text) ? "between" : undefined;
  }
}

function finish({ entry, lines }: Open): OutputEntry {
  return { ...entry, message: lines.join("\n").trimEnd() };
}

function buildPlainEntry({ stream, text, at, place }: OutputLine): OutputEntry {
  return {
    source: "output",
    level: STREAM_LEVELS[stream],
    name: `flowyard.${stream}`,
    message: dropMarks(text),
    at,
    stream,
    place,
    end: place,
  };
}

/** The position behind an entry. */
export function advance(position: OutputPosition, entry: Pick<OutputEntry, "stream" | "end">): OutputPosition {
  return { ...position, [entry.stream]: entry.end };
}
