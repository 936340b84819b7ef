import { formatLogLine, type Logger, type LogLevel } from "../src/shared/logger.ts";

/**
 * Lines for people, or JSON for collectors. Written by hand as pino would be a dependency for twenty lines.
 * `write` gets whole lines with their newline.
 */
export function createWorkerLogger(format: "text" | "json", write: (line: string) => void): Logger {
  const build = (fixed: Record<string, unknown>): Logger => {
    const log = (level: LogLevel) => (fields: Record<string, unknown>, message: string) => {
      const time = new Date().toISOString();
      const all = { ...fixed, ...fields };
      write(
        format === "json"
          ? `${JSON.stringify({ level, time, ...all, msg: message })}\n`
          : formatLogLine(level, time, message, all),
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
