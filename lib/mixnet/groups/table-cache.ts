/** A few fixed-base tables by base, least recently used first out: the generator, h_0 and a public key recur. */
import { hex } from '../octets.ts';
import type { FixedBaseTable } from './multi-exponentiation.ts';

export class TableCache<T> {
  readonly #tables = new Map<string, FixedBaseTable<T>>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** A kept table of at least this window, else a new one; `window` 0 takes only what is there. */
  get(base: Uint8Array, window: number, build: () => FixedBaseTable<T>): FixedBaseTable<T> | null {
    const key = hex(base);
    const found = this.#tables.get(key);
    if (found !== undefined && (found.window >= window || window === 0)) {
      this.#tables.delete(key);
      this.#tables.set(key, found);
      return found;
    }
    if (window === 0) return null;
    const table = build();
    this.#tables.delete(key);
    this.#tables.set(key, table);
    if (this.#tables.size > this.#capacity) this.#tables.delete(this.#tables.keys().next().value!);
    return table;
  }
}
