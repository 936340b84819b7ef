import { isJsonObject, parseExactJson } from "../../prefect-api/exact-json.ts";
import type { JsonObject } from "../../prefect-api/primitives.ts";
import { errorMessage, UserError } from "../../shared/errors.ts";

/** Marks a value that is to be dropped from what holds it. */
const REMOVED = Symbol("removed");

type FindVariable = (name: string) => unknown;

/** Every workspace variable that the parameters name, so that they can be read before `hydrateParameters`. */
export function listVariableNames(parameters: unknown): string[] {
  if (Array.isArray(parameters)) {
    return parameters.flatMap(listVariableNames);
  }
  if (!isJsonObject(parameters)) {
    return [];
  }
  const own =
    parameters["__prefect_kind"] === "workspace_variable" && typeof parameters["variable_name"] === "string"
      ? [parameters["variable_name"]]
      : [];
  return [...own, ...Object.values(parameters).flatMap(listVariableNames)];
}

/**
 * Replaces `{"__prefect_kind": "json" | "jinja" | "workspace_variable" | "none", …}` by what it stands for.
 * `findVariable` answers undefined for an unknown variable. Throws UserError INVALID_PARAMETER_TEMPLATE.
 * Source: prefect/utilities/schema_tools/hydration.py.
 */
export function hydrateParameters(parameters: JsonObject, findVariable: FindVariable): JsonObject {
  const hydrated = hydrate(parameters, findVariable);
  return isJsonObject(hydrated) ? hydrated : {};
}

/** The same, and the error says whose parameters they are. */
export function hydrateParametersOf(
  owner: "deployment" | "flow run",
  parameters: JsonObject,
  findVariable: FindVariable,
): JsonObject {
  try {
    return hydrateParameters(parameters, findVariable);
  } catch (error) {
    throw error instanceof UserError
      ? new UserError(error.code, `Error hydrating ${owner} parameters: ${error.message}`, { cause: error })
      : error;
  }
}

function hydrate(value: unknown, findVariable: FindVariable): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => hydrate(item, findVariable)).filter((item) => item !== REMOVED);
  }
  if (!isJsonObject(value)) {
    return value;
  }
  if ("__prefect_kind" in value) {
    return hydrateKind(value, findVariable);
  }
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, hydrate(item, findVariable)] as const)
      .filter(([, item]) => item !== REMOVED),
  );
}

function hydrateKind(value: JsonObject, findVariable: FindVariable): unknown {
  switch (value["__prefect_kind"]) {
    case "none":
      return "value" in value
        ? hydrate(value["value"], findVariable)
        : refuse("Missing 'value' key in __prefect object");
    case "json":
      return "value" in value ? readJson(hydrateNested(value["value"], findVariable)) : REMOVED;
    case "jinja":
      return "template" in value
        ? render(hydrateNested(value["template"], findVariable))
        : refuse("Missing 'template' key in __prefect object");
    case "workspace_variable":
      return "variable_name" in value
        ? readVariable(hydrateNested(value["variable_name"], findVariable), findVariable)
        : REMOVED;
    default:
      return value["value"] ?? null;
  }
}

function hydrateNested(value: unknown, findVariable: FindVariable): unknown {
  return isJsonObject(value) ? hydrate(value, findVariable) : value;
}

function readJson(value: unknown): unknown {
  if (typeof value !== "string") {
    return value;
  }
  try {
    return parseExactJson(value);
  } catch (error) {
    return refuse(`Invalid JSON: ${errorMessage(error)}`);
  }
}

/** Parameters are rendered without any values, so a template is either plain text or a mistake. */
function render(template: unknown): unknown {
  if (typeof template !== "string" || /\{[{%#]/.test(template)) {
    return refuse("Invalid jinja: expressions in parameters are not supported by this server");
  }
  return template;
}

function readVariable(name: unknown, findVariable: FindVariable): unknown {
  if (name === REMOVED) {
    return REMOVED;
  }
  const found = typeof name === "string" ? findVariable(name) : undefined;
  return found === undefined ? refuse(`Variable '${String(name)}' not found in workspace.`) : found;
}

function refuse(reason: string): never {
  throw new UserError("INVALID_PARAMETER_TEMPLATE", reason);
}
