import { z } from "zod";
import { formatLogLine, type LogLevel } from "../shared/logger.ts";

const INFO = 30; // pino's numbers
const WARN = 40;
const ERROR = 50;

/** What pino writes of every line; a request's id and the machine say nothing to someone who watches a terminal. */
const LogRecord = z
  .looseObject({ level: z.number(), time: z.number(), msg: z.string().default("") })
  .transform(({ level, time, msg, pid: _pid, hostname: _hostname, reqId: _reqId, err, ...fields }) => ({
    level,
    time: new Date(time).toISOString(),
    msg,
    stack: z.object({ stack: z.string() }).safeParse(err).data?.stack,
    fields,
  }));

/** Turns pino's JSON lines into lines for people: where pino would write to a file, `write` gets them. */
export function createTextLog(write: (line: string) => void): { write(line: string): void } {
  return {
    write: (line) => {
      const { level, time, msg, stack, fields } = LogRecord.parse(JSON.parse(line));
      write(formatLogLine(nameLevel(level), time, msg, fields) + (stack === undefined ? "" : `${stack}\n`));
    },
  };
}

function nameLevel(level: number): LogLevel {
  if (level >= ERROR) {
    return "error";
  }
  return level >= WARN ? "warn" : level >= INFO ? "info" : "debug";
}
