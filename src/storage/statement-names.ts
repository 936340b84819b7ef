import type { QueryConfig } from "pg";

/** Each takes memory in the database, for as long as the connection lasts. */
const MAX_NAMED = 500;
const MAX_REMEMBERED = 5000;

/**
 * Names the statements that come again, so that the database reads and plans each once per connection. One that comes
 * for the first time stays without: lists of every length would fill the database's memory.
 */
export class StatementNames {
  readonly #names = new Map<string, string>();
  readonly #seenOnce = new Set<string>();

  buildQuery(text: string, values: readonly unknown[]): QueryConfig {
    const name = this.#findName(text);
    return { text, values: [...values], ...(name === undefined ? {} : { name }) };
  }

  #findName(text: string): string | undefined {
    const known = this.#names.get(text);
    if (known !== undefined || this.#names.size >= MAX_NAMED) {
      return known;
    }
    if (!this.#seenOnce.delete(text)) {
      if (this.#seenOnce.size >= MAX_REMEMBERED) {
        this.#seenOnce.clear();
      }
      this.#seenOnce.add(text);
      return undefined;
    }
    const name = `s${this.#names.size}`;
    this.#names.set(text, name);
    return name;
  }
}
