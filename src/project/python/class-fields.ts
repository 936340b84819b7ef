import { ancestorsOf, kindOfClass, nameOfBase } from "./class-kind.ts";
import type { Interpreter } from "./interpreter.ts";
import { aliasGeneratorOf } from "./model-settings.ts";
import {
  type Annotation,
  type CallArguments,
  type ClassValue,
  NONE,
  type Scope,
  truthOf,
  type Value,
} from "./value.ts";

/** A field of a model, dataclass, typed dict or named tuple, before its type is looked at. */
export interface FieldOfClass {
  name: string;
  /** The name under which it is given. */
  alias: string;
  /** The name under which it is written. */
  writtenName: string;
  annotation: Value;
  /** What the class body assigns: `Field(…)`, `field(…)` or a plain value. */
  options: CallArguments | null;
  default: Value | null;
  factory: Value | null;
  isKeywordOnly: boolean;
  owner: ClassValue;
}

/** Fields in the order in which Python collects them: an ancestor's first. Null if they cannot be known. */
export function fieldsOfClass(type: ClassValue, interpreter: Interpreter): FieldOfClass[] | null {
  const kind = kindOfClass(type);
  if (kind === "unknown") return null;
  const rename = aliasGeneratorOf(type);
  const fields = new Map<string, FieldOfClass>();
  for (const owner of ancestorsOf(type).toReversed()) {
    if (owner.scope.isOpen || rename === null) return null;
    let isKeywordOnly = truthOf(owner.dataclass?.options.get("kw_only") ?? NONE) === true;
    for (const { name, annotation } of annotationsOf(owner)) {
      const resolved = resolveAnnotation(annotation, owner, interpreter);
      if (resolved.kind === "known" && resolved.name === "dataclasses.KW_ONLY") isKeywordOnly = true;
      if (isNoField(name, resolved, kind)) continue;
      const field = makeField({ name, annotation: resolved, owner, isKeywordOnly }, rename);
      if (field === null) return null;
      fields.set(name, field);
    }
  }
  // A dataclass lists what can only be given by name last.
  return [...fields.values()].toSorted((a, b) => Number(a.isKeywordOnly) - Number(b.isKeywordOnly));
}

/** What the class body annotates; what a `RootModel[…]` holds counts as a field `root`. */
function annotationsOf(owner: ClassValue): { name: string; annotation: Annotation }[] {
  const base = owner.bases.find((one) => nameOfBase(one) === "pydantic.RootModel");
  if (base === undefined || owner.annotations.some(({ name }) => name === "root")) return owner.annotations;
  const value: Value = (base.kind === "generic" ? base.args[0] : undefined) ?? { kind: "known", name: "typing.Any" };
  return [{ name: "root", annotation: { kind: "value", value } }, ...owner.annotations];
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

type FieldStart = Pick<FieldOfClass, "name" | "annotation" | "owner" | "isKeywordOnly">;

/** Null if its name cannot be known. */
function makeField(start: FieldStart, rename: (name: string) => string): FieldOfClass | null {
  const assigned = start.owner.attributes.get(start.name) ?? null;
  const renamed = rename(start.name);
  const field: FieldOfClass = {
    ...start,
    alias: renamed,
    writtenName: renamed,
    options: null,
    default: assigned,
    factory: null,
  };
  for (const options of [...annotatedFields(start.annotation), assigned]) {
    if (options?.kind !== "object" || !/^(?:pydantic\.Field|dataclasses\.field)$/.test(options.type)) continue;
    if (options === assigned) {
      field.options = options.args;
      field.default = null;
    }
    const { named, positional } = options.args;
    const value = named.get("default") ?? (options.type === "pydantic.Field" ? positional[0] : undefined);
    if (value !== undefined && value.kind !== "ellipsis") field.default = value;
    field.factory = named.get("default_factory") ?? field.factory;
    if (truthOf(named.get("kw_only") ?? NONE) === true) field.isKeywordOnly = true;
    const alias = nameGiven(named.get("validation_alias") ?? named.get("alias"));
    const writtenName = nameGiven(named.get("serialization_alias") ?? named.get("alias"));
    if (alias === null || writtenName === null) return null;
    field.alias = alias ?? field.alias;
    field.writtenName = writtenName ?? field.writtenName;
  }
  if (field.default?.kind === "ellipsis" && field.options === null) field.default = null;
  return field;
}

/** An alias as text; of several choices the first. Undefined: none given. Null: not known. */
function nameGiven(alias: Value | undefined): string | null | undefined {
  if (alias === undefined || alias.kind === "none") return undefined;
  if (alias.kind === "str") return alias.value;
  const first =
    alias.kind === "object" && alias.type === "pydantic.AliasChoices" ? alias.args.positional[0] : undefined;
  return first?.kind === "str" ? first.value : null;
}

/** `Field(…)` among the metadata of `Annotated`. */
export function annotatedFields(annotation: Value): Value[] {
  return annotation.kind === "annotated"
    ? annotation.metadata.filter((one) => one.kind === "object" && one.type === "pydantic.Field")
    : [];
}
