import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { errorMessage } from "../shared/errors.ts";
import { isJsonObject, toOrdinaryNumbers, toOrdinaryObject } from "./exact-json.ts";
import type { JsonObject } from "./primitives.ts";
import { runWithin } from "./time-limit.ts";

/** Compiled schemas take some 20 kB each; a plane has about as many as it has deployments that are run. */
const MAX_COMPILED = 500;

/** What one validation, and one compilation, may take when somebody's schema could make it endless. */
const MAX_MILLISECONDS = 250;
/** Clock time, and the first compilation of a process is slow: a busy machine took 250 ms for a pool's own template. */
const MAX_COMPILE_MILLISECONDS = 2_000;
const MAX_HARMLESS_CHARACTERS = 20_000;
/** Patterns can backtrack for ever, unique items are compared in pairs, references can double at each level. */
const COSTLY = /"(?:pattern|patternProperties|uniqueItems|\$ref|\$dynamicRef)"/;

function buildAjv(): Ajv2020 {
  return new Ajv2020({
    strict: false,
    validateSchema: false,
    validateFormats: false,
    addUsedSchema: false,
    verbose: true,
    logger: false,
  });
}

let ajv = buildAjv();

/** Answers why a value does not fit, in Prefect's words, or undefined when it does. */
export type Validate = (value: unknown) => string | undefined;

export interface SchemaRules {
  /** Whether missing keys are forgiven: the value is one layer of several. */
  ignoreRequired: boolean;
  /** Whether an optional key may be null even when it has a default. */
  allowNullWithDefault: boolean;
}

/** Throws when the schema itself makes no sense: the message says why. */
export function compileSchema(schema: JsonObject, rules: SchemaRules): Validate {
  const prepared = prepareSchema(schema, rules);
  const text = JSON.stringify(prepared);
  const isCostly = COSTLY.test(text) || text.length > MAX_HARMLESS_CHARACTERS;
  const compile = () => ajv.compile(prepared);
  const validate = isCostly ? compileInTime(compile) : compile();
  // The instance keeps every schema it has seen; the function does not need it to.
  ajv.removeSchema(prepared);
  return (given) => {
    const value = toOrdinaryNumbers(given);
    try {
      const fits = isCostly ? runWithin(MAX_MILLISECONDS, () => validate(value)) : validate(value);
      return fits ? undefined : describe(validate.errors?.at(-1));
    } catch (error) {
      // A schema that refers to itself without end, or takes too long.
      return `Validation failed. Failure reason: ${errorMessage(error)}`;
    }
  };
}

function compileInTime<T>(compile: () => T): T {
  try {
    return runWithin(MAX_COMPILE_MILLISECONDS, compile);
  } catch (error) {
    // Cut off in the middle, the instance may be left in any state.
    ajv = buildAjv();
    throw error;
  }
}

/** Compiled schemas by a key that changes whenever the schema does; the least recently used goes first. */
export class SchemaCache {
  readonly #compiled = new Map<string, Validate>();

  find(key: string): Validate | undefined {
    const found = this.#compiled.get(key);
    if (found !== undefined) {
      this.put(key, found);
    }
    return found;
  }

  put(key: string, validate: Validate): Validate {
    this.#compiled.delete(key);
    this.#compiled.set(key, validate);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > MAX_COMPILED && oldest !== undefined) {
      this.#compiled.delete(oldest);
    }
    return validate;
  }
}

/**
 * What Prefect makes of a schema before it validates: optional keys of one type may also be null, tuples of older
 * pydantic become `prefixItems`, blocks may be given by reference. Source: prefect/utilities/schema_tools/validation.py.
 */
function prepareSchema(schema: JsonObject, rules: SchemaRules): JsonObject {
  const copy = toOrdinaryObject(schema);
  // Ids would be registered in the validator for all schemas together.
  delete copy["$id"];
  delete copy["$schema"];
  prepareProperties(copy, rules);
  const definitions = copy["definitions"];
  if (isJsonObject(definitions)) {
    for (const [name, definition] of Object.entries(definitions)) {
      if (isJsonObject(definition)) {
        prepareProperties(definition, rules);
        if ("block_type_slug" in definition) {
          definitions[name] = { oneOf: [definition, BLOCK_REFERENCE] };
        }
      }
    }
  }
  return rules.ignoreRequired ? withoutRequired(copy) : copy;
}

const BLOCK_REFERENCE = {
  type: "object",
  properties: {
    $ref: {
      oneOf: [{ type: "string" }, { type: "object", additionalProperties: { type: "string" }, minProperties: 1 }],
    },
  },
  required: ["$ref"],
};

function prepareProperties(schema: JsonObject, rules: SchemaRules): void {
  const properties = schema["properties"];
  if (!isJsonObject(properties)) {
    return;
  }
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  for (const [name, property] of Object.entries(properties)) {
    if (!isJsonObject(property)) {
      continue;
    }
    const nullable = !("default" in property) || rules.allowNullWithDefault;
    if (!required.includes(name) && "type" in property && property["type"] !== "null" && nullable) {
      property["anyOf"] = [{ type: property["type"] }, { type: "null" }];
      delete property["type"];
    }
    if (Array.isArray(property["items"]) && !("prefixItems" in property)) {
      property["prefixItems"] = property["items"];
      delete property["items"];
    }
    prepareProperties(property, rules);
  }
}

function withoutRequired(schema: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key, value]) => key !== "required" || !Array.isArray(value))
      .map(([key, value]) => [key, withoutRequiredInside(value)]),
  );
}

function withoutRequiredInside(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutRequiredInside);
  }
  return isJsonObject(value) ? withoutRequired(value) : value;
}

function describe(error: ErrorObject | undefined): string {
  if (error === undefined) {
    return "Validation failed.";
  }
  const path = error.instancePath
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : `${text}${text === "" ? "" : "."}${part}`), "");
  const where = path === "" ? "Validation failed." : `Validation failed for field '${path}'.`;
  return `${where} Failure reason: ${describeReason(error)}`;
}

/** The words of Python's jsonschema, which people find when they search for them. */
function describeReason(error: ErrorObject): string {
  const value = abbreviate(error.data);
  const params: JsonObject = error.params;
  switch (error.keyword) {
    case "type":
      return `${value} is not of type '${String(params["type"])}'`;
    case "required":
      return `'${String(params["missingProperty"])}' is a required property`;
    case "additionalProperties":
      return `Additional properties are not allowed ('${String(params["additionalProperty"])}' was unexpected)`;
    case "enum":
      return `${value} is not one of ${abbreviate(params["allowedValues"])}`;
    case "const":
      return `${abbreviate(params["allowedValue"])} was expected`;
    case "anyOf":
    case "oneOf":
      return `${value} is not valid under any of the given schemas`;
    default:
      return `${value} ${error.message ?? "is not valid"}`;
  }
}

const MAX_SHOWN_CHARACTERS = 200;

function abbreviate(value: unknown): string {
  const text = typeof value === "string" ? `'${value}'` : (JSON.stringify(value) ?? "null");
  return text.length <= MAX_SHOWN_CHARACTERS ? text : `${text.slice(0, MAX_SHOWN_CHARACTERS)}…`;
}
