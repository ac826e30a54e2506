/**
 * The seeded generator that decides everything in a simulation (D60): sfc32. Streams that are drawn from by different
 * parts are apart, so that leaving out a fault changes nothing else that was decided before.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, stream = '') {
    let hash = 2166136261 ^ seed;
    for (let index = 0; index < stream.length; index += 1)
      hash = Math.imul(hash ^ stream.charCodeAt(index), 16777619);
    this.#a = seed | 0;
    this.#b = hash | 0;
    this.#c = (seed / 2 ** 32) | 0;
    for (let round = 0; round < 12; round += 1) this.#next();
  }

  /** Uniform in [0, 1). */
  readonly real = (): number => this.#next() / 2 ** 32;

  /** Uniform among 0 … below - 1. */
  below(below: number): number {
    return Math.floor(this.real() * below);
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(probability: number): boolean {
    return this.real() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
