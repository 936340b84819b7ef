import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { isMapping } from "../prefect-api/templating.ts";
import { errorMessage, UserError } from "../shared/errors.ts";
import { parseBoolean, parseInterval } from "./schedules.ts";
import { parseYamlFile } from "./yaml-file.ts";

/** The trigger of a deployment, ready to become an automation once the deployment's id is known. */
export interface DeploymentTrigger {
  name: string;
  description: string;
  enabled: boolean;
  trigger: Record<string, unknown>;
  parameters: Record<string, unknown> | null;
  job_variables: Record<string, unknown> | null;
  schedule_after: number;
}

const MIN_PROACTIVE_SECONDS = 10;

const Seconds = z.unknown().transform((value, context): number => {
  const seconds = typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : parseInterval(value);
  if (seconds === undefined || seconds < 0) {
    context.addIssue({ code: "custom", message: `is ${JSON.stringify(value)}, but must be a number of seconds` });
    return z.NEVER;
  }
  return seconds;
});

/** Lists that Prefect keeps as sets. */
const Names = z
  .array(z.string())
  .default([])
  .transform((names) => [...new Set(names)]);
const Labels = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

const EventTrigger = z
  .object({
    type: z.literal("event").default("event"),
    match: Labels.default({}),
    match_related: z.union([Labels, z.array(Labels)]).default({}),
    after: Names,
    expect: Names,
    for_each: Names,
    posture: z.enum(["Reactive", "Proactive"]).default("Reactive"),
    threshold: z.int().default(1),
    within: Seconds.default(0),
  })
  .transform((trigger, context) => {
    if (trigger.posture === "Reactive") {
      return trigger;
    }
    if (trigger.within !== 0 && trigger.within < MIN_PROACTIVE_SECONDS) {
      const message = `is ${trigger.within}, but must be at least ${MIN_PROACTIVE_SECONDS} seconds for a Proactive trigger`;
      context.addIssue({ code: "custom", message, path: ["within"] });
      return z.NEVER;
    }
    return { ...trigger, within: Math.max(trigger.within, MIN_PROACTIVE_SECONDS) };
  });

const CompoundTrigger = z
  .object({
    type: z.literal("compound").default("compound"),
    get triggers() {
      return z.array(AnyTrigger);
    },
    within: Seconds.nullable().default(null),
    require: z.union([z.int().min(1), z.enum(["any", "all"])]),
  })
  .refine(({ require, triggers }) => typeof require === "string" || require <= triggers.length, {
    path: ["require"],
    error: "is larger than the number of triggers",
  });

const SequenceTrigger = z.object({
  type: z.literal("sequence").default("sequence"),
  get triggers() {
    return z.array(AnyTrigger);
  },
  within: Seconds.nullable().default(null),
});

type AnyTriggerBody = Record<string, unknown>;

const TYPES = ["event", "metric", "compound", "sequence"] as const;

/** The type when none is written: by the keys that only one of them has. */
function inferType(trigger: Record<string, unknown>): unknown {
  if ("type" in trigger) {
    return trigger["type"];
  }
  if (trigger["posture"] === "Metric") {
    return "metric";
  }
  if ("triggers" in trigger) {
    return "require" in trigger ? "compound" : "sequence";
  }
  return "event";
}

const AnyTrigger: z.ZodType<AnyTriggerBody> = z.unknown().transform((value, context): AnyTriggerBody => {
  const schema = isMapping(value) ? chooseSchema(inferType(value)) : "is not a mapping";
  if (typeof schema === "string") {
    context.addIssue({ code: "custom", message: schema });
    return z.NEVER;
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      context.addIssue({ code: "custom", message: issue.message, path: issue.path });
    }
    return z.NEVER;
  }
  return parsed.data;
});

function chooseSchema(type: unknown): z.ZodType<AnyTriggerBody> | string {
  switch (type) {
    case "event":
      return EventTrigger;
    case "compound":
      return CompoundTrigger;
    case "sequence":
      return SequenceTrigger;
    case "metric":
      return "has the type metric, which only Prefect Cloud evaluates: a server of your own refuses it";
    default:
      return `has the type ${JSON.stringify(type)}; allowed are ${TYPES.join(", ")}`;
  }
}

const Rest = z.object({
  name: z.string().nullish(),
  description: z.string().default(""),
  enabled: z
    .unknown()
    .refine((value) => parseBoolean(value) !== undefined, { error: "is neither true nor false" })
    .transform((value) => parseBoolean(value) ?? true)
    .default(true),
  parameters: z.record(z.string(), z.unknown()).nullable().default(null),
  job_variables: z.record(z.string(), z.unknown()).nullable().default(null),
  schedule_after: Seconds.default(0),
});

export interface TriggerProblem {
  /** Where in the trigger. */
  path: (string | number)[];
  message: string;
}

/** Reads one trigger of `prefect.yaml` after templating. `number` counts from 1 and makes the name when it has none. */
export function parseTrigger(
  spec: unknown,
  deploymentName: string,
  number: number,
): DeploymentTrigger | TriggerProblem[] {
  const trigger = AnyTrigger.safeParse(spec);
  const rest = Rest.safeParse(spec);
  if (!trigger.success || !rest.success) {
    return [...(trigger.error?.issues ?? []), ...(rest.error?.issues ?? [])].map((issue) => {
      const at = issue.path.filter((step) => typeof step !== "symbol");
      return { path: at, message: at.length === 0 ? issue.message : `${at.join(".")}: ${issue.message}` };
    });
  }
  const name = rest.data.name ?? `${deploymentName}__automation_${number}`;
  return { ...rest.data, name, trigger: trigger.data };
}

/** The body of POST /automations/ for a trigger of this deployment. */
export function buildAutomation(trigger: DeploymentTrigger, deploymentId: string) {
  const { name, description, enabled, parameters, job_variables, schedule_after } = trigger;
  return {
    name,
    description,
    enabled,
    tags: [],
    trigger: trigger.trigger,
    actions: [
      {
        type: "run-deployment",
        source: "selected",
        deployment_id: deploymentId,
        parameters,
        job_variables,
        schedule_after,
      },
    ],
    actions_on_trigger: [],
    actions_on_resolve: [],
    owner_resource: buildOwner(deploymentId),
  };
}

export function buildOwner(deploymentId: string): string {
  return `prefect.deployment.${deploymentId}`;
}

/** Reads `--trigger`: JSON text, or a .yaml or .json file with the key `triggers`. Throws UserError USAGE. */
export async function loadTriggerFlags(root: string, flags: readonly string[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const flag of flags) {
    try {
      found.push(...(await loadTriggerFlag(root, flag)));
    } catch (error) {
      throw new UserError("USAGE", `Failed to parse trigger: ${flag}. ${errorMessage(error)}`, {
        hint: "Pass JSON, or the path of a .yaml or .json file with the key triggers.",
        cause: error,
      });
    }
  }
  return found;
}

async function loadTriggerFlag(root: string, flag: string): Promise<unknown[]> {
  const extension = path.extname(flag);
  if (extension !== ".yaml" && extension !== ".yml" && extension !== ".json") {
    return [JSON.parse(flag)];
  }
  const text = await readFile(path.resolve(root, flag), "utf8");
  const content = extension === ".json" ? JSON.parse(text) : parseYamlFile(flag, text).value;
  const triggers = isMapping(content) ? content["triggers"] : undefined;
  if (!Array.isArray(triggers)) {
    throw new Error(`${flag} has no list under the key "triggers".`);
  }
  return triggers;
}
