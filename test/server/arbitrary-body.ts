import { z } from "zod";

/** Values that parsers, databases and clocks stumble over. */
const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  0.5,
  1e308,
  -1e308,
  2 ** 53,
  2 ** 63,
  "",
  " ",
  "\u0000",
  "\ud800",
  "💥".repeat(300),
  "__proto__",
  "%",
  "2026-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999999Z",
  "0001-01-01T00:00:00Z",
  "00000000-0000-4000-8000-000000000000",
  [],
  {},
  [[[[]]]],
  { any_: [] },
  { $ref: "#" },
  { __prefect_kind: "json", value: "[1" },
];

/** Numbers in [0, 1), always the same for a seed. */
export type Random = () => number;

export function buildRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined && values.length === 0) {
    throw new Error("nothing to pick from");
  }
  return value as T;
}

/** A value that the schema often accepts, with something odd in one of its places now and then. */
export function buildBody(schema: unknown, random: Random, depth = 0): unknown {
  if (random() < 0.04 || depth > 6) {
    return pick(random, ODD);
  }
  const inner = (part: unknown) => buildBody(part, random, depth + 1);
  if (schema instanceof z.ZodObject) {
    return buildObject(schema, random, inner);
  }
  if (schema instanceof z.ZodArray) {
    return Array.from({ length: Math.floor(random() * 3) }, () => inner(schema.element));
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return random() < 0.3 ? null : inner(schema.unwrap());
  }
  if (schema instanceof z.ZodPipe) {
    return inner(schema.in);
  }
  if (schema instanceof z.ZodUnion) {
    return inner(pick(random, schema.options));
  }
  if (schema instanceof z.ZodRecord) {
    return Object.fromEntries([["a", inner(schema.valueType)]]);
  }
  if (schema instanceof z.ZodTuple) {
    return schema.def.items.map(inner);
  }
  return buildScalar(schema, random);
}

function buildObject(schema: z.ZodObject, random: Random, inner: (part: unknown) => unknown): unknown {
  const keys = Object.entries(schema.shape).filter(([, part]) => random() < 0.6 || !part.safeParse(undefined).success);
  const extra = random() < 0.03 ? [["__proto__", 1] as const] : [];
  return Object.fromEntries([...keys.map(([key, part]) => [key, inner(part)] as const), ...extra]);
}

function buildScalar(schema: unknown, random: Random): unknown {
  if (schema instanceof z.ZodEnum) {
    return pick(random, schema.options);
  }
  if (schema instanceof z.ZodNumber) {
    return pick(random, [0, 1, 3, 60, 200, 201, -1, 0.5, 1e15, 2 ** 53 - 1]);
  }
  if (schema instanceof z.ZodBoolean) {
    return random() < 0.5;
  }
  if (schema instanceof z.ZodString) {
    const fitting = ["a", "b-1", "0 0 * * *", "FREQ=DAILY", "00000000-0000-4000-8000-000000000000", "2026-01-01"];
    return pick(random, fitting.filter((text) => schema.safeParse(text).success).concat("x"));
  }
  return pick(random, ODD);
}
