import { isSequence, unknown, type Value } from "./value.ts";

/** Values with more parts than this are not followed: comparing, printing and describing them takes as many steps. */
const MAX_PARTS = 20_000;

/** How many parts a container or type has, all levels counted. Values do not change size but by `admit`. */
const weights = new WeakMap<Value, number>();

/** The value, or an unknown one if it has grown too large, as in `X = [X, X]` many times over. */
export function limitSize(value: Value): Value {
  return weigh(value) > MAX_PARTS ? unknown("it is too large") : value;
}

function weigh(value: Value): number {
  const cached = weights.get(value);
  if (cached !== undefined) return cached;
  const parts = partsOf(value);
  if (parts === null) return 1;
  let weight = 1;
  // The parts were evaluated before the whole: each has its weight already, or has no parts.
  for (const part of parts) weight += weights.get(part) ?? 1;
  weights.set(value, weight);
  return weight;
}

function partsOf(value: Value): readonly Value[] | null {
  if (isSequence(value)) return value.items;
  switch (value.kind) {
    case "dict":
      return value.entries.flatMap((entry) => [entry.key, entry.value]);
    case "generic":
      return [value.origin, ...value.args];
    case "union":
      return value.members;
    case "annotated":
      return [value.base, ...value.metadata];
    case "literal":
      return value.values;
    case "newtype":
      return [value.base];
    case "object":
    case "partial":
      return [...value.args.positional, ...value.args.named.values()];
    default:
      return null;
  }
}

/** What may be put into a container in place of `item`: never something that holds the container itself. */
export function admit(container: Value, item: Value): Value {
  const weight = weigh(container) + weigh(item);
  if (weight > MAX_PARTS || holds(item, container)) return unknown("it holds itself, or too much");
  weights.set(container, weight);
  return item;
}

function holds(value: Value, wanted: Value): boolean {
  return value === wanted || (partsOf(value) ?? []).some((part) => holds(part, wanted));
}
