import { CompiledQuery, type RootOperationNode } from "kysely";
import { asNarrow } from "./batch-answers.ts";

type Statement = Pick<CompiledQuery, "sql" | "parameters">;

/** What one transaction writes together: the statements, and the values of all in their order. */
export interface HeldWrite {
  parts: readonly Part[];
  parameters: readonly unknown[];
}

interface Part {
  /** Writes one row, with `$1` and so on. */
  sql: string;
  size: number;
}

const partsOf = new WeakMap<RootOperationNode, readonly Part[]>();

/**
 * Statements that write one row each as one, with one plan, which looks at foreign keys when all is written. Nobody
 * needs its answer: whoever runs it may keep it until the batch's others are there, see `listParts`.
 */
export function buildHoldable(writes: readonly Statement[]): CompiledQuery {
  const parts = writes.map(({ sql, parameters }) => ({ sql, size: parameters.length }));
  const query = asNarrow(CompiledQuery.raw(joinParts(parts)));
  partsOf.set(query.query, parts);
  return query;
}

/** Undefined: a statement whose answer somebody waits for. */
export function listParts({ query }: Pick<CompiledQuery, "query">): readonly Part[] | undefined {
  return partsOf.get(query);
}

/** Statements of this many transactions, and no others, so that few texts are planned. */
const GROUPS = [8, 4, 2, 1];
const MAX_REMEMBERED = 200;

/** The rows of a table go into it with one statement, and a whole group of transactions is one: each costs its start. */
export class WriteMerger {
  readonly #texts = new Map<string, string>();

  merge(writes: readonly HeldWrite[]): Statement[] {
    const statements: Statement[] = [];
    for (let start = 0; start < writes.length; ) {
      const size = GROUPS.find((group) => start + group <= writes.length) ?? 1;
      statements.push(this.#join(writes.slice(start, start + size)));
      start += size;
    }
    return statements;
  }

  #join(writes: readonly HeldWrite[]): Statement {
    const rows = new Map<string, unknown[][]>();
    for (const { parts, parameters } of writes) {
      let start = 0;
      for (const { sql, size } of parts) {
        const values = parameters.slice(start, start + size);
        start += size;
        rows.set(sql, [...(rows.get(sql) ?? []), values]);
      }
    }
    const parameters = [...rows.values()].flat(2);
    const counted = [...rows].map(([sql, { length }]) => ({ sql, length }));
    const key = counted.map(({ sql, length }) => `${length} ${sql}`).join("\n");
    const known = this.#texts.get(key);
    if (known !== undefined) {
      return { sql: known, parameters };
    }
    const parts = [...rows].flatMap(([sql, values]) => repeat(sql, values));
    const text = joinParts(parts);
    if (this.#texts.size >= MAX_REMEMBERED) {
      this.#texts.clear();
    }
    this.#texts.set(key, text);
    return { sql: text, parameters };
  }
}

/** Rows to insert are listed in one statement; an update says each of its own. */
function repeat(sql: string, rows: readonly (readonly unknown[])[]): Part[] {
  const size = rows[0]?.length ?? 0;
  const [start, row, end] = /^(insert into .+ values )(\(.+?\))(.*)$/.exec(sql)?.slice(1) ?? [];
  if (start === undefined || row === undefined) {
    return rows.map(() => ({ sql, size }));
  }
  const listed = rows.map((_, index) => renumber(row, index * size));
  return [{ sql: `${start}${listed.join(", ")}${end ?? ""}`, size: size * rows.length }];
}

function joinParts(parts: readonly Part[]): string {
  let before = 0;
  const texts = parts.map(({ sql, size }) => {
    const text = renumber(sql, before);
    before += size;
    return text;
  });
  const named = texts.slice(0, -1).map((text, index) => `write_${index} as (${text})`);
  return named.length === 0 ? (texts[0] ?? "") : `with ${named.join(", ")} ${texts.at(-1)}`;
}

function renumber(text: string, by: number): string {
  return text.replaceAll(/\$(\d+)/g, (_, number) => `$${by + Number(number)}`);
}
