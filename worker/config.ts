import { readFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type EngineSettings, readEngineSettings } from "../src/docker/engine-address.ts";
import { JsonObject } from "../src/prefect-api/primitives.ts";
import { errorMessage, UserError } from "../src/shared/errors.ts";
import { type Allowed, AllowList } from "./infrastructure/isolation.ts";
import { RELAY_LIMIT_VARIABLES, type RelayLimits, readRelayLimits } from "./relay/relay-limits.ts";

const Seconds = z.coerce.number({ error: "must be a number of seconds" }).positive("must be more than 0");
const NotNegative = z.coerce.number({ error: "must be a number of seconds" }).min(0, "must not be less than 0");

const RELAY_WORDS = 'must be "auto", "off" or an http URL';

/** What the worker reads from its environment. */
export const WorkerConfig = z.object({
  PREFECT_API_URL: z.url({ protocol: /^https?$/, error: "must be an http or https URL, normally ending in /api" }),
  PREFECT_API_AUTH_STRING: z.string().optional(),
  PREFECT_API_KEY: z.string().optional(),
  // A container takes about 0.3 s to start: so a run is up within a second of its creation.
  FLOWYARD_WORKER_POLL_SECONDS: Seconds.default(0.5),
  FLOWYARD_WORKER_HEARTBEAT_SECONDS: Seconds.default(30),
  FLOWYARD_WORKER_CANCEL_GRACE_SECONDS: Seconds.default(30),
  FLOWYARD_WORKER_STARTING_LIMIT: z.coerce.number().int().positive("must be more than 0").default(8),
  FLOWYARD_WORKER_DISK_HIGH_PERCENT: z.coerce.number().min(1).max(100).default(85),
  FLOWYARD_WORKER_ALLOW: AllowList.optional(),
  FLOWYARD_WORKER_KEEP_FAILED_SECONDS: NotNegative.default(0),
  FLOWYARD_WORKER_LOG_LIMIT_MB: Seconds.default(100),
  FLOWYARD_WORKER_DRAIN_SECONDS: Seconds.optional(),
  FLOWYARD_HOME: z.string().min(1).default(join(homedir(), ".flowyard")),
  FLOWYARD_WORKER_RELAY: z
    .union([z.enum(["auto", "off"]), z.url({ protocol: /^https?$/, error: RELAY_WORDS })], {
      error: RELAY_WORDS,
    })
    .default("auto"),
  ...RELAY_LIMIT_VARIABLES,
  FLOWYARD_WORKER_PYTHON: z.string().min(1).default("python3"),
  PREFECT_WORKER_WEBSERVER_HOST: z.string().min(1).default("0.0.0.0"),
  PREFECT_WORKER_WEBSERVER_PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  FLOWYARD_LOG_FORMAT: z.enum(["text", "json"], { error: 'must be "text" or "json"' }).default("text"),
});

/** What `worker start` was asked for. */
export interface WorkerFlags {
  pool: string;
  name?: string | undefined;
  /** `docker` or `process`; the pool's own when left out. */
  type?: string | undefined;
  queues?: string[] | undefined;
  /** How many runs at a time; no limit when left out. */
  limit?: number | undefined;
  /** Runs due within this time are taken already, so that their container is up in time. */
  prefetchSeconds?: number | undefined;
  /** Take what is due now, wait for it to end, and stop. */
  runOnce?: boolean | undefined;
  createPoolIfNotFound?: boolean | undefined;
  /** Path of a JSON file for a pool that is created. */
  baseJobTemplateFile?: string | undefined;
  /** What becomes of the runs when it is told to stop; `finish` when left out. */
  onStop?: OnStop | undefined;
  withHealthcheck?: boolean | undefined;
}

export const ON_STOP = ["finish", "leave", "cancel"] as const;
export type OnStop = (typeof ON_STOP)[number];

/** One worker, all its settings parsed. Holds secrets: never log it whole. */
export interface WorkerSettings {
  api: { apiUrl: string; authString: string | undefined; apiKey: string | undefined };
  pool: string;
  name: string;
  type: string | undefined;
  queues: string[];
  limit: number;
  prefetchSeconds: number;
  runOnce: boolean;
  createPoolIfNotFound: boolean;
  baseJobTemplate: JsonObject | undefined;
  pollSeconds: number;
  heartbeatSeconds: number;
  cancelGraceSeconds: number;
  onStop: OnStop;
  /** How long runs may take to end after the worker was told to stop; then they are left to go on without it. */
  drainSeconds: number;
  /** How many runs may be starting at the same time. */
  startingLimit: number;
  /** A disk of the engine that is fuller than this has images removed. */
  diskHighPercent: number;
  /** What jobs may ask for that reaches beyond their container. */
  allow: Allowed;
  /** How long the container of a failed run is kept. */
  keepFailedSeconds: number;
  /** No more of one run's output than this is stored at the plane. */
  logLimitBytes: number;
  /** Folder that the workers of this machine share. */
  homeFolder: string;
  flowyardHome: string;
  /** Where runs find the relay; `auto`: this worker finds or starts one, `off`: they reach the plane by themselves. */
  relay: "auto" | "off" | (string & {});
  /** Of a relay that this worker starts. */
  relayLimits: RelayLimits;
  python: string;
  /** Where to answer about health and metrics; undefined: nowhere. */
  webserver: { host: string; port: number } | undefined;
  logFormat: "text" | "json";
  engine: EngineSettings;
  /** The worker's whole environment: `{{ $NAME }}` in templates, PREFECT_* for the runs, all of it for process runs. */
  environment: Record<string, string>;
}

const DEFAULT_PREFETCH_SECONDS = 10; // Prefect's; a container needs a few seconds until its flow starts

/** Throws CONFIG_INVALID naming every variable and flag that is wrong, all at once. */
export function loadWorkerSettings(
  flags: WorkerFlags,
  processEnvironment: Record<string, string | undefined>,
): WorkerSettings {
  const environment = dropUnset(processEnvironment);
  const config = parseConfig(environment);
  return {
    api: {
      apiUrl: config.PREFECT_API_URL,
      authString: config.PREFECT_API_AUTH_STRING,
      apiKey: config.PREFECT_API_KEY,
    },
    pool: flags.pool,
    name: flags.name ?? `FlowyardWorker ${hostname()} ${process.pid}`,
    type: flags.type,
    queues: flags.queues ?? [],
    limit: flags.limit ?? Number.POSITIVE_INFINITY,
    prefetchSeconds: flags.prefetchSeconds ?? DEFAULT_PREFETCH_SECONDS,
    runOnce: flags.runOnce ?? false,
    createPoolIfNotFound: flags.createPoolIfNotFound ?? true,
    baseJobTemplate: flags.baseJobTemplateFile === undefined ? undefined : loadJobTemplate(flags.baseJobTemplateFile),
    pollSeconds: config.FLOWYARD_WORKER_POLL_SECONDS,
    heartbeatSeconds: config.FLOWYARD_WORKER_HEARTBEAT_SECONDS,
    cancelGraceSeconds: config.FLOWYARD_WORKER_CANCEL_GRACE_SECONDS,
    onStop: flags.onStop ?? "finish",
    drainSeconds: config.FLOWYARD_WORKER_DRAIN_SECONDS ?? Number.POSITIVE_INFINITY,
    startingLimit: config.FLOWYARD_WORKER_STARTING_LIMIT,
    diskHighPercent: config.FLOWYARD_WORKER_DISK_HIGH_PERCENT,
    allow: config.FLOWYARD_WORKER_ALLOW,
    keepFailedSeconds: config.FLOWYARD_WORKER_KEEP_FAILED_SECONDS,
    logLimitBytes: config.FLOWYARD_WORKER_LOG_LIMIT_MB * 1_000_000,
    homeFolder: join(config.FLOWYARD_HOME, "worker"),
    flowyardHome: config.FLOWYARD_HOME,
    relay: config.FLOWYARD_WORKER_RELAY,
    relayLimits: readRelayLimits(config),
    python: config.FLOWYARD_WORKER_PYTHON,
    webserver:
      flags.withHealthcheck === true
        ? { host: config.PREFECT_WORKER_WEBSERVER_HOST, port: config.PREFECT_WORKER_WEBSERVER_PORT }
        : undefined,
    logFormat: config.FLOWYARD_LOG_FORMAT,
    engine: readEngineSettings(environment),
    environment,
  };
}

/** An empty variable counts as unset, as with Prefect. */
function dropUnset(environment: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value ? [[name, value] as const] : [])),
  );
}

function parseConfig(environment: Record<string, string>): z.infer<typeof WorkerConfig> {
  const parsed = WorkerConfig.safeParse(environment);
  if (parsed.success) {
    return parsed.data;
  }
  const problems = parsed.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    const value = environment[name];
    return value === undefined
      ? `${name} is not set: it ${message}.`
      : `${name} is ${JSON.stringify(value)}: it ${message}.`;
  });
  throw new UserError("CONFIG_INVALID", problems.join("\n"));
}

function loadJobTemplate(path: string): JsonObject {
  try {
    return JsonObject.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new UserError("CONFIG_INVALID", `The base job template ${path} cannot be read: ${errorMessage(cause)}`, {
      hint: "`flowyard work-pool get-default-base-job-template --type docker` prints one to start from.",
      cause,
    });
  }
}
