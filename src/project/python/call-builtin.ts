import { reprOf, textOf } from "./format.ts";
import { type Interpreter, PythonError, type Site } from "./interpreter.ts";
import { iterate } from "./iterate.ts";
import { makeObject } from "./known-objects.ts";
import { compare } from "./operators.ts";
import {
  bool,
  type CallArguments,
  type DictEntry,
  float,
  int,
  isSequence,
  list,
  NONE,
  numberOf,
  putEntry,
  str,
  truthOf,
  tuple,
  uniqueItems,
  unknown,
  type Value,
} from "./value.ts";

const MAX_RANGE = 10_000;

/** Functions of Python itself and the few of the standard library that defaults are made with; null if it is none of them. */
export function callBuiltin(name: string, args: CallArguments, site: Site, interpreter: Interpreter): Value | null {
  const result = args.isPartial
    ? null
    : (callConversion(name, args, site) ?? callOnItems(name, args) ?? callOnObjects(name, args, site, interpreter));
  if (result !== null) return result;
  if (name === "sys.exit" || name === "exit" || name === "quit" || name === "os._exit")
    throw new PythonError("SystemExit", "the file ends the program", site);
  return null;
}

function callConversion(name: string, args: CallArguments, site: Site): Value | null {
  const [first] = args.positional;
  const number = first === undefined ? null : numberOf(first);
  switch (name) {
    case "int":
      return first === undefined ? int(0) : args.positional.length === 1 ? toInteger(first, number, site) : null;
    case "float":
      return first === undefined ? float(0) : number === null ? parseFloatText(first) : float(Number(number));
    case "str": {
      const text = first === undefined ? "" : textOf(first);
      return text === null ? null : str(text);
    }
    case "repr": {
      const text = first === undefined ? null : reprOf(first);
      return text === null ? null : str(text);
    }
    case "bool": {
      const truth = first === undefined ? false : truthOf(first);
      return truth === null ? null : bool(truth);
    }
    case "abs":
      return number === null
        ? null
        : typeof number === "bigint"
          ? int(number < 0n ? -number : number)
          : float(Math.abs(number));
    case "round":
      if (typeof number === "bigint") return int(number);
      return number !== null && args.positional.length === 1 && Math.abs(number % 1) !== 0.5
        ? int(Math.round(number))
        : null;
    case "math.floor":
    case "math.ceil":
    case "math.trunc":
      if (typeof number === "bigint") return int(number);
      return number === null || !Number.isFinite(number)
        ? null
        : int({ "math.floor": Math.floor, "math.ceil": Math.ceil, "math.trunc": Math.trunc }[name](number));
    case "math.sqrt":
      return number === null || Number(number) < 0 ? null : float(Math.sqrt(Number(number)));
    default:
      return null;
  }
}

function toInteger(value: Value, number: bigint | number | null, site: Site): Value | null {
  if (typeof number === "bigint") return int(number);
  if (number !== null) return Number.isFinite(number) ? int(Math.trunc(number)) : null;
  if (value.kind === "none")
    throw new PythonError("TypeError", "int() argument must be a number, not 'NoneType'", site);
  return value.kind === "str" && /^\s*[+-]?\d+\s*$/.test(value.value) && value.value.length < 400
    ? int(BigInt(value.value.trim().replace(/^\+/, "")))
    : null;
}

function parseFloatText(value: Value): Value | null {
  if (value.kind !== "str") return null;
  const text = value.value.trim().toLowerCase();
  if (/^[+]?(?:inf|infinity)$/.test(text)) return float(Number.POSITIVE_INFINITY);
  if (/^-(?:inf|infinity)$/.test(text)) return float(Number.NEGATIVE_INFINITY);
  if (text === "nan") return float(Number.NaN);
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(text) ? float(Number(text)) : null;
}

function callOnItems(name: string, args: CallArguments): Value | null {
  const [first] = args.positional;
  if (name === "dict") return makeDict(first, args);
  if (name === "range") return makeRange(args);
  if ((name === "min" || name === "max") && args.positional.length > 1)
    return args.named.size > 0 ? null : extreme(name, args.positional);
  const items = first === undefined ? [] : iterate(first);
  if (items === null) return null;
  switch (name) {
    case "list":
    case "tuple":
      return { kind: name, items };
    case "set":
    case "frozenset":
      return { kind: name, items: uniqueItems(items) };
    case "len":
      return first === undefined ? null : int(first.kind === "str" ? [...first.value].length : items.length);
    case "reversed":
      return list(items.toReversed());
    case "enumerate":
      return args.positional.length === 1 && args.named.size === 0
        ? list(items.map((item, index) => tuple([int(index), item])))
        : null;
    case "zip":
      return zip(args);
    case "sum":
      return sum(items, args);
    case "sorted":
      return args.named.size > 0 ? null : sort(items);
    case "min":
    case "max":
      return args.named.size > 0 ? null : extreme(name, items);
    case "any":
    case "all": {
      const truths = items.map(truthOf);
      return truths.includes(null) ? null : bool(name === "any" ? truths.includes(true) : !truths.includes(false));
    }
    default:
      return null;
  }
}

function makeDict(first: Value | undefined, args: CallArguments): Value | null {
  const entries: DictEntry[] = [];
  if (first?.kind === "dict") entries.push(...first.entries.map((entry) => ({ ...entry })));
  else if (first !== undefined) {
    for (const pair of iterate(first) ?? [unknown("")]) {
      const [key, value] = isSequence(pair) ? pair.items : [];
      if (key === undefined || value === undefined) return null;
      putEntry(entries, key, value);
    }
  }
  for (const [key, value] of args.named) putEntry(entries, str(key), value);
  return { kind: "dict", entries };
}

function makeRange(args: CallArguments): Value | null {
  const numbers = args.positional.map((value) => (value.kind === "int" ? Number(value.value) : Number.NaN));
  const [start = 0, stop = 0, step = 1] = numbers.length === 1 ? [0, numbers[0] ?? 0] : numbers;
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!Number.isFinite(count) || count > MAX_RANGE) return null;
  const items = Array.from({ length: count }, (_, index) => int(start + index * step));
  return makeObject("range", { positional: [list(items)], named: new Map(), isPartial: false });
}

function zip(args: CallArguments): Value | null {
  const columns = args.positional.map(iterate);
  if (columns.includes(null) || args.named.size > 0) return null;
  const length = Math.min(...columns.map((column) => column?.length ?? 0));
  return list(Array.from({ length }, (_, index) => tuple(columns.map((column) => column?.[index] ?? NONE))));
}

function sum(items: readonly Value[], args: CallArguments): Value | null {
  if (args.positional.length > 1 || args.named.size > 0) return null;
  let total: bigint | number = 0n;
  for (const item of items) {
    const number = numberOf(item);
    if (number === null) return null;
    total = typeof total === "bigint" && typeof number === "bigint" ? total + number : Number(total) + Number(number);
  }
  return typeof total === "bigint" ? int(total) : float(total);
}

function sort(items: readonly Value[]): Value | null {
  const areComparable = items.every((item) => items.every((other) => compare("<=", item, other) !== null));
  if (items.length > 1000 || !areComparable) return null;
  return list(items.toSorted((a, b) => (compare("<", a, b) === true ? -1 : compare("<", b, a) === true ? 1 : 0)));
}

function extreme(name: "min" | "max", items: readonly Value[]): Value | null {
  const sorted = sort(items);
  return (sorted?.kind === "list" ? sorted.items.at(name === "min" ? 0 : -1) : null) ?? null;
}

function callOnObjects(name: string, args: CallArguments, site: Site, interpreter: Interpreter): Value | null {
  const [first, second, third] = args.positional;
  switch (name) {
    case "getattr": {
      if (first === undefined || second?.kind !== "str") return null;
      try {
        return interpreter.getAttribute(first, second.value, site);
      } catch (error) {
        if (error instanceof PythonError && error.failure.type === "AttributeError" && third !== undefined)
          return third;
        throw error;
      }
    }
    case "os.getenv":
    case "os.environ.get": {
      const value: Value = { ...(second ?? args.named.get("default") ?? NONE) };
      interpreter.markAsEnvironment(value);
      return value;
    }
    case "functools.partial":
      return first === undefined
        ? null
        : { kind: "partial", callee: first, args: { ...args, positional: args.positional.slice(1) } };
    case "functools.wraps":
      return {
        kind: "partial",
        callee: { kind: "known", name: "functools.update_wrapper" },
        args: { positional: [], named: new Map([["wrapped", first ?? NONE]]), isPartial: false },
      };
    case "functools.update_wrapper":
      return wrap(first, second ?? args.named.get("wrapped"));
    case "staticmethod":
    case "classmethod":
    case "property":
      return first === undefined ? null : { kind: "wrapper", wrapper: name, inner: first };
    case "os.path.join":
      return joinPaths(args);
    case "collections.deque":
      return first === undefined ? list([]) : iterate(first) && list(iterate(first) ?? []);
    case "collections.OrderedDict":
      return makeDict(first, args);
    case "collections.defaultdict":
      return makeDict(second, args);
    case "isinstance":
      return isInstance(first, second);
    case "dict.fromkeys": {
      const keys = first === undefined ? null : iterate(first);
      return keys === null ? null : { kind: "dict", entries: keys.map((key) => ({ key, value: second ?? NONE })) };
    }
    default:
      return isTransparentDecorator(name) ? (first ?? { kind: "known", name }) : null;
  }
}

/** Decorators that give back what they get, or something with the same signature. */
function isTransparentDecorator(name: string): boolean {
  return /^(?:functools\.(?:cache|lru_cache|total_ordering|singledispatch)|abc\.abstractmethod|typing\.(?:final|override|overload|no_type_check|dataclass_transform)|contextlib\.(?:contextmanager|asynccontextmanager)|enum\.unique|warnings\.deprecated|copy\.(?:copy|deepcopy)|typing\.assert_type)$/.test(
    name,
  );
}

function wrap(wrapper: Value | undefined, wrapped: Value | undefined): Value | null {
  if (wrapper?.kind !== "function" || wrapped === undefined) return wrapper ?? null;
  const inner = wrapped.kind === "flow" ? wrapped.function : wrapped;
  if (inner.kind !== "function") return { ...wrapper, decoratedBy: "functools.wraps" };
  return { ...wrapper, wrapped: inner, name: inner.name, docstring: inner.docstring };
}

function joinPaths(args: CallArguments): Value | null {
  let joined = "";
  for (const part of args.positional) {
    if (part.kind !== "str") return null;
    joined =
      part.value.startsWith("/") || joined === ""
        ? part.value
        : `${joined}${joined.endsWith("/") ? "" : "/"}${part.value}`;
  }
  return str(joined);
}

function isInstance(value: Value | undefined, type: Value | undefined): Value | null {
  if (value === undefined || type?.kind !== "known") return null;
  if (
    !/^(?:str|int|float|list|dict|tuple|bool)$/.test(type.name) ||
    !/^(?:none|bool|int|float|str|list|dict|tuple)$/.test(value.kind)
  )
    return null;
  return bool(value.kind === type.name || (value.kind === "bool" && type.name === "int"));
}
