import { z } from "zod";
import type { Deployment } from "../../src/prefect-api/deployments.ts";
import type { ReceivedFlowRun } from "../../src/prefect-api/flow-runs.ts";
import type { Flow } from "../../src/prefect-api/flows.ts";
import { type JsonObject, PREFECT_VERSION } from "../../src/prefect-api/primitives.ts";
import { fillTemplate, findByPath, pythonText } from "../../src/prefect-api/templating.ts";
import type { Timestamp } from "../../src/prefect-api/timestamp.ts";
import type { WorkPool } from "../../src/prefect-api/work-pools.ts";
import { UserError } from "../../src/shared/errors.ts";
import { buildMarkedFormats } from "../logs/output-lines.ts";
import type { RelayAccess } from "../relay/run-environment.ts";
import type { RunFacts } from "../runs/run-facts.ts";
import { decideEngine, type Engine, EngineChoice } from "./engine.ts";

/** What one run is started with, before an infrastructure makes a container or process of it. */
export interface Job {
  flowRun: Pick<ReceivedFlowRun, "id" | "name">;
  /** The filled job template; the keys that only one infrastructure knows are read there. */
  configuration: JsonObject;
  name: string;
  /** As written; undefined means the infrastructure's own for the engine. */
  command: string | undefined;
  engine: Engine;
  /** Complete, in Prefect's precedence. */
  env: Record<string, string>;
  /** What the user set, nulls included: some rules ask whether a variable is the user's. */
  userEnv: Record<string, string | null>;
  /** Prefect's `prefect.io/…` names and the user's, as written. */
  labels: Record<string, string>;
  facts: RunFacts;
  /** Undefined: the run reaches the plane by itself. */
  relay: RelayAccess | undefined;
}

export interface JobContext {
  flowRun: ReceivedFlowRun;
  deployment: Deployment | undefined;
  flow: Flow | undefined;
  workPool: Pick<WorkPool, "id" | "name">;
  workerName: string;
  /** Of the worker and its claim; see `RunFacts`. */
  claim: Pick<RunFacts, "worker_instance" | "worker_home" | "attempt" | "fencing_token">;
  /** The worker's PREFECT_* settings. */
  settings: Record<string, string>;
  relay: RelayAccess | undefined;
}

const Text = z.unknown().transform((value) => (value === null || value === undefined ? null : pythonText(value)));
const CommonConfiguration = z.object({
  command: z.string().nullish(),
  name: z.string().nullish(),
  env: z.record(z.string(), Text).nullish(),
  labels: z.record(z.string(), Text).nullish(),
  engine: EngineChoice.nullish(),
  cancel_grace_seconds: z.coerce.number().min(0).nullish(),
});

/** Job variables of ours, which Prefect's templates do not name. */
export const OWN_VARIABLES = ["engine", "cancel_grace_seconds"] as const;

/** Throws JOB_INVALID naming each key of the job configuration that cannot be used. */
export function buildJob(configuration: JsonObject, context: JobContext): Job {
  const common = parseConfiguration(CommonConfiguration, configuration);
  const userEnv = common.env ?? {};
  const { flowRun } = context;
  const env = dropNull({ ...context.settings, ...buildRunEnvironment(context), ...userEnv });
  const engine = decideEngine({
    choice: common.engine ?? "auto",
    command: common.command || undefined,
    pullSteps: context.deployment?.pull_steps ?? [],
    env,
  });
  return {
    flowRun,
    configuration,
    engine,
    name: renderName(common.name, context) || flowRun.name,
    command: common.command || undefined,
    env: { ...buildMarkedFormats(env), ...env },
    userEnv,
    labels: { ...buildLabels(context), ...dropNull(common.labels ?? {}) },
    // Whoever names the plane's address in a job means that one.
    relay: Object.hasOwn(userEnv, "PREFECT_API_URL") ? undefined : context.relay,
    facts: {
      ...buildFacts(context),
      engine,
      ...(typeof common.cancel_grace_seconds === "number"
        ? { cancel_grace_seconds: String(common.cancel_grace_seconds) }
        : {}),
    },
  };
}

function buildFacts({ flowRun, workPool, workerName, claim }: JobContext): RunFacts {
  return {
    flow_run_id: flowRun.id,
    flow_run_name: flowRun.name,
    ...(typeof flowRun.deployment_id === "string" ? { deployment_id: flowRun.deployment_id } : {}),
    work_pool_id: workPool.id,
    work_pool_name: workPool.name,
    worker_name: workerName,
    ...claim,
  };
}

/** Parses a filled job configuration. Throws JOB_INVALID naming each key, what was found and what is allowed. */
export function parseConfiguration<S extends z.ZodType>(schema: S, configuration: JsonObject): z.output<S> {
  const parsed = schema.safeParse(configuration);
  if (parsed.success) {
    return parsed.data;
  }
  const problems = parsed.error.issues.map(({ path, message }) => {
    const found = findByPath(configuration, path.map(String).join("."));
    const shown = path[0] === "env" || path[0] === "registry_credentials" ? "" : ` is ${JSON.stringify(found)}`;
    return `"${path.map(String).join(".")}"${shown}: ${message}`;
  });
  throw new UserError("JOB_INVALID", `The job configuration is not usable: ${problems.join("; ")}`, {
    hint: "Correct the job variables of the deployment or run, or the work pool's base job template.",
  });
}

function renderName(template: string | null | undefined, { flow, flowRun }: JobContext): string {
  const values = { ctx: { flow: flow ?? {}, flow_run: flowRun } };
  const name = fillTemplate(template ?? "", ({ name: path }) => {
    const value = findByPath(values, path);
    return value === undefined || value === null ? "missing" : { value };
  });
  return typeof name === "string" ? name : "";
}

function buildRunEnvironment({ flowRun, deployment, flow, workerName }: JobContext): Record<string, string | null> {
  return {
    PREFECT__FLOW_RUN_ID: flowRun.id,
    PREFECT__WORKER_NAME: workerName,
    PREFECT__FLOW_ID: flowRun.flow_id,
    PREFECT__FLOW_NAME: flow?.name ?? null,
    PREFECT__DEPLOYMENT_ID: flowRun.deployment_id ?? null,
    PREFECT__DEPLOYMENT_NAME: deployment?.name ?? null,
  };
}

function buildLabels({ flowRun, deployment, flow, workPool, workerName }: JobContext): Record<string, string> {
  return {
    "prefect.io/flow-run-id": flowRun.id,
    "prefect.io/flow-run-name": flowRun.name,
    "prefect.io/version": PREFECT_VERSION,
    "prefect.io/work-pool-name": workPool.name,
    "prefect.io/work-pool-id": workPool.id,
    "prefect.io/worker-name": workerName,
    ...(flow === undefined ? {} : { "prefect.io/flow-id": flow.id, "prefect.io/flow-name": flow.name }),
    ...(deployment === undefined
      ? {}
      : {
          "prefect.io/deployment-id": deployment.id,
          "prefect.io/deployment-name": deployment.name,
          "prefect.io/deployment-updated": pythonIsoFormat(deployment.updated),
        }),
  };
}

/** Python's `isoformat()` of a UTC time: an offset instead of Z, and no fraction when it is zero. */
function pythonIsoFormat(timestamp: Timestamp): string {
  return timestamp.replace(/\.000000Z$/, "Z").replace(/Z$/, "+00:00");
}

function dropNull(values: Record<string, string | null>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])),
  );
}

/** Settings of the server and of this machine's files: of no use in a container, and some are secrets of the plane. */
const KEPT_BACK = /^PREFECT_(SERVER_|API_DATABASE_|HOME$|PROFILES_PATH$|WORKER_)/;

/**
 * The PREFECT_* settings that every run gets, as Prefect's workers hand on theirs. Unlike there, the server's settings
 * and paths of this machine stay here.
 */
export function selectRunSettings(environment: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => name.startsWith("PREFECT_") && !name.startsWith("PREFECT__") && !KEPT_BACK.test(name),
    ),
  );
}
