import type { Logger } from "../src/shared/logger.ts";

type Level = "debug" | "info" | "warn" | "error";

/**
 * Lines for people, or JSON for collectors. Written by hand as pino would be a dependency for twenty lines.
 * `write` gets whole lines with their newline.
 */
export function createWorkerLogger(format: "text" | "json", write: (line: string) => void): Logger {
  const build = (fixed: Record<string, unknown>): Logger => {
    const log = (level: Level) => (fields: Record<string, unknown>, message: string) => {
      const time = new Date().toISOString();
      const all = { ...fixed, ...fields };
      write(
        format === "json"
          ? `${JSON.stringify({ level, time, ...all, msg: message })}\n`
          : `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${message}${formatFields(all)}\n`,
      );
    };
    return {
      debug: format === "json" ? log("debug") : () => undefined,
      info: log("info"),
      warn: log("warn"),
      error: log("error"),
      child: (fields) => build({ ...fixed, ...fields }),
    };
  };
  return build({});
}

function formatFields(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === "string" ? quoteIfNeeded(value) : JSON.stringify(value)}`)
    .join("");
}

function quoteIfNeeded(text: string): string {
  return /^[\w.:/@+-]+$/.test(text) ? text : JSON.stringify(text);
}
