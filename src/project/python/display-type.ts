import type { Value } from "./value.ts";

/** A type as it appears in the name of a generic model, `Box[int]`; null if that is not known. */
export function displayType(type: Value): string | null {
  switch (type.kind) {
    case "none":
      return "NoneType";
    case "ellipsis":
      return "...";
    case "class":
    case "newtype":
      return type.name;
    case "known":
      return type.name.slice(type.name.lastIndexOf(".") + 1);
    case "generic": {
      const [origin, ...args] = [type.origin, ...type.args].map(displayType);
      return origin === null || origin === undefined || args.includes(null) ? null : `${origin}[${args.join(", ")}]`;
    }
    case "union": {
      const members = type.members.map(displayType);
      return members.includes(null) ? null : `Union[${members.join(", ")}]`;
    }
    default:
      return null;
  }
}
