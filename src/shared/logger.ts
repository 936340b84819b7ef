type Fields = Record<string, unknown>;

export type LogLevel = "debug" | "info" | "warn" | "error";

/**
 * The one logging interface of all rooms; pino satisfies it. `warn` and `error` take a static message and
 * put what varies into fields, so that lines can be grouped. Never pass environment values, headers or tokens.
 */
export interface Logger {
  debug(fields: Fields, message: string): void;
  info(fields: Fields, message: string): void;
  warn(fields: Fields, message: string): void;
  error(fields: Fields, message: string): void;
  child(fields: Fields): Logger;
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

/** `09:59:05.910 INFO  Worker started work_pool_name=etl`: a line of the log for people, with its newline. */
export function formatLogLine(level: LogLevel, time: string, message: string, fields: Fields): string {
  const shown = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${typeof value === "string" ? quoteIfNeeded(value) : JSON.stringify(value)}`);
  return `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${message}${shown.join("")}\n`;
}

function quoteIfNeeded(text: string): string {
  return /^[\w.:/@+-]+$/.test(text) ? text : JSON.stringify(text);
}
