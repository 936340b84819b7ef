import { isSequence, str, type Value } from "./value.ts";

/** What `for x in value` goes through; null if that is not known. Members of an enumeration are iterated by their class. */
export function iterate(value: Value): Value[] | null {
  if (isSequence(value)) return [...value.items];
  if (value.kind === "str") return [...value.value].map(str);
  if (value.kind === "dict") return value.entries.map((entry) => entry.key);
  if (value.kind === "class") {
    const members = [...value.attributes.values()].filter((attribute) => attribute.kind === "member");
    return members.length > 0 ? members : null;
  }
  if (value.kind === "object" && value.type === "range")
    return value.args.positional[0]?.kind === "list" ? value.args.positional[0].items : null;
  return null;
}
