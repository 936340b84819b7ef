import { signatureOf } from "./call-flow.ts";
import type { ReaderOfPython } from "./create-interpreter.ts";
import { cleanDocstring, parameterDescriptions } from "./docstring.ts";
import { OutOfSteps, PythonError, type Site } from "./interpreter.ts";
import { toJson } from "./json-value.ts";
import { parseExpressionText } from "./parse-module.ts";
import { createModule } from "./project-modules.ts";
import { type Json, NoSchema, type Schema, type SchemaBuilder, sortKeys } from "./schema.ts";
import type { Expression } from "./syntax.ts";
import { typeSchema } from "./type-schema.ts";
import {
  type Annotation,
  type FlowValue,
  type FunctionValue,
  known,
  type ParameterValue,
  type Scope,
  type Value,
} from "./value.ts";

/** A schema as the deployment's `parameter_openapi_schema`. */
export interface ParameterSchema {
  title: "Parameters";
  type: "object";
  properties: Record<string, Json>;
  required?: string[];
  definitions?: Record<string, Json>;
}

export interface ParameterDoubt {
  message: string;
  site: Site;
}

const ANY: Value = known("typing.Any");

/** The names that pydantic sees where Prefect makes its model: a quoted type that Python could not resolve is looked up there. */
const NAMES_OF_PREFECT: readonly (readonly [string, string])[] = [
  ["typing", "typing"],
  ["t", "typing"],
  ["pydantic", "pydantic"],
  ["inspect", "inspect"],
  ["ConfigDict", "pydantic.ConfigDict"],
  ["FieldInfo", "pydantic.FieldInfo"],
  ["TypeAdapter", "pydantic.TypeAdapter"],
];

/** The parameter schema of a flow, key for key what Prefect sends, and what had to be left open in it. */
export function parameterSchema(
  flow: FlowValue,
  interpreter: ReaderOfPython,
): { schema: ParameterSchema; doubts: ParameterDoubt[] } {
  const fn = signatureOf(flow.function);
  const types = resolveAnnotations(fn, interpreter);
  const docstring = flow.function.docstring;
  const descriptions = parameterDescriptions(docstring === null ? "" : cleanDocstring(docstring));
  const builder = createBuilder(interpreter);
  const schema: ParameterSchema = { title: "Parameters", type: "object", properties: {} };
  const required: string[] = [];
  const doubts: ParameterDoubt[] = [];
  for (const [position, parameter] of fn.parameters.entries()) {
    if (parameter.name === "self" || parameter.name === "cls") continue;
    interpreter.refill();
    const built = buildParameter(parameter, types.get(parameter.name) ?? ANY, builder);
    const description = built.description ?? descriptions.get(parameter.name);
    const property: Schema = { ...built.schema, position, title: parameter.name, ...built.extra };
    if (description !== undefined) property.description = description;
    const fallback = addDefault(property, built.default, parameter, builder);
    if (fallback) required.push(parameter.name);
    schema.properties[parameter.name] = sortKeys(property);
    for (const why of new Set(builder.doubts)) {
      doubts.push({ message: `parameter "${parameter.name}": ${why}`, site: { scope: fn.scope, at: parameter.at } });
    }
    builder.doubts.length = 0;
  }
  if (required.length > 0) schema.required = required;
  const definitions = [...builder.definitions].toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (definitions.length > 0)
    schema.definitions = Object.fromEntries(definitions.map(([name, one]) => [name, sortKeys(one.schema)]));
  return { schema, doubts };
}

function createBuilder(interpreter: ReaderOfPython): SchemaBuilder {
  const { scope } = createModule("prefect", { file: "", text: "", md5: "" });
  for (const [name, path] of NAMES_OF_PREFECT) scope.names.set(name, known(path));
  const builder: SchemaBuilder = {
    interpreter,
    definitions: new Map(),
    doubts: [],
    scope,
    variables: new Map(),
    depth: 0,
    build: (type) => typeSchema(type, builder),
  };
  return builder;
}

/**
 * Evaluates quoted and postponed annotations as `inspect.signature(eval_str=True)` does: in the module's names, all
 * or none. Throws PythonError SyntaxError for a quoted one that is no expression.
 */
function resolveAnnotations(fn: FunctionValue, interpreter: ReaderOfPython): Map<string, Value> {
  const globals = globalsOf(fn.scope);
  const types = new Map<string, Value>();
  try {
    for (const { name, annotation, at } of fn.parameters) {
      if (annotation !== null) types.set(name, evaluateAnnotation(annotation, globals, at, interpreter));
    }
    if (fn.returns !== null) evaluateAnnotation(fn.returns, globals, fn.definition.at, interpreter);
    return types;
  } catch (error) {
    if (!(error instanceof PythonError) || !/^(?:NameError|TypeError)$/.test(error.failure.type)) throw error;
  }
  for (const { name, annotation } of fn.parameters) {
    if (annotation?.kind === "value") types.set(name, annotation.value);
    else if (annotation !== null)
      types.set(name, {
        kind: "alias",
        name,
        expression: annotation.expression,
        scope: createBuilder(interpreter).scope,
      });
  }
  return types;
}

function globalsOf(scope: Scope): Scope {
  return scope.module.scope;
}

function evaluateAnnotation(annotation: Annotation, scope: Scope, at: number, interpreter: ReaderOfPython): Value {
  if (annotation.kind === "later") return interpreter.evaluate(annotation.expression, scope);
  if (annotation.value.kind !== "str") return annotation.value;
  const expression: Expression | null = parseExpressionText(annotation.value.value);
  if (expression === null)
    throw new PythonError("SyntaxError", `the quoted annotation '${annotation.value.value}' is no expression`, {
      scope,
      at,
    });
  return interpreter.evaluate(expression, scope);
}

interface BuiltParameter {
  schema: Schema;
  extra: Schema;
  default: Value | null;
  description: string | undefined;
}

function buildParameter(parameter: ParameterValue, annotated: Value, builder: SchemaBuilder): BuiltParameter {
  const field =
    parameter.default?.kind === "object" && parameter.default.type === "pydantic.Field" ? parameter.default.args : null;
  const type = parameterType(parameter, withoutTexts(annotated));
  const built: BuiltParameter = {
    schema: buildType(type, builder),
    extra: {},
    default: parameter.default,
    description: undefined,
  };
  if (parameter.kind === "args") built.default = { kind: "list", items: [] };
  if (parameter.kind === "kwargs") built.default = { kind: "dict", entries: [] };
  if (field !== null) {
    built.default = field.positional[0] ?? field.named.get("default") ?? null;
    const description = field.named.get("description");
    if (description?.kind === "str" && description.value !== "") built.description = description.value;
    const extra = field.named.get("json_schema_extra");
    const json = extra?.kind === "dict" ? toJson(extra, builder.interpreter) : null;
    if (json?.kind === "json" && typeof json.json === "object" && json.json !== null && !Array.isArray(json.json))
      built.extra = json.json;
  }
  if (built.default?.kind === "ellipsis") built.default = null;
  return built;
}

function parameterType({ kind }: ParameterValue, type: Value): Value {
  if (kind === "args") return { kind: "generic", origin: known("list"), args: [type] };
  return kind === "kwargs" ? { kind: "generic", origin: known("dict"), args: [known("str"), type] } : type;
}

/** Title and description of a parameter come from Prefect: those in its own `Annotated[…, Field()]` do not count. */
function withoutTexts(type: Value): Value {
  if (type.kind !== "annotated") return type;
  const metadata = type.metadata.map((one): Value => {
    if (one.kind !== "object" || one.type !== "pydantic.Field") return one;
    const named = new Map([...one.args.named].filter(([name]) => name !== "title" && name !== "description"));
    return { ...one, args: { ...one.args, named } };
  });
  return { ...type, metadata };
}

/** The type's schema; `{}` where pydantic has none, without what was already defined for it. */
function buildType(type: Value, builder: SchemaBuilder): Schema {
  const before = new Map(builder.definitions);
  try {
    return builder.build(type).schema;
  } catch (error) {
    const isUnresolved = error instanceof PythonError && error.failure.type === "NameError";
    const isEndless = error instanceof OutOfSteps;
    if (!(error instanceof NoSchema) && !isUnresolved && !isEndless) throw error;
    if (isEndless) builder.doubts.push("its type is too large to describe");
    builder.depth = 0;
    builder.definitions.clear();
    for (const [name, definition] of before) builder.definitions.set(name, definition);
    return {};
  }
}

/** Sets the default; true if the parameter has none and must be given. */
function addDefault(property: Schema, value: Value | null, parameter: ParameterValue, builder: SchemaBuilder): boolean {
  if (value === null) return true;
  const result = toJson(value, builder.interpreter);
  if (result.kind === "json") property.default = result.json;
  if (result.kind === "unknown") builder.doubts.push(`its default is left out of the schema: ${result.why}`);
  return parameter.default === null && parameter.kind !== "args" && parameter.kind !== "kwargs";
}
