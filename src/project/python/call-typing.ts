import type { Site } from "./interpreter.ts";
import { iterate } from "./iterate.ts";
import { makeObject } from "./known-objects.ts";
import { uniteTypes } from "./operators.ts";
import {
  type CallArguments,
  type ClassValue,
  int,
  isSequence,
  known,
  NO_ARGUMENTS,
  type Scope,
  unknown,
  type Value,
} from "./value.ts";

/** Calls that make types, fields and constraints; null if it is none of them. */
export function callTyping(name: string, args: CallArguments, site: Site): Value | null {
  const [first, second] = args.positional;
  switch (name) {
    case "typing.NewType":
      return first?.kind === "str" && second !== undefined
        ? { kind: "newtype", name: first.value, base: second }
        : null;
    case "typing.TypeVar":
      return first?.kind === "str"
        ? {
            kind: "typevar",
            name: first.value,
            bound: args.named.get("bound") ?? null,
            constraints: args.positional.slice(1),
          }
        : null;
    case "typing.cast":
      return second ?? null;
    case "typing.TypeAliasType":
      return second ?? null;
    case "typing.TypedDict":
    case "typing_extensions.TypedDict":
      return functionalClass(known(name), first, dictPairs(second), args, site);
    case "typing.NamedTuple":
      return functionalClass(known(name), first, listPairs(second), args, site);
    case "enum.Enum":
    case "enum.IntEnum":
    case "enum.StrEnum":
      return second === undefined ? null : functionalEnum(name, first, second, site);
    case "enum.auto":
      return makeObject("enum.auto", NO_ARGUMENTS);
    case "dataclasses.dataclass":
    case "pydantic.dataclasses.dataclass":
      return callDataclass(name, args);
    case "attrs.define":
    case "attrs.frozen":
    case "attrs.mutable":
    case "attrs.s":
    case "attrs.attrs":
    case "typing.runtime_checkable":
      return decorateClass(name, args);
    default:
      return constrainedType(name, args) ?? annotation(name, args);
  }
}

function callDataclass(name: string, args: CallArguments): Value | null {
  const [type] = args.positional;
  if (type?.kind !== "class") return { kind: "partial", callee: known(name), args };
  // The decorator gives back the class it gets: other names for it must see the change.
  type.dataclass = { library: name.startsWith("pydantic") ? "pydantic" : "stdlib", options: args.named };
  return type;
}

function decorateClass(name: string, args: CallArguments): Value | null {
  const [type] = args.positional;
  if (type?.kind !== "class") return type === undefined ? { kind: "partial", callee: known(name), args } : null;
  if (name === "typing.runtime_checkable") type.isRuntimeCheckable = true;
  return type;
}

const CONSTRAINED: Readonly<Record<string, string>> = {
  conint: "int",
  confloat: "float",
  constr: "str",
  conbytes: "bytes",
  condecimal: "decimal.Decimal",
  condate: "datetime.date",
  conlist: "list",
  conset: "set",
  confrozenset: "frozenset",
};

/** `conint(gt=0)` and its kin are annotated types. */
function constrainedType(name: string, args: CallArguments): Value | null {
  if (!name.startsWith("pydantic.")) return null;
  const base = CONSTRAINED[name.slice("pydantic.".length)];
  if (base === undefined) return null;
  const item = args.positional[0] ?? args.named.get("item_type");
  const isContainer = /^(?:list|set|frozenset)$/.test(base);
  const type: Value =
    isContainer && item !== undefined ? { kind: "generic", origin: known(base), args: [item] } : known(base);
  const kind = base === "str" ? "pydantic.StringConstraints" : "pydantic.Field";
  const named = new Map([...args.named].filter(([key]) => key !== "item_type"));
  return {
    kind: "annotated",
    base: type,
    metadata: [makeObject(kind, { positional: [], named, isPartial: args.isPartial })],
  };
}

/** Objects whose only use is to stand in an annotation or as a field's default: they keep their arguments. */
function annotation(name: string, args: CallArguments): Value | null {
  const isAnnotation =
    name.startsWith("annotated_types.") ||
    /^pydantic\.(?:Field|PrivateAttr|StringConstraints|AfterValidator|BeforeValidator|PlainValidator|WrapValidator|PlainSerializer|WrapSerializer|SkipValidation|InstanceOf|Tag|Discriminator|AliasChoices|AliasPath|WithJsonSchema|Strict|ConfigDict|alias_generators\.\w+)$/.test(
      name,
    ) ||
    /^(?:dataclasses\.(?:field|KW_ONLY|InitVar)|typing\.Doc|attrs\.(?:field|ib|attrib|Factory)|pydantic_settings\.SettingsConfigDict|pydantic\.GetCoreSchemaHandler)$/.test(
      name,
    );
  if (isAnnotation) return makeObject(name, args);
  // A validator decorator: what it makes is only known by its name and options.
  if (
    /^pydantic\.(?:field_validator|model_validator|computed_field|field_serializer|model_serializer|validator|root_validator)$/.test(
      name,
    )
  ) {
    const [decorated] = args.positional;
    const isDecorating = decorated !== undefined && decorated.kind !== "str";
    return isDecorating
      ? makeObject(name, args)
      : { kind: "partial", callee: known(name), args: { ...args, positional: [] } };
  }
  return null;
}

function functionalClass(
  base: Value,
  name: Value | undefined,
  fields: [string, Value][] | null,
  args: CallArguments,
  site: Site,
): Value | null {
  if (name?.kind !== "str" || fields === null) return null;
  return createClass(name.value, [base], site, { keywords: args.named, fields });
}

function createClass(
  name: string,
  bases: Value[],
  site: Site,
  content: { keywords: Map<string, Value>; fields: [string, Value][] },
): ClassValue {
  const scope: Scope = {
    names: new Map(),
    parent: site.scope,
    module: site.scope.module,
    kind: "class",
    isOpen: false,
    qualname: name,
    annotations: [],
  };
  return {
    kind: "class",
    name,
    qualname: name,
    scope,
    bases,
    keywords: content.keywords,
    attributes: scope.names,
    annotations: content.fields.map(([field, value]) => ({ name: field, annotation: { kind: "value", value } })),
    docstring: null,
    definition: { at: site.at },
    typeParameters: [],
    dataclass: null,
    isRuntimeCheckable: false,
  };
}

function dictPairs(value: Value | undefined): [string, Value][] | null {
  if (value?.kind !== "dict") return null;
  return value.entries.flatMap((entry): [string, Value][] =>
    entry.key.kind === "str" ? [[entry.key.value, entry.value]] : [],
  );
}

function listPairs(value: Value | undefined): [string, Value][] | null {
  if (value === undefined || !isSequence(value)) return null;
  const pairs: [string, Value][] = [];
  for (const item of value.items) {
    const [name, type] = isSequence(item) ? item.items : [];
    if (name?.kind !== "str" || type === undefined) return null;
    pairs.push([name.value, type]);
  }
  return pairs;
}

function functionalEnum(base: string, name: Value | undefined, content: Value, site: Site): Value {
  const pairs = content.kind === "dict" ? dictPairs(content) : (listPairs(content) ?? numberedNames(content));
  if (name?.kind !== "str" || pairs === null) return unknown("its members are not known");
  const type = createClass(name.value, [known(base)], site, { keywords: new Map(), fields: [] });
  for (const [member, value] of pairs) type.attributes.set(member, { kind: "member", type, name: member, value });
  return type;
}

function numberedNames(content: Value): [string, Value][] | null {
  const names =
    content.kind === "str"
      ? content.value.split(/[\s,]+/).filter((name) => name !== "")
      : iterate(content)?.map((item) => (item.kind === "str" ? item.value : ""));
  return names === undefined ? null : names.map((name, index) => [name, int(index + 1)]);
}

/** The type behind `T` where nothing says what it stands for. */
export function typeOfVariable(variable: Extract<Value, { kind: "typevar" }>): Value {
  if (variable.bound !== null) return variable.bound;
  return variable.constraints.length > 0 ? uniteTypes(variable.constraints) : known("typing.Any");
}
