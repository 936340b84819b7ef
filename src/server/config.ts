import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { errorMessage, UserError } from "../shared/errors.ts";
import { describeDatabase } from "../storage/open-store.ts";

const secrets = z.registry<{ secret: true }>();

const MAX_PORT = 65_535;
const MAX_LOOP_SECONDS = 3600;
const MAX_DEADLINE_SECONDS = 86_400;
const MAX_DAYS = 36_500;

/** What the plane reads from its environment. A flag of the command wins over its variable. */
export const ServerConfig = z.object({
  FLOWYARD_HOST: z.string().min(1).default("127.0.0.1"),
  FLOWYARD_PORT: z.coerce.number().int().min(0).max(MAX_PORT).default(4200),
  FLOWYARD_HOME: z.string().min(1).default(join(homedir(), ".flowyard")),
  FLOWYARD_DATABASE_URL: z.string().min(1).optional().register(secrets, { secret: true }),
  FLOWYARD_DATABASE_URL_FILE: z.string().min(1).optional(),
  FLOWYARD_AUTH_STRING: z.string().min(1).optional().register(secrets, { secret: true }),
  FLOWYARD_AUTH_STRING_FILE: z.string().min(1).optional(),
  FLOWYARD_LOG_LEVEL: z.enum(["debug", "info", "warn", "error"]).default("info"),
  FLOWYARD_LOG_FORMAT: z.enum(["text", "json"]).optional(),
  FLOWYARD_LOOPS: z.stringbool({ error: "Invalid input: expected true or false" }).default(true),
  FLOWYARD_SCHEDULER_SECONDS: z.coerce.number().min(1).max(MAX_LOOP_SECONDS).default(5),
  FLOWYARD_LATE_AFTER_SECONDS: z.coerce.number().min(1).max(MAX_DEADLINE_SECONDS).default(15),
  FLOWYARD_CANCELLING_TIMEOUT_SECONDS: z.coerce.number().min(1).max(MAX_DEADLINE_SECONDS).default(300),
  FLOWYARD_RETENTION_RUNS_DAYS: z.coerce.number().min(0).max(MAX_DAYS).default(90),
  FLOWYARD_RETENTION_LOGS_DAYS: z.coerce.number().min(0).max(MAX_DAYS).default(90),
  FLOWYARD_RETENTION_EVENTS_DAYS: z.coerce.number().min(0).max(MAX_DAYS).default(7),
});
export type ServerConfig = z.infer<typeof ServerConfig>;

export interface ServerFlags {
  host?: string | undefined;
  port?: number | undefined;
  /** A file, or a URL that starts with `sqlite:` or `postgres:`. */
  database?: string | undefined;
  /** False: this process only answers, whatever FLOWYARD_LOOPS says. */
  loops?: boolean | undefined;
  /** Whether a person watches the log. */
  onTerminal?: boolean | undefined;
}

/** What the plane runs with. */
export interface ServerSettings {
  host: string;
  port: number;
  /** A file of SQLite's, or a URL of PostgreSQL's, which may have a password in it. */
  database: string;
  authString: string | null;
  logLevel: ServerConfig["FLOWYARD_LOG_LEVEL"];
  logFormat: "text" | "json";
  /** Null: this process only answers, and others do what happens by itself. */
  loops: LoopSettings | null;
}

/** What the loops go by. */
export interface LoopSettings {
  /** How often schedules are looked at. */
  schedulerSeconds: number;
  lateAfterSeconds: number;
  cancellingTimeoutSeconds: number;
  /** How long things are kept; 0 days keep them for ever. */
  retention: { runsDays: number; logsDays: number; eventsDays: number };
}

/** Throws UserError CONFIG_INVALID with all problems at once, CREDENTIALS_REQUIRED for an open address without any. */
export function parseServerSettings(env: NodeJS.ProcessEnv, flags: ServerFlags): ServerSettings {
  const config = parseConfig(env);
  const settings = {
    host: flags.host ?? config.FLOWYARD_HOST,
    port: flags.port ?? config.FLOWYARD_PORT,
    database: parseDatabase(flags.database ?? readDatabaseUrl(config), config.FLOWYARD_HOME),
    authString:
      readSecret("FLOWYARD_AUTH_STRING", config.FLOWYARD_AUTH_STRING, config.FLOWYARD_AUTH_STRING_FILE) ?? null,
    logLevel: config.FLOWYARD_LOG_LEVEL,
    logFormat: config.FLOWYARD_LOG_FORMAT ?? (flags.onTerminal === true ? "text" : "json"),
    loops: flags.loops !== false && config.FLOWYARD_LOOPS ? readLoopSettings(config) : null,
  };
  if (settings.authString === null && !isLoopback(settings.host)) {
    throw new UserError(
      "CREDENTIALS_REQUIRED",
      `The plane would be open to everyone who can reach ${settings.host}: it only listens there with credentials.`,
      { hint: "Set FLOWYARD_AUTH_STRING to user:password, or leave the host at 127.0.0.1." },
    );
  }
  return settings;
}

function parseConfig(env: NodeJS.ProcessEnv): ServerConfig {
  const parsed = ServerConfig.safeParse(withoutEmpty(env));
  if (!parsed.success) {
    throw new UserError("CONFIG_INVALID", parsed.error.issues.map((issue) => describeProblem(issue, env)).join("\n"), {
      hint: "docs/configuration.md lists every variable.",
    });
  }
  return parsed.data;
}

function readLoopSettings(config: ServerConfig): LoopSettings {
  return {
    schedulerSeconds: config.FLOWYARD_SCHEDULER_SECONDS,
    lateAfterSeconds: config.FLOWYARD_LATE_AFTER_SECONDS,
    cancellingTimeoutSeconds: config.FLOWYARD_CANCELLING_TIMEOUT_SECONDS,
    retention: {
      runsDays: config.FLOWYARD_RETENTION_RUNS_DAYS,
      logsDays: config.FLOWYARD_RETENTION_LOGS_DAYS,
      eventsDays: config.FLOWYARD_RETENTION_EVENTS_DAYS,
    },
  };
}

/** An empty variable is one that is not set, as in a compose file that passes on what may be missing. */
function withoutEmpty(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
}

function describeProblem(issue: z.core.$ZodIssue, env: NodeJS.ProcessEnv): string {
  const name = String(issue.path[0]);
  const field = Object.entries(ServerConfig.shape).find(([key]) => key === name)?.[1];
  const read = field !== undefined && secrets.has(field) ? "" : ` is "${env[name] ?? ""}"`;
  return `${name}${read}: ${issue.message}`;
}

/** Where everything is kept: a file, or a URL of PostgreSQL's. Throws UserError CONFIG_INVALID. */
export function parseDatabaseSetting(env: NodeJS.ProcessEnv, flag: string | undefined): string {
  const config = parseConfig(env);
  return parseDatabase(flag ?? readDatabaseUrl(config), config.FLOWYARD_HOME);
}

function parseDatabase(database: string | undefined, home: string): string {
  if (database === undefined) {
    return join(home, "flowyard.db");
  }
  const scheme = /^([a-z][a-z0-9+]+):/i.exec(database)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    return database;
  }
  if (/^postgres(ql)?(\+[a-z0-9]+)?$/.test(scheme)) {
    return parsePostgresUrl(database);
  }
  if (scheme !== "sqlite") {
    throw new UserError("CONFIG_INVALID", `FLOWYARD_DATABASE_URL starts with "${scheme}:", which is not supported.`, {
      hint: "Give a file, sqlite:FILE, or postgres://user:password@host/database.",
    });
  }
  // sqlite:FILE, and the three slashes of SQLAlchemy's URLs: sqlite:///relative, sqlite:////absolute.
  return database.replace(/^sqlite:(\/\/\/)?/i, "");
}

/** The URL itself, once it is one. What is wrong with it is said without it: it may have a password. */
function parsePostgresUrl(url: string): string {
  try {
    describeDatabase(url);
    return url;
  } catch {
    throw new UserError("CONFIG_INVALID", "FLOWYARD_DATABASE_URL is no URL of PostgreSQL's.", {
      hint: "Write postgres://user:password@host:5432/database, with %2F for a / in the password and so on.",
    });
  }
}

function readDatabaseUrl(config: ServerConfig): string | undefined {
  return readSecret("FLOWYARD_DATABASE_URL", config.FLOWYARD_DATABASE_URL, config.FLOWYARD_DATABASE_URL_FILE);
}

/** A secret may come as a file, as Docker and Kubernetes mount it. Throws UserError CONFIG_INVALID. */
function readSecret(name: string, text: string | undefined, file: string | undefined): string | undefined {
  if (text !== undefined && file !== undefined) {
    throw new UserError("CONFIG_INVALID", `${name} and ${name}_FILE are both set: set one.`);
  }
  if (file === undefined) {
    return text;
  }
  const read = readTrimmed(name, file);
  if (read === "") {
    throw new UserError("CONFIG_INVALID", `${name}_FILE names ${file}, which is empty.`);
  }
  return read;
}

function readTrimmed(name: string, file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new UserError("CONFIG_INVALID", `${name}_FILE names ${file}, which cannot be read: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}
