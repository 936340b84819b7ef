/** Keeps what was computed last, up to `limit` entries; the one unused for longest goes first. */
export class BoundedCache<Key, Value> {
  readonly #limit: number;
  readonly #entries = new Map<Key, Value>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: Key, compute: () => Value): Value {
    const known = this.#entries.get(key);
    const value = known ?? compute();
    if (known !== undefined) {
      this.#entries.delete(key);
    } else if (this.#entries.size >= this.#limit) {
      const [oldest = key] = this.#entries.keys();
      this.#entries.delete(oldest);
    }
    this.#entries.set(key, value);
    return value;
  }
}
