/**
 * P-256 by the WebAssembly kernel. Encodings are those of `P256Group`, which is the oracle for all results.
 *
 * The kernel's lists are this group's vectors octet for octet. Its `power` has no branch and no address that depends on
 * the exponent; tables and multi-exponentiation have (docs/mix-net.md).
 */
import type { PseudoRandomStream } from '../hashing/random-oracle.ts';
import type { P256Kernel } from '../kernel/p256-kernel.ts';
import { Refusal } from '../refusal.ts';
import type { FixedPower } from './group.ts';
import { KernelScalarRing } from './kernel-scalar-ring.ts';
import { P256Group, p256Order } from './p256.ts';
import { sameLength } from './scalar-ring.ts';
import { type Elements, gather, type Scalars, vectorOf } from './vectors.ts';

const candidatesAtATime = 16_384;

export class P256KernelGroup extends P256Group {
  readonly #kernel: P256Kernel;

  constructor(kernel: P256Kernel) {
    super(new KernelScalarRing(p256Order, kernel.ring));
    this.#kernel = kernel;
  }

  override multiply(left: Elements, right: Elements): Elements {
    if (left.length !== right.length && left.length !== 1 && right.length !== 1) sameLength(left, right);
    return this.#vector(this.#kernel.add(left.bytes, right.bytes));
  }

  override invert(v: Elements): Elements {
    return this.#vector(this.#kernel.negate(v.bytes));
  }

  override power(bases: Elements, exponents: Scalars): Elements {
    if (exponents.length !== 1) sameLength(bases, exponents);
    return this.#vector(this.#kernel.power(bases.bytes, exponents.bytes));
  }

  override powerBySecret(bases: Elements, exponent: Scalars): Elements {
    return this.power(bases, exponent);
  }

  override powerOfFixed(base: Elements, exponents: Scalars): Elements {
    return this.#vector(this.#kernel.fixedBase(base.bytes, exponents.bytes));
  }

  override productOfFixed(terms: readonly FixedPower[], factor?: Elements): Elements {
    const lists = terms.map(({ base, exponents }) => ({ base: base.bytes, scalars: exponents.bytes }));
    return this.#vector(this.#kernel.fixedBaseSum(lists, factor?.bytes ?? null));
  }

  override multiPower(bases: Elements, exponents: Scalars): Elements {
    sameLength(bases, exponents);
    const bits = this.ring.maximalBits(exponents);
    return this.#vector(this.#kernel.multiScalar(bases.bytes, exponents.bytes, bits));
  }

  override product(v: Elements): Elements {
    return this.#vector(this.#kernel.total(v.bytes));
  }

  override encode(v: Elements): Uint8Array {
    return this.#kernel.toTrees(v.bytes);
  }

  override decode(trees: Uint8Array, what: string): Elements {
    const points = this.#kernel.fromTrees(trees);
    // The slow way finds out what is wrong, and refuses it.
    return points === null ? super.decode(trees, what) : this.#vector(points);
  }

  protected override firstInvalidPoint(bytes: Uint8Array): number {
    // To the kernel 64 zero octets are infinity, which has no text.
    for (let at = 0; at < bytes.length; at += this.stride) {
      if (bytes[at] === 0 && bytes[at + 63] === 0 && this.isIdentity(this.#vector(bytes), at / this.stride)) {
        return at / this.stride;
      }
    }
    return this.#kernel.firstInvalid(bytes);
  }

  protected override checkPoints(bytes: Uint8Array, what: string): void {
    const bad = this.#kernel.firstInvalid(bytes);
    if (bad !== -1) throw new Refusal('element-not-in-group', `${what}: point ${bad} is not on the curve`);
  }

  override derive(stream: PseudoRandomStream, count: number, slack: number): Elements {
    const bits = 256 + slack;
    const width = Math.ceil(bits / 8);
    const bytes = new Uint8Array(count * this.stride);
    for (let found = 0; found < count; ) {
      const batch = Math.min(candidatesAtATime, 2 * (count - found) + 16);
      const { points, good } = this.#kernel.lift(stream.readIntegers(batch, bits), width);
      const places = new Uint32Array(Math.min(batch, count - found));
      let taken = 0;
      for (let i = 0; i < batch && taken < places.length; i++) if (good[i] !== 0) places[taken++] = i;
      const kept = gather(this.#vector(points), places.subarray(0, taken));
      bytes.set(kept.bytes, found * this.stride);
      found += taken;
    }
    return this.#vector(bytes);
  }

  #vector(bytes: Uint8Array): Elements {
    return vectorOf('elements', this.stride, bytes);
  }
}
