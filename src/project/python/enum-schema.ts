import { knownBasesOf } from "./class-kind.ts";
import { cleanDocstring } from "./docstring.ts";
import { toJson } from "./json-value.ts";
import type { Json, Schema, SchemaBuilder } from "./schema.ts";
import type { ClassValue } from "./value.ts";

const TYPES: Readonly<Record<string, string>> = {
  str: "string",
  int: "integer",
  float: "number",
  bool: "boolean",
  list: "array",
  tuple: "array",
};

/** An enumeration's definition; null if its members are not known. */
export function enumSchema(type: ClassValue, builder: SchemaBuilder): Schema | null {
  const values: Json[] = [];
  const kinds = new Set<string>();
  // Other names of a member count too: pydantic lists its value twice.
  for (const member of type.attributes.values()) {
    if (member.kind !== "member") continue;
    const result = toJson(member.value, builder.interpreter);
    if (result.kind !== "json") {
      builder.doubts.push(`the values of ${type.name} are not known`);
      return null;
    }
    values.push(result.json);
    kinds.add(member.value.kind);
  }
  const [kind] = kinds;
  const mixin = knownBasesOf(type).find((base) => base === "str" || base === "int" || base === "float");
  const jsonType = TYPES[mixin ?? ""] ?? (kinds.size === 1 && kind !== undefined ? TYPES[kind] : undefined);
  return {
    ...(type.docstring === null || type.docstring === "" ? {} : { description: cleanDocstring(type.docstring) }),
    enum: values,
    title: type.name,
    ...(jsonType === undefined ? {} : { type: jsonType }),
  };
}
