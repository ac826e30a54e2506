/**
 * Exponents in batches: Z_q for a prime q, flat arrays of big-endian octets, no BigInt. The same operations for the
 * order of P-256 (`P256Engine`'s module) and for any other prime (`generic-ring.ts`).
 *
 * Inputs may be any value that fits the octets, results are canonical (below q). A list of one where two lists go
 * together stands for as many equal elements as the other list has. Elements never decide which instructions run, so
 * secrets may pass, except that `invert` and `firstInvalid` tell of zeros and of values from q on.
 */
import type { RingExports } from './ring-exports.ts';
import type { Arena } from './wasm-module.ts';

/** Elements that are in the module's memory at a time. */
const CHUNK = 8192;

export class RingKernel {
  /** Octets of an element. */
  readonly octets: number;
  readonly #exports: RingExports;
  readonly #arena: Arena;
  readonly #limbs: number;

  /** @param limbs 32-bit words of the module's own form of an element */
  constructor(exports: RingExports, arena: Arena, octets: number, limbs: number) {
    this.#exports = exports;
    this.#arena = arena;
    this.octets = octets;
    this.#limbs = limbs;
  }

  add(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#elementwise([a, b], (out, [x, y], n) =>
      this.#exports.ringAdd(out, x!.at, x!.step, y!.at, y!.step, n),
    );
  }

  subtract(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#elementwise([a, b], (out, [x, y], n) =>
      this.#exports.ringSubtract(out, x!.at, x!.step, y!.at, y!.step, n),
    );
  }

  multiply(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#elementwise([a, b], (out, [x, y], n) =>
      this.#exports.ringMultiply(out, x!.at, x!.step, y!.at, y!.step, n),
    );
  }

  /** a_i b_i + c_i. */
  multiplyAdd(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
    return this.#elementwise([a, b, c], (out, [x, y, z], n) =>
      this.#exports.ringMultiplyAdd(out, x!.at, x!.step, y!.at, y!.step, z!.at, z!.step, n),
    );
  }

  negate(a: Uint8Array): Uint8Array {
    return this.subtract(new Uint8Array(this.octets), a);
  }

  /** Σ a_i b_i. */
  innerProduct(a: Uint8Array, b: Uint8Array): Uint8Array {
    if (a.length !== b.length) throw new RangeError(`lists of ${a.length} and ${b.length} octets`);
    return this.#fold([a, b], 0, (state, [x, y], n) => this.#exports.ringInner(state, x!, y!, n));
  }

  /** Σ a_i; 0 for none. */
  sum(a: Uint8Array): Uint8Array {
    return this.#fold([a], 0, (state, [x], n) => this.#exports.ringSum(state, x!, n));
  }

  /** Π a_i; 1 for none. */
  product(a: Uint8Array): Uint8Array {
    return this.#fold([a], 1, (state, [x], n) => this.#exports.ringProduct(state, x!, n));
  }

  /** y_i = Π_{j <= i} a_j. */
  runningProducts(a: Uint8Array): Uint8Array {
    const out = new Uint8Array(a.length);
    this.#fold([a], 1, (state, [x], n, from) => {
      const results = this.#arena.take(n * this.octets);
      this.#exports.ringRunningProducts(results, x!, n, state);
      out.set(this.#arena.view(results, n * this.octets), from * this.octets);
    });
    return out;
  }

  /** x_i = x_{i-1} e_i + b_i, with `first` for x_{-1} (VF 9). */
  recurrence(e: Uint8Array, b: Uint8Array, first: Uint8Array = new Uint8Array(this.octets)): Uint8Array {
    if (e.length !== b.length) throw new RangeError(`lists of ${e.length} and ${b.length} octets`);
    const out = new Uint8Array(e.length);
    this.#fold([e, b], first, (state, [x, y], n, from) => {
      const results = this.#arena.take(n * this.octets);
      this.#exports.ringRecurrence(results, x!, y!, n, state);
      out.set(this.#arena.view(results, n * this.octets), from * this.octets);
    });
    return out;
  }

  /** Integers of `width` octets each, any width, reduced. */
  reduce(wide: Uint8Array, width: number): Uint8Array {
    if (!Number.isInteger(width) || width < 1) throw new RangeError(`integers of ${width} octets`);
    const count = countOf(wide, width);
    const out = new Uint8Array(count * this.octets);
    this.#chunks(count, (from, n) => {
      const input = this.#arena.put(wide.subarray(from * width, (from + n) * width));
      const results = this.#arena.take(n * this.octets);
      this.#exports.ringReduce(results, input, width, n);
      out.set(this.#arena.view(results, n * this.octets), from * this.octets);
    });
    return out;
  }

  /** 1/a_i. A `RangeError` names the first element that is 0. */
  invert(a: Uint8Array): Uint8Array {
    const count = countOf(a, this.octets);
    const out = new Uint8Array(a.length);
    this.#chunks(count, (from, n) => {
      const input = this.#arena.put(a.subarray(from * this.octets, (from + n) * this.octets));
      const results = this.#arena.take(n * this.octets);
      const zero = this.#exports.ringInvert(results, input, n, this.#arena.take(4 * n * this.#limbs));
      if (zero !== n) throw new RangeError(`element ${from + zero} is 0 and has no inverse`);
      out.set(this.#arena.view(results, n * this.octets), from * this.octets);
    });
    return out;
  }

  /** The index of the first element that is not below q; -1 if all are. */
  firstInvalid(a: Uint8Array): number {
    const count = countOf(a, this.octets);
    let found = -1;
    this.#chunks(count, (from, n) => {
      if (found >= 0) return;
      const bad = this.#exports.ringCheck(
        this.#arena.put(a.subarray(from * this.octets, (from + n) * this.octets)),
        n,
      );
      if (bad !== n) found = from + bad;
    });
    return found;
  }

  /**
   * Lagrange's coefficients at 0: λ_l = Π_{j ≠ l} j / (j - l), in the order of the indices, which are distinct and at
   * least 1 (VF 11, without the factor F).
   */
  lagrange(indices: readonly number[]): Uint8Array {
    if (new Set(indices).size !== indices.length || indices.some((l) => !Number.isInteger(l) || l < 1)) {
      throw new RangeError(`indices must be distinct and positive: ${indices.join(', ')}`);
    }
    const all = this.#small(indices);
    const out = new Uint8Array(indices.length * this.octets);
    indices.forEach((l, i) => {
      const others = indices.filter((j) => j !== l);
      const distances = this.subtract(this.#small(others), at(all, i, this.octets));
      const numerator = this.product(this.#small(others));
      const denominator = this.product(distances);
      out.set(this.multiply(numerator, this.invert(denominator)), i * this.octets);
    });
    return out;
  }

  /** Small non-negative integers as elements. */
  #small(values: readonly number[]): Uint8Array {
    const out = new Uint8Array(values.length * this.octets);
    const view = new DataView(out.buffer);
    values.forEach((value, i) => {
      view.setUint32((i + 1) * this.octets - 4, value);
    });
    return out;
  }

  #elementwise(
    operands: readonly Uint8Array[],
    kernel: (out: number, operands: { at: number; step: number }[], n: number) => void,
  ): Uint8Array {
    const { octets } = this;
    const counts = operands.map((operand) => countOf(operand, octets));
    const count = counts.find((n) => n !== 1) ?? 1;
    if (counts.some((n) => n !== 1 && n !== count)) {
      throw new RangeError(`lists of different lengths: ${counts.join(', ')}`);
    }
    const out = new Uint8Array(count * octets);
    this.#chunks(count, (from, n) => {
      const inputs = operands.map((operand) =>
        operand.length === octets
          ? { at: this.#arena.put(operand), step: 0 }
          : { at: this.#arena.put(operand.subarray(from * octets, (from + n) * octets)), step: octets },
      );
      const results = this.#arena.take(n * octets);
      kernel(results, inputs, n);
      out.set(this.#arena.view(results, n * octets), from * octets);
    });
    return out;
  }

  /** Carries a state, `first` to begin with, through the lists; returns it. */
  #fold(
    lists: readonly Uint8Array[],
    first: Uint8Array | 0 | 1,
    kernel: (state: number, inputs: number[], n: number, from: number) => void,
  ): Uint8Array {
    const { octets } = this;
    let carried: Uint8Array = typeof first === 'number' ? this.#small([first]) : first;
    if (carried.length !== octets) throw new RangeError(`the first element must have ${octets} octets`);
    const count = countOf(lists[0]!, octets);
    this.#chunks(count, (from, n) => {
      const state = this.#arena.put(carried);
      const inputs = lists.map((list) => this.#arena.put(list.subarray(from * octets, (from + n) * octets)));
      kernel(state, inputs, n, from);
      carried = this.#arena.view(state, octets).slice();
    });
    return carried;
  }

  #chunks(count: number, work: (from: number, n: number) => void): void {
    for (let from = 0; from < count; from += CHUNK) {
      this.#arena.reset();
      work(from, Math.min(CHUNK, count - from));
    }
    this.#exports.ringForget();
  }
}

function at(list: Uint8Array, index: number, octets: number): Uint8Array {
  return list.subarray(index * octets, (index + 1) * octets);
}

function countOf(list: Uint8Array, octets: number): number {
  if (list.length % octets !== 0) {
    throw new RangeError(`${list.length} octets are no list of elements of ${octets} octets each`);
  }
  return list.length / octets;
}
