type Fields = Record<string, unknown>;

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
