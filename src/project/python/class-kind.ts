import type { ClassValue, Value } from "./value.ts";

/** What pydantic makes of a class. `unknown`: it derives from something that we cannot see. */
export type ClassKind =
  | "enum"
  | "model"
  | "dataclass"
  | "typed-dict"
  | "named-tuple"
  | "protocol"
  | "plain"
  | "unknown";

const KIND_OF_BASE: Readonly<Record<string, ClassKind>> = {
  "enum.Enum": "enum",
  "enum.IntEnum": "enum",
  "enum.StrEnum": "enum",
  "enum.Flag": "enum",
  "enum.IntFlag": "enum",
  "pydantic.BaseModel": "model",
  "pydantic.RootModel": "model",
  "pydantic_settings.BaseSettings": "model",
  "typing.TypedDict": "typed-dict",
  "typing_extensions.TypedDict": "typed-dict",
  "typing.NamedTuple": "named-tuple",
  "typing.Protocol": "protocol",
};

/** Known bases that leave a class plain: pydantic only asks whether a value is an instance. */
const PLAIN_BASES: ReadonlySet<string> = new Set(
  `object abc.ABC typing.Generic str int float bool bytes dict list tuple set frozenset complex Exception BaseException ValueError TypeError
RuntimeError KeyError LookupError OSError collections.UserDict collections.UserList collections.OrderedDict threading.Thread
logging.Handler logging.Logger logging.Formatter logging.Filter json.JSONEncoder`.split(/\s+/),
);

/** The known name behind a base class, with or without type arguments. */
export function nameOfBase(base: Value): string | null {
  if (base.kind === "known") return base.name;
  return base.kind === "generic" && base.origin.kind === "known" ? base.origin.name : null;
}

export function classOfBase(base: Value): ClassValue | null {
  if (base.kind === "class") return base;
  return base.kind === "generic" && base.origin.kind === "class" ? base.origin : null;
}

/** More ancestors than this are not followed. */
const MAX_ANCESTORS = 200;

/** The class and its ancestors in the order in which attributes are looked up. */
export function ancestorsOf(type: ClassValue): ClassValue[] {
  const seen = new Set<ClassValue>();
  const order: ClassValue[] = [];
  const visit = (one: ClassValue): void => {
    if (seen.has(one) || seen.size >= MAX_ANCESTORS) return;
    seen.add(one);
    for (const base of one.bases.toReversed()) {
      const parent = classOfBase(base);
      if (parent !== null) visit(parent);
    }
    order.push(one);
  };
  visit(type);
  return order.toReversed();
}

/** The known names that a class derives from, nearest first. */
export function knownBasesOf(type: ClassValue): string[] {
  return ancestorsOf(type).flatMap((one) => one.bases.flatMap((base) => nameOfBase(base) ?? []));
}

export function kindOfClass(type: ClassValue): ClassKind {
  const ancestors = ancestorsOf(type);
  if (ancestors.length >= MAX_ANCESTORS) return "unknown";
  const names = knownBasesOf(type);
  if (type.dataclass !== null) return "dataclass";
  for (const name of names) {
    const kind = KIND_OF_BASE[name];
    // A class that implements a protocol is no protocol itself.
    if (kind === "protocol" && !type.bases.some((base) => nameOfBase(base) === name)) continue;
    if (kind !== undefined) return kind;
  }
  if (ancestors.some((one) => one.dataclass !== null)) return "dataclass";
  const isPlain = ancestors.every((one) =>
    one.bases.every((base) => {
      const name = nameOfBase(base);
      return (
        classOfBase(base) !== null ||
        (name !== null && (PLAIN_BASES.has(name) || name.startsWith("collections.abc.") || name === "typing.Protocol"))
      );
    }),
  );
  return isPlain ? "plain" : "unknown";
}

/** An attribute as Python finds it: in the class, then in its ancestors. */
export function classAttribute(type: ClassValue, name: string): Value | null {
  for (const one of ancestorsOf(type)) {
    const value = one.attributes.get(name);
    if (value !== undefined) return value;
  }
  return null;
}
