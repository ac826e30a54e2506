/**
 * Groups modulo a safe prime by the WebAssembly kernel; secret exponents of varying bases by OpenSSL. Encodings are those
 * of `ModpGroup`, which is the oracle for all results.
 */

import type { Executor } from '../kernel/executor.ts';
import { ModpKernel } from '../kernel/modp-kernel.ts';
import { fromBigInt } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { ModpGroup } from './modp.ts';
import { type ScalarRing, sameLength } from './scalar-ring.ts';
import { type Elements, item, type Scalars, vectorOf } from './vectors.ts';

/** The kernel's limbs end here. */
export const largestKernelModulus = 3550;

/** Fewer powers than this are quicker one by one through OpenSSL. */
const worthTable = 100;
const worthBuckets = 40;

export class ModpKernelGroup extends ModpGroup {
  readonly #kernel: ModpKernel;

  constructor(p: bigint, g: bigint, ring: ScalarRing, executor?: Executor) {
    super(p, g, ring);
    this.#kernel = new ModpKernel(fromBigInt(p, this.stride), ring.width, executor);
  }

  override multiply(a: Elements, b: Elements): Elements {
    if (a.length !== b.length && a.length !== 1 && b.length !== 1) sameLength(a, b);
    return this.#vector(this.#kernel.multiply(a.bytes, b.bytes));
  }

  override power(bases: Elements, exponents: Scalars): Elements {
    if (exponents.length !== 1) sameLength(bases, exponents);
    return this.#vector(this.#kernel.power(bases.bytes, exponents.bytes));
  }

  override powerBySecret(bases: Elements, exponent: Scalars): Elements {
    return this.power(bases, exponent);
  }

  override powerOfFixed(base: Elements, exponents: Scalars): Elements {
    if (exponents.length >= worthTable)
      return this.#vector(this.#kernel.fixedBase(base.bytes, exponents.bytes));
    const bytes = new Uint8Array(exponents.length * this.stride);
    for (let i = 0; i < exponents.length; i++)
      bytes.set(this.power(base, item(exponents, i)).bytes, i * this.stride);
    return this.#vector(bytes);
  }

  override multiPower(bases: Elements, exponents: Scalars): Elements {
    sameLength(bases, exponents);
    if (bases.length < worthBuckets) return this.product(this.power(bases, exponents));
    const bits = this.ring.maximalBits(exponents);
    return this.#vector(this.#kernel.multiPower(bases.bytes, exponents.bytes, bits));
  }

  override product(v: Elements): Elements {
    return this.#vector(this.#kernel.product(v.bytes));
  }

  protected override checkElements(bytes: Uint8Array, what: string): void {
    const bad = this.#kernel.firstInvalid(bytes);
    if (bad !== -1) throw new Refusal('element-not-in-group', `${what}: element ${bad} is not in the group`);
  }

  #vector(bytes: Uint8Array): Elements {
    return vectorOf('elements', this.stride, bytes);
  }
}
