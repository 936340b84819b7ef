import { compileSchema, type SchemaCache, type Validate } from "../../prefect-api/json-schema.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import { listPlaceholders } from "../../prefect-api/templating.ts";
import { errorMessage, UserError } from "../../shared/errors.ts";

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Why a base job template cannot be used, in Prefect's words; undefined when it can. An empty one can. */
export function findTemplateProblem(template: JsonObject): string | undefined {
  if (Object.keys(template).length === 0) {
    return undefined;
  }
  const { job_configuration: configuration, variables } = template;
  if (!isObject(configuration) || !isObject(variables)) {
    return "The `base_job_template` must contain both a `job_configuration` key and a `variables` key.";
  }
  const declared = isObject(variables["properties"]) ? variables["properties"] : {};
  const used = listPlaceholders(configuration).map((placeholder) => placeholder.name);
  const undeclared = [...new Set(used)].filter((name) => !(name in declared));
  return undeclared.length === 0
    ? undefined
    : "The variables specified in the job configuration template must be present as properties in the variables " +
        `schema. Your job configuration uses the following undeclared variable(s): ${undeclared.join(" ,")}.`;
}

/** Throws UserError INVALID_JOB_TEMPLATE when the variables are no JSON schema, or a default does not fit it. */
export function checkTemplateDefaults(template: JsonObject): void {
  const { variables } = template;
  if (!isObject(variables)) {
    return;
  }
  const validate = compileVariables(variables, false);
  const { values } = listDefaults(variables);
  const problem = validate(values);
  if (problem !== undefined) {
    throw new UserError("INVALID_JOB_TEMPLATE", `Validation failed for work pool's job variable defaults: ${problem}`);
  }
}

function compileVariables(variables: JsonObject, complete: boolean): Validate {
  try {
    return compileSchema(variables, { ignoreRequired: !complete, allowNullWithDefault: true });
  } catch (error) {
    throw new UserError("INVALID_JOB_TEMPLATE", `Invalid schema: ${errorMessage(error)}`, { cause: error });
  }
}

/** Defaults that refer to a block are left to the worker: it resolves them. */
function listDefaults(variables: JsonObject): { values: JsonObject; hasReferences: boolean } {
  const properties = isObject(variables["properties"]) ? variables["properties"] : {};
  const defaults = Object.entries(properties).flatMap(([name, property]) =>
    isObject(property) && "default" in property ? [[name, property["default"]] as const] : [],
  );
  const values = Object.fromEntries(defaults.filter(([, value]) => !(isObject(value) && "$ref" in value)));
  return { values, hasReferences: Object.keys(values).length < defaults.length };
}

export interface PoolTemplate {
  id: string;
  /** Changes whenever the template does. */
  updated: string;
  /** Only called for a template that has not been seen. Answers undefined when the pool has gone. */
  load(): Promise<JsonObject | undefined>;
}

/**
 * Why layers of job variables, later ones winning, do not fit the pool's base job template; undefined when they do.
 * `complete`: these are all layers, so every required key must be there, if only by its default.
 * Throws UserError INVALID_JOB_TEMPLATE. Source: prefect/server/api/validation.py.
 */
export async function findJobVariableProblem(
  schemas: SchemaCache,
  pool: PoolTemplate,
  layers: readonly JsonObject[],
  complete: boolean,
): Promise<string | undefined> {
  const key = `job-variables:${pool.id}:${pool.updated}:${complete}`;
  const validate = schemas.find(key) ?? schemas.put(key, buildValidate(await pool.load(), complete));
  return validate(Object.assign({}, ...layers));
}

function buildValidate(template: JsonObject | undefined, complete: boolean): Validate {
  const variables = template?.["variables"];
  if (!isObject(variables) || Object.keys(variables).length === 0) {
    return () => undefined;
  }
  const { values, hasReferences } = listDefaults(variables);
  const validateLayer = compileVariables(variables, false);
  const fitting = Object.fromEntries(
    Object.entries(values).filter(([name, value]) => validateLayer({ [name]: value }) === undefined),
  );
  // Where a default is missing here, a required key may seem to be: Prefect then does not ask for any.
  const askRequired = complete && !hasReferences && Object.keys(fitting).length === Object.keys(values).length;
  const validate = askRequired ? compileVariables(variables, true) : validateLayer;
  return (given) => validate(isObject(given) ? { ...fitting, ...given } : given);
}
