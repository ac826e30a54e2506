/**
 * Values that a thread computed lately and may need again in the session's next step: a few of them, by a key that
 * determines them. Nothing secret, and nothing that another party claimed: only what this thread worked out itself.
 */
export class Recent<T> {
  readonly #values = new Map<string, T>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(key: string): T | undefined {
    return this.#values.get(key);
  }

  /** Forgets what was put first when there are too many. */
  put(key: string, value: T): T {
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#capacity) this.#values.delete(this.#values.keys().next().value!);
    return value;
  }
}
