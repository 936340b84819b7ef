import { isSameType } from "./operators.ts";
import { areEqual, isSequence, type Value } from "./value.ts";

/** Whether pydantic certainly takes a value for a type as it is: nothing to convert, check or fill in. */
export function fitsExactly(type: Value, value: Value): boolean {
  switch (type.kind) {
    case "annotated":
      // Constraints refuse or accept; validators may change the value.
      return (
        type.metadata.every((one) => one.kind !== "object" || !/Validator$/.test(one.type)) &&
        fitsExactly(type.base, value)
      );
    case "union":
      return type.members.some((member) => fitsExactly(member, value));
    case "none":
      return value.kind === "none";
    case "literal":
      return type.values.some((one) => areEqual(one, value) === true);
    case "class":
      return (value.kind === "instance" || value.kind === "member") && value.type === type;
    case "newtype":
      return fitsExactly(type.base, value);
    case "generic":
      return fitsGeneric(type.origin, type.args, value);
    case "known":
      return fitsKnown(type.name, value);
    default:
      return false;
  }
}

function fitsKnown(name: string, value: Value): boolean {
  if (name === "typing.Any" || name === "object") return true;
  if (value.kind === "object") return value.type === name;
  return name === value.kind && /^(?:str|int|float|bool|bytes|list|dict|tuple|set|frozenset)$/.test(name);
}

function fitsGeneric(origin: Value, args: readonly Value[], value: Value): boolean {
  const [first, second] = args;
  if (origin.kind !== "known" || first === undefined) return false;
  if (value.kind === "dict") {
    return (
      origin.name === "dict" &&
      second !== undefined &&
      value.entries.every((entry) => fitsExactly(first, entry.key) && fitsExactly(second, entry.value))
    );
  }
  if (!isSequence(value) || origin.name !== value.kind || value.kind === "tuple") return false;
  return value.items.every((item) => fitsExactly(first, item)) && !isSameType(first, origin);
}
