/** Uniform secret permutations from the system's randomness (Fisher–Yates with rejection sampling). */
import { randomBytes } from 'node:crypto';

export function randomPermutation(length: number): Uint32Array {
  const pi = Uint32Array.from({ length }, (_, i) => i);
  const draws = new UniformIntegers();
  for (let i = length - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    const kept = pi[i]!;
    pi[i] = pi[j]!;
    pi[j] = kept;
  }
  return pi;
}

class UniformIntegers {
  #pool = Buffer.alloc(0);
  #at = 0;

  /** Uniform in `0 … bound - 1`, `bound` at most 2^31. */
  below(bound: number): number {
    const mask = 2 ** Math.ceil(Math.log2(bound)) - 1;
    for (;;) {
      if (this.#at + 4 > this.#pool.length) {
        this.#pool = randomBytes(4096);
        this.#at = 0;
      }
      const candidate = this.#pool.readUInt32BE(this.#at) & mask;
      this.#at += 4;
      if (candidate < bound) return candidate;
    }
  }
}
