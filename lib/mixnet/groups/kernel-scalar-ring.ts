/** Scalar vectors computed by the WebAssembly kernel; the same results as `ScalarRing`, which is its oracle. */
import type { RingKernel } from '../kernel/ring-kernel.ts';
import { ScalarRing, sameLength } from './scalar-ring.ts';
import { type Scalars, vectorOf } from './vectors.ts';

export class KernelScalarRing extends ScalarRing {
  readonly #kernel: RingKernel;

  constructor(order: bigint, kernel: RingKernel) {
    super(order);
    if (kernel.octets !== this.width) throw new RangeError('the kernel has scalars of another width');
    this.#kernel = kernel;
  }

  override add(a: Scalars, b: Scalars): Scalars {
    return this.#pair(a, b, this.#kernel.add(a.bytes, b.bytes));
  }

  override subtract(a: Scalars, b: Scalars): Scalars {
    return this.#pair(a, b, this.#kernel.subtract(a.bytes, b.bytes));
  }

  override multiply(a: Scalars, b: Scalars): Scalars {
    return this.#pair(a, b, this.#kernel.multiply(a.bytes, b.bytes));
  }

  override multiplyAdd(a: Scalars, b: Scalars, c: Scalars): Scalars {
    const lengths = new Set([a.length, b.length, c.length].filter((length) => length !== 1));
    if (lengths.size > 1) throw new RangeError(`vectors of ${[...lengths].join(' and ')} items`);
    return this.#vector(this.#kernel.multiplyAdd(a.bytes, b.bytes, c.bytes));
  }

  override negate(a: Scalars): Scalars {
    return this.#vector(this.#kernel.negate(a.bytes));
  }

  override sum(a: Scalars): Scalars {
    return this.#vector(this.#kernel.sum(a.bytes));
  }

  override product(a: Scalars): Scalars {
    return this.#vector(this.#kernel.product(a.bytes));
  }

  override innerProduct(a: Scalars, b: Scalars): Scalars {
    sameLength(a, b);
    return this.#vector(this.#kernel.innerProduct(a.bytes, b.bytes));
  }

  override recurrence(b: Scalars, e: Scalars): Scalars {
    sameLength(b, e);
    return this.#vector(this.#kernel.recurrence(e.bytes, b.bytes));
  }

  override cumulativeProduct(e: Scalars): Scalars {
    return this.#vector(this.#kernel.runningProducts(e.bytes));
  }

  override reduceOctets(bytes: Uint8Array, octets: number): Scalars {
    return this.#vector(this.#kernel.reduce(bytes, octets));
  }

  #pair(a: Scalars, b: Scalars, bytes: Uint8Array): Scalars {
    if (a.length !== b.length && a.length !== 1 && b.length !== 1) sameLength(a, b);
    return this.#vector(bytes);
  }

  #vector(bytes: Uint8Array): Scalars {
    return vectorOf('scalars', this.width, bytes);
  }
}
