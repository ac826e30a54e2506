/**
 * Products of powers and powers of a fixed base, over any commutative group given by its operations.
 *
 * Both look at the exponents' digits: they leak secret exponents through time and memory access (docs/mix-net.md).
 */

export interface GroupOperations<T> {
  readonly one: T;
  multiply(a: T, b: T): T;
  square(a: T): T;
}

/** Digit `index` (from the least significant) of `window` bits of a big-endian integer. */
export function digit(bytes: Uint8Array, from: number, width: number, index: number, window: number): number {
  const lowest = index * window;
  const octet = width - 1 - (lowest >>> 3);
  if (octet < 0) return 0;
  let value = bytes[from + octet]!;
  if (octet > 0) value |= bytes[from + octet - 1]! << 8;
  if (octet > 1) value |= bytes[from + octet - 2]! << 16;
  return (value >>> (lowest & 7)) & ((1 << window) - 1);
}

/** The window that makes `bits / c * (count + 2^c)` multiplications fewest. */
export function pippengerWindow(count: number, bits: number): { window: number; cost: number } {
  let best = { window: 1, cost: Number.POSITIVE_INFINITY };
  for (let window = 1; window <= 14; window++) {
    const cost = Math.ceil(bits / window) * (count + 2 ** (window + 1) - 2) + bits;
    if (cost < best.cost) best = { window, cost };
  }
  return best;
}

/** Pippenger's method. `exponents` holds `bases.length` integers of `width` octets, none longer than `bits`. */
export function multiPowerOf<T>(
  operations: GroupOperations<T>,
  bases: readonly T[],
  exponents: Uint8Array,
  width: number,
  bits: number,
): T {
  const { window } = pippengerWindow(bases.length, bits);
  const windows = Math.ceil(bits / window);
  let result: T | null = null;
  for (let index = windows - 1; index >= 0; index--) {
    if (result !== null) for (let i = 0; i < window; i++) result = operations.square(result);
    const buckets: (T | undefined)[] = new Array(1 << window);
    for (let i = 0; i < bases.length; i++) {
      const value = digit(exponents, i * width, width, index, window);
      if (value === 0) continue;
      const bucket = buckets[value];
      buckets[value] = bucket === undefined ? bases[i]! : operations.multiply(bucket, bases[i]!);
    }
    const sum = sumOfBuckets(operations, buckets);
    if (sum !== null) result = result === null ? sum : operations.multiply(result, sum);
  }
  return result ?? operations.one;
}

/** The product of `bucket[d]^d`. */
function sumOfBuckets<T>(operations: GroupOperations<T>, buckets: readonly (T | undefined)[]): T | null {
  let running: T | null = null;
  let sum: T | null = null;
  for (let value = buckets.length - 1; value > 0; value--) {
    const bucket = buckets[value];
    if (bucket !== undefined) running = running === null ? bucket : operations.multiply(running, bucket);
    if (running !== null) sum = sum === null ? running : operations.multiply(sum, running);
  }
  return sum;
}

/** All multiples `d · 2^(window·i)` of one base, so that a power is one multiplication per digit. */
export class FixedBaseTable<T> {
  readonly window: number;
  readonly #operations: GroupOperations<T>;
  readonly #rows: T[][];

  constructor(operations: GroupOperations<T>, base: T, bits: number, window: number) {
    this.window = window;
    this.#operations = operations;
    this.#rows = [];
    let power = base;
    for (let index = 0; index * window < bits; index++) {
      const row = [operations.one, power];
      for (let d = 2; d < 1 << window; d++) row.push(operations.multiply(row[d - 1]!, power));
      this.#rows.push(row);
      power = operations.multiply(row.at(-1)!, power);
    }
  }

  power(exponents: Uint8Array, from: number, width: number): T {
    let result: T | null = null;
    for (let index = 0; index < this.#rows.length; index++) {
      const value = digit(exponents, from, width, index, this.window);
      if (value === 0) continue;
      const factor = this.#rows[index]![value]!;
      result = result === null ? factor : this.#operations.multiply(result, factor);
    }
    return result ?? this.#operations.one;
  }
}

/** The window of a table that is worth building for `count` powers; 0 if none is. */
export function fixedBaseWindow(count: number, bits: number): number {
  let best = { window: 0, cost: count * bits * 1.25 };
  for (let window = 2; window <= 8; window++) {
    const cost = Math.ceil(bits / window) * (2 ** window + count);
    if (cost < best.cost) best = { window, cost };
  }
  return best.window;
}
