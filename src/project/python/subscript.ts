import { PythonError, type Site } from "./interpreter.ts";
import { uniteTypes } from "./operators.ts";
import { areEqual, lookUp, NONE, numberOf, str, unknown, type Value } from "./value.ts";

/** `object[index]`: an item, a slice or a type with its arguments. */
export function subscript(object: Value, index: Value, site: Site): Value {
  switch (object.kind) {
    case "list":
    case "tuple":
      return index.kind === "slice" ? sliceItems(object, index) : itemAt(object.items, index, site);
    case "str":
      return textAt(object.value, index, site);
    case "dict": {
      const { found, isCertain } = lookUp(object.entries, index);
      if (found !== null) return found;
      if (isCertain && areEqual(index, index) === true) throw new PythonError("KeyError", "a key is missing", site);
      return unknown("the key is not known");
    }
    case "class":
      return subscriptClass(object, index);
    case "known":
      return subscriptKnown(object.name, index);
    case "annotated":
    case "generic":
    case "union":
    case "alias":
      return { kind: "generic", origin: object, args: typeArguments(index) };
    default:
      return unknown("what it is taken from is not known");
  }
}

function typeArguments(index: Value): Value[] {
  return index.kind === "tuple" ? index.items : [index];
}

function subscriptClass(type: Extract<Value, { kind: "class" }>, index: Value): Value {
  if (index.kind === "str") {
    const member = type.attributes.get(index.value);
    if (member?.kind === "member") return member;
  }
  return { kind: "generic", origin: type, args: typeArguments(index) };
}

function subscriptKnown(name: string, index: Value): Value {
  const args = typeArguments(index);
  const [first] = args;
  switch (name) {
    case "typing.Optional":
      return first === undefined ? unknown("Optional has no argument") : uniteTypes([first, NONE]);
    case "typing.Union":
      return uniteTypes(args);
    case "typing.Annotated":
      return annotate(args);
    case "typing.Literal":
      return { kind: "literal", values: args.flatMap((arg) => (arg.kind === "literal" ? arg.values : [arg])) };
    case "os.environ":
      return unknown("it comes from the environment");
    default:
      return { kind: "generic", origin: { kind: "known", name }, args };
  }
}

function annotate(args: readonly Value[]): Value {
  const [base, ...metadata] = args;
  if (base === undefined) return unknown("Annotated has no argument");
  // Python flattens nested ones, the inner metadata first.
  if (base.kind === "annotated") return { ...base, metadata: [...base.metadata, ...metadata] };
  return { kind: "annotated", base, metadata };
}

function itemAt(items: readonly Value[], index: Value, site: Site): Value {
  const number = numberOf(index);
  if (typeof number !== "bigint") return unknown("the index is not known");
  const item = items.at(Number(number));
  if (item === undefined) throw new PythonError("IndexError", "list index out of range", site);
  return item;
}

function textAt(text: string, index: Value, site: Site): Value {
  const characters = [...text].map(str);
  if (index.kind !== "slice") return itemAt(characters, index, site);
  const slice = sliceItems({ kind: "list", items: characters }, index);
  return slice.kind === "list"
    ? str(slice.items.map((item) => (item.kind === "str" ? item.value : "")).join(""))
    : slice;
}

function sliceItems(
  sequence: { kind: "list" | "tuple"; items: Value[] },
  slice: Extract<Value, { kind: "slice" }>,
): Value {
  const bounds = [slice.start, slice.stop, slice.step].map((bound) => (bound.kind === "none" ? null : numberOf(bound)));
  if (
    [slice.start, slice.stop, slice.step].some(
      (bound, index) => bound.kind !== "none" && typeof bounds[index] !== "bigint",
    )
  ) {
    return unknown("the slice is not known");
  }
  const [start, stop, step] = bounds.map((bound) =>
    bound === null || bound === undefined ? undefined : Number(bound),
  );
  if (step !== undefined && step !== 1) {
    const isReversed = step === -1 && start === undefined && stop === undefined;
    return isReversed ? { kind: sequence.kind, items: sequence.items.toReversed() } : unknown("the slice is not known");
  }
  return { kind: sequence.kind, items: sequence.items.slice(start, stop) };
}
