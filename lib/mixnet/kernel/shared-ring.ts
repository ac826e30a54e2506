/**
 * Z_q for the order of P-256 where the executor's threads share long lists; short ones, and what goes through a list
 * in order, are done by the calling thread. The same results as `RingKernel`, whose operations these are.
 */
import type { Executor } from './executor.ts';
import {
  evenUnit,
  type Operand,
  SCALAR_LIMBS,
  SCALAR_OCTETS,
  type SharedRingOperation,
  UNIT,
} from './p256-job.ts';
import { RingKernel } from './ring-kernel.ts';

export class SharedRing extends RingKernel {
  readonly #executor: Executor;

  constructor(executor: Executor) {
    const { exports, arena } = executor.engines.p256;
    super(exports, arena, SCALAR_OCTETS, SCALAR_LIMBS);
    this.#executor = executor;
  }

  override add(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#elementwise('add', a, b) ?? super.add(a, b);
  }

  override subtract(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#elementwise('subtract', a, b) ?? super.subtract(a, b);
  }

  override multiply(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#elementwise('multiply', a, b) ?? super.multiply(a, b);
  }

  override multiplyAdd(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
    return this.#elementwise('multiplyAdd', a, b, c) ?? super.multiplyAdd(a, b, c);
  }

  override innerProduct(a: Uint8Array, b: Uint8Array): Uint8Array {
    const count = a.length / SCALAR_OCTETS;
    if (a.length !== b.length || !this.#worthSharing(count)) return super.innerProduct(a, b);
    const unit = this.#unit(count);
    const out = this.#executor.allocate(Math.ceil(count / unit) * SCALAR_OCTETS);
    const [x, y] = [this.#executor.share(a), this.#executor.share(b)];
    this.#executor.run({ op: 'ringInner', a: x, b: y, unit, out });
    wipeCopies([a, b], [x, y]);
    return this.sum(out);
  }

  override reduce(wide: Uint8Array, width: number): Uint8Array {
    const count = wide.length / width;
    if (!this.#worthSharing(count)) return super.reduce(wide, width);
    const out = this.#executor.allocate(count * SCALAR_OCTETS);
    const shared = this.#executor.share(wide);
    this.#executor.run({ op: 'ringReduce', wide: shared, width, unit: this.#unit(count), out });
    wipeCopies([wide], [shared]);
    return out;
  }

  /** Null if the lists are short, or are no lists that go together (which the calling thread's operation will say). */
  #elementwise(operation: SharedRingOperation, ...lists: readonly Uint8Array[]): Uint8Array | null {
    const lengths = new Set(lists.map((list) => list.length).filter((length) => length !== SCALAR_OCTETS));
    const [length = 0] = lengths;
    if (lengths.size !== 1 || !this.#worthSharing(length / SCALAR_OCTETS)) return null;
    const out = this.#executor.allocate(length);
    const shared = lists.map((list) => this.#executor.share(list));
    const operands = shared.map((octets): Operand => ({ octets, single: octets.length === SCALAR_OCTETS }));
    this.#executor.run({ op: 'ring', operation, operands, unit: this.#unit(length / SCALAR_OCTETS), out });
    wipeCopies(lists, shared);
    return out;
  }

  #unit(count: number): number {
    return evenUnit(count, UNIT.ring, this.#executor.threads);
  }

  #worthSharing(count: number): boolean {
    return this.#executor.threads > 1 && Number.isInteger(count) && count > UNIT.ring;
  }
}

/** Elements may be secret: no copy of them outlives the call. */
function wipeCopies(originals: readonly Uint8Array[], copies: readonly Uint8Array[]): void {
  copies.forEach((copy, i) => {
    if (copy !== originals[i]) copy.fill(0);
  });
}
