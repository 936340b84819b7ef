import { ancestorsOf, kindOfClass } from "./class-kind.ts";
import type { Interpreter } from "./interpreter.ts";
import type { Annotation, CallArguments, ClassValue, Scope, Value } from "./value.ts";

/** A field of a model, dataclass, typed dict or named tuple, before its type is looked at. */
export interface FieldOfClass {
  name: string;
  /** The name under which it is given. */
  alias: string;
  annotation: Value;
  /** What the class body assigns: `Field(…)`, `field(…)` or a plain value. */
  options: CallArguments | null;
  default: Value | null;
  factory: Value | null;
  owner: ClassValue;
}

/** Fields in the order in which Python collects them: an ancestor's first. Null if they cannot be known. */
export function fieldsOfClass(type: ClassValue, interpreter: Interpreter): FieldOfClass[] | null {
  const kind = kindOfClass(type);
  if (kind === "unknown") return null;
  const fields = new Map<string, FieldOfClass>();
  for (const owner of ancestorsOf(type).toReversed()) {
    for (const { name, annotation } of owner.annotations) {
      const resolved = resolveAnnotation(annotation, owner, interpreter);
      if (isNoField(name, resolved, kind)) continue;
      fields.set(name, makeField(name, resolved, owner));
    }
    if (owner.scope.isOpen) return null;
  }
  return [...fields.values()];
}

/** Evaluates an annotation where the class stands; quoted names may be of the class itself. */
export function resolveAnnotation(annotation: Annotation, owner: ClassValue, interpreter: Interpreter): Value {
  if (annotation.kind === "value") return annotation.value;
  const scope: Scope = {
    ...owner.scope,
    names: new Map([...owner.scope.names, [owner.name, owner]]),
    annotations: null,
  };
  return interpreter.evaluate(annotation.expression, scope);
}

function isNoField(name: string, annotation: Value, kind: string): boolean {
  const origin = annotation.kind === "generic" ? annotation.origin : annotation;
  if (origin.kind === "known" && /^(?:typing\.ClassVar|dataclasses\.KW_ONLY)$/.test(origin.name)) return true;
  return kind === "model" && (name.startsWith("_") || name === "model_config");
}

function makeField(name: string, annotation: Value, owner: ClassValue): FieldOfClass {
  const assigned = owner.attributes.get(name) ?? null;
  const field: FieldOfClass = { name, alias: name, annotation, options: null, default: assigned, factory: null, owner };
  for (const options of [...annotatedFields(annotation), assigned]) {
    if (options?.kind !== "object" || !/^(?:pydantic\.Field|dataclasses\.field)$/.test(options.type)) continue;
    if (options === assigned) {
      field.options = options.args;
      field.default = null;
    }
    const isPydantic = options.type === "pydantic.Field";
    const value = options.args.named.get("default") ?? (isPydantic ? options.args.positional[0] : undefined);
    if (value !== undefined && value.kind !== "ellipsis") field.default = value;
    field.factory = options.args.named.get("default_factory") ?? field.factory;
    const alias = options.args.named.get("validation_alias") ?? options.args.named.get("alias");
    if (alias?.kind === "str") field.alias = alias.value;
  }
  if (field.default?.kind === "ellipsis" && field.options === null) field.default = null;
  return field;
}

/** `Field(…)` among the metadata of `Annotated`. */
export function annotatedFields(annotation: Value): Value[] {
  return annotation.kind === "annotated"
    ? annotation.metadata.filter((one) => one.kind === "object" && one.type === "pydantic.Field")
    : [];
}
