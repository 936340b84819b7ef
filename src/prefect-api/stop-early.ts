import { z } from "zod";

/** So many items of a list, or keys of a record, are read before it is decided whether to go on. */
const PIECE = 100;

/**
 * Lets every list and record in the schema stop at the first hundred items with a problem, and leaves the items of a list
 * that is too long anyway unread. Zod reads all of them and makes several objects of each problem: 300 kB of `{},{},…`
 * would hold up everybody for ten seconds. It changes the schema, and what is right is read as before.
 */
export function stopEarly<S extends z.core.$ZodType>(schema: S): S {
  if (!known.has(schema)) {
    known.add(schema);
    for (const inner of listInner(schema)) {
      stopEarly(inner);
    }
    if (schema instanceof z.core.$ZodArray || schema instanceof z.core.$ZodRecord) {
      readInPieces(schema);
    }
  }
  return schema;
}

const known = new WeakSet<z.core.$ZodType>();

/** What a schema is made of, whatever its kind calls it; `lazy` ones are left out. */
function listInner({ _zod }: z.core.$ZodType): z.core.$ZodType[] {
  return Object.entries(_zod.def)
    .flatMap(([key, value]): unknown[] => (key === "shape" ? Object.values(value) : [value].flat()))
    .filter((part): part is z.core.$ZodType => part instanceof z.core.$ZodType);
}

function readInPieces({ _zod }: z.core.$ZodArray | z.core.$ZodRecord): void {
  const parse = _zod.parse;
  const bounded: typeof parse = (payload, context) => {
    const pieces = cut(payload.value);
    if (pieces === undefined || isTooLong(_zod.def, payload.value)) {
      return pieces === undefined ? parse(payload, context) : payload;
    }
    const read: unknown[] = [];
    for (const [index, piece] of pieces.entries()) {
      const part = parse({ value: piece, issues: [] }, context);
      if (part instanceof Promise) {
        return parse(payload, context);
      }
      if (part.issues.length > 0) {
        payload.issues.push(
          ...part.issues.map((issue) => ({ ...issue, path: shift(issue.path ?? [], index * PIECE) })),
        );
        return payload;
      }
      read.push(part.value);
    }
    payload.value = Array.isArray(payload.value)
      ? read.flat()
      : Object.fromEntries(read.flatMap((part) => Object.entries(isRecord(part) ? part : {})));
    return payload;
  };
  // A schema without checks is run by its parser itself.
  _zod.run = _zod.run === parse ? bounded : _zod.run;
  _zod.parse = bounded;
}

/** Undefined: it is short, or something else. */
function cut(value: unknown): unknown[] | undefined {
  const items = Array.isArray(value) ? value : isRecord(value) ? Object.entries(value) : [];
  const starts = Array.from({ length: Math.ceil(items.length / PIECE) }, (_, index) => index * PIECE);
  const pieces = starts.map((start) => items.slice(start, start + PIECE));
  return pieces.length < 2
    ? undefined
    : Array.isArray(value)
      ? pieces
      : pieces.map((piece) => Object.fromEntries(piece));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return z.core.util.isPlainObject(value);
}

/** The check of its length, which comes after, says so. */
function isTooLong({ checks = [] }: z.core.$ZodTypeDef, value: unknown): boolean {
  return checks.some(({ _zod: { def } }) => {
    return "maximum" in def && Array.isArray(value) && typeof def.maximum === "number" && value.length > def.maximum;
  });
}

/** Positions in a piece become those in the list; keys of a record stay. */
function shift([first, ...rest]: PropertyKey[], by: number): PropertyKey[] {
  return typeof first === "number" ? [first + by, ...rest] : first === undefined ? [] : [first, ...rest];
}
