import type { ClassDefinition, Expression, FunctionDefinition, ParameterKind } from "./syntax.ts";

/**
 * What an expression is known to be worth without running Python. `unknown` is contagious and always allowed;
 * `known` is a name of the standard library or an installed package, by its public path (`datetime.date`, `int`).
 */
export type Value =
  | { kind: "none" }
  | { kind: "ellipsis" }
  | { kind: "unknown"; why: string }
  | { kind: "bool"; value: boolean }
  | { kind: "int"; value: bigint }
  | { kind: "float"; value: number }
  | { kind: "complex"; real: number; imaginary: number }
  | { kind: "str"; value: string }
  | { kind: "bytes"; value: string }
  | SequenceValue
  | { kind: "dict"; entries: DictEntry[] }
  | { kind: "slice"; start: Value; stop: Value; step: Value }
  | KnownValue
  | ObjectValue
  | ModuleValue
  | FunctionValue
  | ClassValue
  | InstanceValue
  | MemberValue
  | FlowValue
  | { kind: "method"; self: Value; name: string }
  | { kind: "bound"; self: Value; function: FunctionValue }
  | { kind: "wrapper"; wrapper: "staticmethod" | "classmethod" | "property"; inner: Value }
  | { kind: "partial"; callee: Value; args: CallArguments }
  | TypeFormValue;

/** One member of the union per kind, so that a check of `kind` narrows it. */
export type SequenceValue =
  | { kind: "list"; items: Value[] }
  | { kind: "tuple"; items: Value[] }
  | { kind: "set"; items: Value[] }
  | { kind: "frozenset"; items: Value[] };

export interface DictEntry {
  key: Value;
  value: Value;
}

export interface KnownValue {
  kind: "known";
  name: string;
}

/** An instance of a known class: what it was made from, and its JSON form where it has one. */
export interface ObjectValue {
  kind: "object";
  type: string;
  args: CallArguments;
  /** As pydantic writes it; undefined: it has none that we know. */
  json: string | number | null | undefined;
}

/** A special form of `typing`, made by subscription or by a call. */
export type TypeFormValue =
  | { kind: "generic"; origin: Value; args: Value[] }
  | { kind: "union"; members: Value[] }
  | { kind: "annotated"; base: Value; metadata: Value[] }
  | { kind: "literal"; values: Value[] }
  | { kind: "newtype"; name: string; base: Value }
  | { kind: "typevar"; name: string; bound: Value | null; constraints: Value[] }
  /** A PEP 695 alias: evaluated when it is used, so that it may name itself. */
  | { kind: "alias"; name: string; expression: Expression; scope: Scope };

export interface ModuleValue {
  kind: "module";
  /** Dotted name as Python would give it. */
  name: string;
  /** File within the project, with `/`. */
  path: string;
  scope: Scope;
  source: SourceOfModule;
  hasFutureAnnotations: boolean;
  /** False for a source that was read in pieces because it cannot be imported: Prefect gives its flows no version. */
  isImported: boolean;
  /** Loaded by its path rather than its name: dots in its imports start at its folder. */
  isScript: boolean;
  /** Its code is running: what it lacks now may still come. */
  isLoading: boolean;
  /** Null while it is fine; what stopped its execution otherwise. */
  failure: PythonFailure | null;
}

export interface SourceOfModule {
  /** Path within the project, with `/`. */
  file: string;
  text: string;
  md5: string;
}

export interface PythonFailure {
  type: string;
  message: string;
  source: SourceOfModule;
  at: number;
}

export interface FunctionValue {
  kind: "function";
  name: string;
  docstring: string | null;
  definition: Pick<FunctionDefinition, "parameters" | "isAsync" | "isGenerator" | "at"> & {
    body: FunctionDefinition["body"] | Expression;
  };
  parameters: ParameterValue[];
  returns: Annotation | null;
  scope: Scope;
  /** What `functools.wraps` says this function stands for. */
  wrapped: Value | null;
  /** A decorator that we cannot run stands above it; its name, for the notice. */
  decoratedBy: string | null;
}

export interface ParameterValue {
  name: string;
  kind: ParameterKind;
  at: number;
  default: Value | null;
  annotation: Annotation | null;
}

/** Evaluated where it stands, or kept for later because it is quoted or `annotations` come from `__future__`. */
export type Annotation = { kind: "value"; value: Value } | { kind: "later"; expression: Expression };

export interface ClassValue {
  kind: "class";
  name: string;
  qualname: string;
  scope: Scope;
  bases: Value[];
  keywords: Map<string, Value>;
  attributes: Map<string, Value>;
  annotations: { name: string; annotation: Annotation }[];
  docstring: string | null;
  definition: Pick<ClassDefinition, "at">;
  typeParameters: string[];
  /** Set by a decorator: `@dataclass` and its kin. */
  dataclass: { library: "stdlib" | "pydantic"; options: Map<string, Value> } | null;
  isRuntimeCheckable: boolean;
}

export interface InstanceValue {
  kind: "instance";
  type: ClassValue;
  fields: Map<string, Value>;
  /** Whether the fields are certainly what Python would hold: nothing validated, converted or computed them. */
  isExact: boolean;
}

/** A member of an enumeration. */
export interface MemberValue {
  kind: "member";
  type: ClassValue;
  name: string;
  value: Value;
}

export interface FlowValue {
  kind: "flow";
  function: FunctionValue;
  options: Map<string, Value>;
  name: Value;
  /** `null`: none given and none in the function. */
  description: Value | null;
  version: Value | null;
  at: number;
}

export interface CallArguments {
  positional: Value[];
  named: Map<string, Value>;
  /** `*x` or `**x` of something unknown was passed: arguments may be missing here. */
  isPartial: boolean;
}

/** Names and what they stand for; a class body's names are not seen by the functions in it. */
export interface Scope {
  names: Map<string, Value>;
  parent: Scope | null;
  module: ModuleValue;
  kind: "module" | "function" | "class";
  /** Something may have added names that we did not see: a missing name is unknown, not an error. */
  isOpen: boolean;
  qualname: string;
  /** Where a class body notes its annotated names; null elsewhere. */
  annotations: { name: string; annotation: Annotation }[] | null;
}

export const NONE: Value = { kind: "none" };
export const TRUE: Value = { kind: "bool", value: true };
export const FALSE: Value = { kind: "bool", value: false };

export const unknown = (why: string): Value => ({ kind: "unknown", why });
export const known = (name: string): KnownValue => ({ kind: "known", name });
export const bool = (value: boolean): Value => (value ? TRUE : FALSE);
export const int = (value: bigint | number): Value => ({ kind: "int", value: BigInt(value) });
export const float = (value: number): Value => ({ kind: "float", value });
export const str = (value: string): Value => ({ kind: "str", value });
export const list = (items: Value[]): Value => ({ kind: "list", items });
export const tuple = (items: Value[]): Value => ({ kind: "tuple", items });
export const NO_ARGUMENTS: CallArguments = { positional: [], named: new Map(), isPartial: false };

/** Python's `bool(x)`; null if that cannot be told. */
export function truthOf(value: Value): boolean | null {
  switch (value.kind) {
    case "none":
      return false;
    case "bool":
      return value.value;
    case "int":
      return value.value !== 0n;
    case "float":
      return value.value !== 0;
    case "str":
    case "bytes":
      return value.value !== "";
    case "list":
    case "tuple":
    case "set":
    case "frozenset":
      return value.items.length > 0;
    case "dict":
      return value.entries.length > 0;
    case "function":
    case "class":
    case "module":
    case "flow":
      return true;
    default:
      return null;
  }
}

/** Python's `a == b`; null if that cannot be told. */
export function areEqual(left: Value, right: Value): boolean | null {
  if (left.kind === "member" || right.kind === "member") return areMembersEqual(left, right);
  const [a, b] = [numberOf(left), numberOf(right)];
  // BigInt and number compare by value, as int and float do in Python.
  // biome-ignore lint/suspicious/noDoubleEquals: see above
  if (a !== null && b !== null) return a == b;
  if (left.kind === "none" || right.kind === "none") {
    const other = left.kind === "none" ? right : left;
    return other.kind === "none" ? true : isPlain(other) ? false : null;
  }
  if ((left.kind === "str" || left.kind === "bytes") && left.kind === right.kind) return left.value === right.value;
  if (isSequence(left) && isSequence(right) && left.kind === right.kind && left.kind !== "set") {
    return areItemsEqual(left.items, right.items);
  }
  return isPlain(left) && isPlain(right) && left.kind !== right.kind ? false : null;
}

function areMembersEqual(left: Value, right: Value): boolean | null {
  if (left.kind !== "member" || right.kind !== "member") return null;
  return left.type === right.type ? left.name === right.name : null;
}

function areItemsEqual(left: readonly Value[], right: readonly Value[]): boolean | null {
  if (left.length !== right.length) return false;
  let result: boolean | null = true;
  for (const [index, item] of left.entries()) {
    const other = right[index];
    const isSame = other === undefined ? false : areEqual(item, other);
    if (isSame === false) return false;
    if (isSame === null) result = null;
  }
  return result;
}

export function isSequence(value: Value): value is SequenceValue {
  return value.kind === "list" || value.kind === "tuple" || value.kind === "set" || value.kind === "frozenset";
}

function isPlain(value: Value): boolean {
  return /^(?:none|bool|int|float|str|bytes|list|tuple|dict|set|frozenset)$/.test(value.kind);
}

/** The number a value is in arithmetic; null if it is none. */
export function numberOf(value: Value): bigint | number | null {
  if (value.kind === "bool") return value.value ? 1n : 0n;
  if (value.kind === "int" || value.kind === "float") return value.value;
  return null;
}

export function lookUp(entries: readonly DictEntry[], key: Value): { found: Value | null; isCertain: boolean } {
  let isCertain = true;
  for (const entry of entries) {
    const isSame = areEqual(entry.key, key);
    if (isSame === true) return { found: entry.value, isCertain: true };
    if (isSame === null) isCertain = false;
  }
  return { found: null, isCertain };
}

export function putEntry(entries: DictEntry[], key: Value, value: Value): void {
  const existing = entries.find((entry) => areEqual(entry.key, key) === true);
  if (existing === undefined) entries.push({ key, value });
  else existing.value = value;
}

export function uniqueItems(items: readonly Value[]): Value[] {
  const unique: Value[] = [];
  const texts = new Set<string>();
  for (const item of items) {
    // Text is the usual item of a long set, and the only one that equals nothing but text.
    if (item.kind === "str") {
      if (!texts.has(item.value)) unique.push(item);
      texts.add(item.value);
    } else if (!unique.some((other) => areEqual(other, item) === true)) unique.push(item);
  }
  return unique;
}
