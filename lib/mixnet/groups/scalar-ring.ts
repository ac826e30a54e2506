/**
 * Vectors modulo the prime group order q: canonical, fixed width, big endian.
 *
 * BigInt inside, so nothing here is constant-time (docs/mix-net.md says what that means). Byte-tree form: a leaf of
 * exactly `floor(bits(q) / 8) + 1` octets (VF 2).
 */
import { randomBytes, randomFillSync } from 'node:crypto';
import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { nodeHeader, type Tree } from '../byte-tree/tree.ts';
import type { PseudoRandomStream } from '../hashing/random-oracle.ts';
import { bitLength, fromBigInt, signedWidth, toBigInt, uint32, writeBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { type Scalars, vectorOf } from './vectors.ts';

export class ScalarRing {
  /** The prime q. */
  readonly order: bigint;
  readonly bits: number;
  /** Octets of a scalar in a vector. */
  readonly width: number;
  /** Octets of a scalar in a byte-tree leaf. */
  readonly leafWidth: number;
  readonly #orderOctets: Uint8Array;

  constructor(order: bigint) {
    this.order = order;
    this.bits = bitLength(order);
    this.width = Math.ceil(this.bits / 8);
    this.leafWidth = signedWidth(order);
    this.#orderOctets = fromBigInt(order, this.width);
  }

  reduce(value: bigint): bigint {
    const rest = value % this.order;
    return rest < 0n ? rest + this.order : rest;
  }

  /** Any integers, reduced. */
  of(...values: readonly bigint[]): Scalars {
    return this.ofAll(values);
  }

  ofAll(values: readonly bigint[]): Scalars {
    const bytes = new Uint8Array(values.length * this.width);
    values.forEach((value, i) => {
      writeBigInt(this.reduce(value), bytes, i * this.width, this.width);
    });
    return vectorOf('scalars', this.width, bytes);
  }

  at(v: Scalars, index: number): bigint {
    return toBigInt(v.bytes.subarray(index * this.width, (index + 1) * this.width));
  }

  values(v: Scalars): bigint[] {
    return Array.from({ length: v.length }, (_, i) => this.at(v, i));
  }

  /** Uniform scalars from the system's randomness, by rejection. */
  random(count: number): Scalars {
    const { width } = this;
    const bytes = randomFillSync(new Uint8Array(count * width));
    const mask = 0xff >>> (8 * width - this.bits);
    for (let at = 0; at < bytes.length; at += width) {
      bytes[at]! &= mask;
      while (!this.#isBelowOrder(bytes, at)) {
        randomFillSync(bytes, at, width);
        bytes[at]! &= mask;
      }
    }
    return vectorOf('scalars', width, bytes);
  }

  /** Integers of `bits` random bits, reduced (`eps` of VF 9, weights of batch verification). */
  randomBits(count: number, bits: number): Scalars {
    if (bits < this.bits) return this.#shortRandom(count, bits);
    const octets = Math.ceil(bits / 8);
    const bytes = new Uint8Array(randomBytes(count * octets));
    const mask = 0xff >>> (8 * octets - bits);
    for (let at = 0; at < bytes.length; at += octets) bytes[at]! &= mask;
    return this.reduceOctets(bytes, octets);
  }

  /** Below the order without a reduction. */
  #shortRandom(count: number, bits: number): Scalars {
    const { width } = this;
    const bytes = randomFillSync(new Uint8Array(count * width));
    const idle = width - Math.ceil(bits / 8);
    const mask = 0xff >>> (8 * (width - idle) - bits);
    for (let at = 0; at < bytes.length; at += width) {
      bytes.fill(0, at, at + idle);
      bytes[at + idle]! &= mask;
    }
    return vectorOf('scalars', width, bytes);
  }

  /** Big-endian octets are compared like their numbers. */
  #isBelowOrder(bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < this.width; i++) {
      const difference = bytes[at + i]! - this.#orderOctets[i]!;
      if (difference !== 0) return difference < 0;
    }
    return false;
  }

  /** Consecutive integers of `bits` bits from a generator, reduced (the batching vector, VF 9 step 1). */
  fromStream(stream: PseudoRandomStream, count: number, bits: number): Scalars {
    return this.reduceOctets(stream.readIntegers(count, bits), Math.ceil(bits / 8));
  }

  add(a: Scalars, b: Scalars): Scalars {
    return this.#zip(a, b, (x, y) => x + y);
  }

  subtract(a: Scalars, b: Scalars): Scalars {
    return this.#zip(a, b, (x, y) => x - y);
  }

  /** Item by item; a vector of length one goes with every item of the other. */
  multiply(a: Scalars, b: Scalars): Scalars {
    return this.#zip(a, b, (x, y) => x * y);
  }

  /** `a_i b_i + c_i`, with vectors of length one as in `multiply`. */
  multiplyAdd(a: Scalars, b: Scalars, c: Scalars): Scalars {
    return this.add(this.multiply(a, b), c);
  }

  negate(a: Scalars): Scalars {
    return this.ofAll(this.values(a).map((x) => -x));
  }

  sum(a: Scalars): Scalars {
    return this.of(this.values(a).reduce((sum, x) => sum + x, 0n));
  }

  product(a: Scalars): Scalars {
    return this.of(this.values(a).reduce((product, x) => this.reduce(product * x), 1n));
  }

  innerProduct(a: Scalars, b: Scalars): Scalars {
    sameLength(a, b);
    let sum = 0n;
    for (let i = 0; i < a.length; i++) sum = this.reduce(sum + this.at(a, i) * this.at(b, i));
    return this.of(sum);
  }

  /** `x_0 = b_0`, `x_i = x_{i-1} e_i + b_i` (VF 9, speed trick). */
  recurrence(b: Scalars, e: Scalars): Scalars {
    sameLength(b, e);
    let x = 0n;
    return this.ofAll(
      Array.from({ length: b.length }, (_, i) => {
        x = this.reduce(x * this.at(e, i) + this.at(b, i));
        return x;
      }),
    );
  }

  /** `y_i = e_0 … e_i`. */
  cumulativeProduct(e: Scalars): Scalars {
    let y = 1n;
    return this.ofAll(
      this.values(e).map((factor) => {
        y = this.reduce(y * factor);
        return y;
      }),
    );
  }

  /** `0` for an empty exponent vector; else the bit length of the largest scalar. */
  maximalBits(v: Scalars): number {
    let best = 0;
    for (let i = 0; i < v.length; i++) {
      const from = i * this.width;
      for (let j = 0; 8 * (this.width - j) > best && j < this.width; j++) {
        const octet = v.bytes[from + j]!;
        if (octet === 0) continue;
        best = Math.max(best, 8 * (this.width - j - 1) + (32 - Math.clz32(octet)));
        break;
      }
    }
    return best;
  }

  inverseOf(value: bigint): bigint {
    let [a, b] = [this.reduce(value), this.order];
    let [x, y] = [1n, 0n];
    if (a === 0n) throw new RangeError('zero has no inverse');
    while (a !== 1n) {
      const quotient = b / a;
      [a, b] = [b % a, a];
      [x, y] = [y - quotient * x, x];
    }
    return this.reduce(x);
  }

  /** One leaf. */
  scalarTree(v: Scalars, index = 0): Tree {
    return (sink) => sink.write(this.#leaves(v, index, index + 1));
  }

  /** A node with one leaf per scalar. */
  arrayTree(v: Scalars): Tree {
    return (sink) => {
      sink.write(nodeHeader(v.length));
      for (let at = 0; at < v.length; at += 1024)
        sink.write(this.#leaves(v, at, Math.min(v.length, at + 1024)));
    };
  }

  readScalar(reader: ByteTreeReader): Scalars {
    return this.#parse(reader, 1);
  }

  readArray(reader: ByteTreeReader, count: number): Scalars {
    reader.node(count);
    return this.#parse(reader, count);
  }

  #leaves(v: Scalars, from: number, to: number): Uint8Array {
    const { width, leafWidth } = this;
    const out = new Uint8Array((to - from) * (5 + leafWidth));
    const length = uint32(leafWidth);
    const pad = 5 + leafWidth - width;
    for (let i = from, at = 0; i < to; i++, at += 5 + leafWidth) {
      out[at] = 1;
      for (let j = 0; j < 4; j++) out[at + 1 + j] = length[j]!;
      for (let j = 0; j < width; j++) out[at + pad + j] = v.bytes[i * width + j]!;
    }
    return out;
  }

  #parse(reader: ByteTreeReader, count: number): Scalars {
    const { width, leafWidth } = this;
    const leaves = reader.leaves(count, leafWidth);
    const bytes = new Uint8Array(count * width);
    const [step, pad] = [5 + leafWidth, leafWidth - width];
    for (let i = 0, at = 0; i < count; i++, at += width) {
      const from = i * step + 5;
      for (let j = 0; j < width; j++) bytes[at + j] = leaves[from + pad + j]!;
      if ((pad === 1 && leaves[from] !== 0) || !this.#isBelowOrder(bytes, at)) {
        throw new Refusal('scalar-not-canonical', `scalar ${i} is not less than the group order`);
      }
    }
    return vectorOf('scalars', width, bytes);
  }

  /** Integers of `octets` octets each, reduced. */
  reduceOctets(bytes: Uint8Array, octets: number): Scalars {
    const count = bytes.length / octets;
    return this.ofAll(
      Array.from({ length: count }, (_, i) => toBigInt(bytes.subarray(i * octets, (i + 1) * octets))),
    );
  }

  #zip(a: Scalars, b: Scalars, combine: (x: bigint, y: bigint) => bigint): Scalars {
    if (a.length === 1 && b.length !== 1) {
      const x = this.at(a, 0);
      return this.ofAll(this.values(b).map((y) => combine(x, y)));
    }
    if (b.length === 1) {
      const y = this.at(b, 0);
      return this.ofAll(this.values(a).map((x) => combine(x, y)));
    }
    sameLength(a, b);
    return this.ofAll(Array.from({ length: a.length }, (_, i) => combine(this.at(a, i), this.at(b, i))));
  }
}

export function sameLength(a: { readonly length: number }, b: { readonly length: number }): void {
  if (a.length !== b.length) throw new RangeError(`vectors of ${a.length} and ${b.length} items`);
}
