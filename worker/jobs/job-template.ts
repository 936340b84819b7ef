import { z } from "zod";
import type { PrefectClient } from "../../src/client/prefect-client.ts";
import { JsonObject } from "../../src/prefect-api/primitives.ts";
import { fillServerValues } from "../../src/prefect-api/server-values.ts";
import { fillTemplate, findByPath, isMapping } from "../../src/prefect-api/templating.ts";
import { UserError } from "../../src/shared/errors.ts";

const BaseJobTemplate = z.object({
  job_configuration: JsonObject,
  variables: z.object({ properties: z.record(z.string(), JsonObject).default({}) }),
});

/** The run's job variables over the deployment's; only `env` is merged key by key, everything else is replaced. */
export function mergeJobVariables(deployment: JsonObject, flowRun: JsonObject): JsonObject {
  const env =
    isMapping(deployment["env"]) && isMapping(flowRun["env"]) ? { ...deployment["env"], ...flowRun["env"] } : undefined;
  return { ...deployment, ...flowRun, ...(env === undefined ? {} : { env }) };
}

/**
 * Fills a pool's base job template with job variables, in the order of Prefect's workers (surface §5.1): defaults of
 * the variables' schema, then the job variables, dotted ones (`env.FOO`) expanded first. Blocks and variables of the
 * server are left for `resolveReferences`. Throws JOB_INVALID when the template is none.
 */
export function fillJobTemplate(
  baseJobTemplate: JsonObject,
  jobVariables: JsonObject,
  environment: Record<string, string>,
): JsonObject {
  const { job_configuration, variables } = parseTemplate(baseJobTemplate);
  const defaults = listDefaults(variables.properties);
  const given = expandDotted(jobVariables);
  const values = { ...defaults, ...given };
  const configuration = { ...job_configuration };
  configuration["env"] = mergeEnv(mergeEnv(configuration["env"], defaults["env"], true), values["env"], false);
  const filled = fillTemplate(configuration, ({ kind, name }) => {
    if (kind === "standard") {
      const value = findByPath(values, name);
      return value === undefined || value === null ? "missing" : { value };
    }
    if (kind === "environment") {
      const value = environment[name.slice(1)];
      return value === undefined ? "missing" : { value };
    }
    return "keep";
  });
  return JsonObject.parse(filled);
}

function parseTemplate(baseJobTemplate: JsonObject): z.infer<typeof BaseJobTemplate> {
  const parsed = BaseJobTemplate.safeParse(baseJobTemplate);
  if (!parsed.success) {
    throw new UserError(
      "JOB_INVALID",
      `The work pool's base job template is unusable: ${z.prettifyError(parsed.error)}`,
      {
        hint: "It needs job_configuration and variables; `flowyard work-pool get-default-base-job-template` prints one.",
      },
    );
  }
  return parsed.data;
}

/** Null is no default: the infrastructure has its own. */
function listDefaults(properties: Record<string, JsonObject>): JsonObject {
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, schema]) => {
      const value = schema["default"];
      return value === undefined || value === null ? [] : [[name, value] as const];
    }),
  );
}

/** `replaces`: defaults take the place of the placeholder; job variables only join what is a mapping already. */
function mergeEnv(base: unknown, more: unknown, replaces: boolean): unknown {
  if (!isMapping(more) || Object.keys(more).length === 0) {
    return base;
  }
  if (isMapping(base)) {
    return { ...base, ...more };
  }
  return replaces ? more : base;
}

function expandDotted(jobVariables: JsonObject): JsonObject {
  const expanded: JsonObject = {};
  for (const [key, value] of Object.entries(jobVariables)) {
    if (key.includes(".")) {
      setByPath(expanded, key.split("."), value);
    }
  }
  for (const [key, value] of Object.entries(jobVariables)) {
    if (!key.includes(".")) {
      expanded[key] = mergeDeep(expanded[key], value);
    }
  }
  return expanded;
}

function setByPath(target: JsonObject, [first = "", ...rest]: string[], value: unknown): void {
  if (rest.length === 0) {
    target[first] = value;
    return;
  }
  const next = target[first];
  const below: JsonObject = isMapping(next) ? next : {};
  target[first] = below;
  setByPath(below, rest, value);
}

function mergeDeep(base: unknown, over: unknown): unknown {
  if (!isMapping(base) || !isMapping(over)) {
    return over;
  }
  const merged: JsonObject = { ...base };
  for (const [key, value] of Object.entries(over)) {
    merged[key] = mergeDeep(merged[key], value);
  }
  return merged;
}

const BlockReference = z.object({ $ref: z.object({ block_document_id: z.string() }) });

type ReferenceClient = {
  blockDocuments: Pick<PrefectClient["blockDocuments"], "find" | "findByName">;
  variables: Pick<PrefectClient["variables"], "findByName">;
};

/**
 * Fetches what a filled template still refers to: `{"$ref": {"block_document_id": …}}`, `{{ prefect.blocks… }}`,
 * `{{ prefect.variables… }}`. The answer holds secrets: never log it. Throws JOB_INVALID, TEMPLATE_UNRESOLVED.
 */
export async function resolveReferences(client: ReferenceClient, configuration: JsonObject): Promise<JsonObject> {
  const withBlocks = await resolveBlockReferences(client, configuration);
  const resolved = await fillServerValues(withBlocks, {
    findBlockData: async (typeSlug, name) => (await client.blockDocuments.findByName(typeSlug, name))?.data,
    findVariable: async (name) => await client.variables.findByName(name),
  });
  return JsonObject.parse(resolved);
}

async function resolveBlockReferences(client: ReferenceClient, value: unknown): Promise<unknown> {
  const reference = BlockReference.safeParse(value);
  if (reference.success) {
    const id = reference.data.$ref.block_document_id;
    const block = await client.blockDocuments.find(id);
    if (block === undefined) {
      throw new UserError("JOB_INVALID", `A job variable refers to block document ${id}, which does not exist.`, {
        hint: "Create the block again and name it in the job variables.",
      });
    }
    return block.data;
  }
  if (Array.isArray(value)) {
    return Promise.all(value.map((item) => resolveBlockReferences(client, item)));
  }
  if (isMapping(value)) {
    const entries = await Promise.all(
      Object.entries(value).map(async ([key, item]) => [key, await resolveBlockReferences(client, item)] as const),
    );
    return Object.fromEntries(entries);
  }
  return value;
}
