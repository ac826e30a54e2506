/**
 * P-256 in batches over flat arrays: the kernel as the rest of the mix-net sees it.
 *
 * A list of points is 64 octets a point (affine x, y, big-endian; 64 zero octets are infinity), a list of scalars 32
 * big-endian octets a scalar. Except in `firstInvalid`, `fromTrees`, `decompress` and `lift`, points must be known to be points:
 * nothing checks them again. Scalars need not be below q. A list of one where two lists go together stands for as many
 * equal elements as the other list has. All calls are synchronous; results are new arrays (over shared memory if the
 * executor has several threads). A `RangeError` is a mistake of the caller.
 */
import type { Executor } from './executor.ts';
import { InlineExecutor } from './executor.ts';
import { fixedBaseWidth } from './fixed-base-width.ts';
import { planMultiScalar, windowCount } from './multi-scalar-plan.ts';
import {
  CANDIDATE_OCTETS,
  COMPRESSED_OCTETS,
  evenUnit,
  type FixedBaseTable,
  type Operand,
  POINT_OCTETS,
  SCALAR_OCTETS,
  TREE_OCTETS,
  UNIT,
} from './p256-job.ts';
import type { RingKernel } from './ring-kernel.ts';
import { SharedRing } from './shared-ring.ts';

const SCALAR_BITS = 256;
/** Tables kept for bases that recur: the generator, h_0, public keys. */
const TABLES = 6;
/** How many lists of a session are raised from one base, on average: the generator five, h_0 two, a key one. */
const USES = 3;
/** Octets of a table that takes a few milliseconds to make. */
const WORTH_SHARING = 2 ** 20;
let nextTable = 1;

export type FixedBaseTerm = Readonly<{ base: Uint8Array; scalars: Uint8Array }>;

export class P256Kernel {
  readonly executor: Executor;
  /** Arithmetic modulo the order. */
  readonly ring: RingKernel;
  /** By base, least recently used first. */
  readonly #tables = new Map<string, FixedBaseTable>();

  constructor(executor: Executor = new InlineExecutor()) {
    this.executor = executor;
    this.ring = new SharedRing(executor);
  }

  /** a_i + b_i. */
  add(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#sum(a, b, false);
  }

  /** a_i - b_i. */
  subtract(a: Uint8Array, b: Uint8Array): Uint8Array {
    return this.#sum(a, b, true);
  }

  negate(points: Uint8Array): Uint8Array {
    countOf(points, POINT_OCTETS, 'points');
    const out = this.executor.allocate(points.length);
    this.executor.run({ op: 'negate', points: this.executor.share(points), out });
    return out;
  }

  /** The sum of all points; infinity for none. */
  total(points: Uint8Array): Uint8Array {
    let rest = points;
    countOf(points, POINT_OCTETS, 'points');
    if (rest.length === 0) return this.executor.allocate(POINT_OCTETS);
    if (rest.length === POINT_OCTETS) return copyOf(rest);
    while (rest.length > POINT_OCTETS) {
      const units = Math.ceil(rest.length / POINT_OCTETS / UNIT.total);
      const out = this.executor.allocate(units * POINT_OCTETS);
      this.executor.run({ op: 'total', points: this.executor.share(rest), out });
      rest = out;
    }
    return rest;
  }

  /**
   * scalar_i · base by the base's table, whose size follows the number of scalars; kept for the next call. Scalars
   * may be secret at the price that docs/arithmetic.md names.
   */
  fixedBase(base: Uint8Array, scalars: Uint8Array): Uint8Array {
    return this.fixedBaseSum([{ base, scalars }]);
  }

  /** addend_i + Σ_j scalar_{j,i} · base_j, without intermediate lists. */
  fixedBaseSum(terms: readonly FixedBaseTerm[], addend: Uint8Array | null = null): Uint8Array {
    const counts = terms.map(({ scalars }) => countOf(scalars, SCALAR_OCTETS, 'scalars'));
    if (addend !== null) counts.push(countOf(addend, POINT_OCTETS, 'points'));
    const [count] = counts;
    if (count === undefined || counts.some((other) => other !== count)) {
      throw new RangeError(`lists of different lengths: ${counts.join(', ')}`);
    }
    const out = this.executor.allocate(count * POINT_OCTETS);
    const shared = terms.map(({ base, scalars }) => ({
      table: this.#table(base, count),
      scalars: this.executor.share(scalars),
    }));
    this.executor.run({
      op: 'fixedBase',
      terms: shared,
      addend: addend === null ? null : this.executor.share(addend),
      unit: this.#unit(count, UNIT.fixedBase),
      out,
    });
    terms.forEach(({ scalars }, i) => {
      wipeCopy(shared[i]!.scalars, scalars);
    });
    return out;
  }

  /**
   * Σ scalar_i · point_i. `bits`: no scalar has more; shorter scalars cost less. Not for secret scalars, except as
   * docs/arithmetic.md says.
   */
  multiScalar(points: Uint8Array, scalars: Uint8Array, bits = SCALAR_BITS): Uint8Array {
    const count = countOf(points, POINT_OCTETS, 'points');
    if (countOf(scalars, SCALAR_OCTETS, 'scalars') !== count) {
      throw new RangeError(`${count} points and ${scalars.length / SCALAR_OCTETS} scalars`);
    }
    if (!Number.isInteger(bits) || bits < 0 || bits > SCALAR_BITS) {
      throw new RangeError(`scalars of ${bits} bits: 0 to ${SCALAR_BITS} are possible`);
    }
    if (count === 0) return this.executor.allocate(POINT_OCTETS);
    const plan = planMultiScalar(count, bits, this.executor.threads);
    const out = this.executor.allocate(plan.chunks * plan.ranges * POINT_OCTETS);
    const tooLong = this.executor.allocateIntegers(plan.chunks);
    const shared = { points: this.executor.share(points), scalars: this.executor.share(scalars) };
    this.executor.run({ op: 'multiScalar', ...shared, bits, plan, out, tooLong });
    wipeCopy(shared.scalars, scalars);
    if (tooLong.some((n) => n > 0)) throw new RangeError(`a scalar is longer than ${bits} bits`);
    return this.total(out);
  }

  /**
   * exponent_i · point_i, for secret exponents: neither branches nor addresses depend on them. One exponent may
   * serve all points.
   */
  power(points: Uint8Array, exponents: Uint8Array): Uint8Array {
    const count = countOf(points, POINT_OCTETS, 'points');
    const single = exponents.length === SCALAR_OCTETS;
    if (!single && countOf(exponents, SCALAR_OCTETS, 'exponents') !== count) {
      throw new RangeError(`${count} points and ${exponents.length / SCALAR_OCTETS} exponents`);
    }
    const out = this.executor.allocate(points.length);
    const shared = this.executor.share(exponents);
    this.executor.run({
      op: 'power',
      points: this.executor.share(points),
      exponents: { octets: shared, single },
      out,
    });
    wipeCopy(shared, exponents);
    return out;
  }

  /** The index of the first entry that is neither infinity nor a canonical point on the curve; -1 if all are. */
  firstInvalid(points: Uint8Array): number {
    const count = countOf(points, POINT_OCTETS, 'points');
    const unit = this.#unit(count, UNIT.check);
    const firstBad = this.executor.allocateIntegers(Math.ceil(count / unit));
    this.executor.run({ op: 'check', points: this.executor.share(points), unit, firstBad });
    return firstBad.find((index) => index >= 0) ?? -1;
  }

  /** Points as byte trees of 81 octets each (docs/specification/proofs.md, 1.2). */
  toTrees(points: Uint8Array): Uint8Array {
    const out = new Uint8Array(countOf(points, POINT_OCTETS, 'points') * TREE_OCTETS);
    this.executor.engines.p256.pointsToTrees(points, out);
    return out;
  }

  /** The reverse, checked in form and on the curve; null if any tree is not the canonical one of a point. */
  fromTrees(trees: Uint8Array): Uint8Array | null {
    const points = this.executor.allocate(countOf(trees, TREE_OCTETS, 'byte trees') * POINT_OCTETS);
    if (!this.executor.engines.p256.treesToPoints(trees, points)) return null;
    return this.firstInvalid(points) === -1 ? points : null;
  }

  /** From 33 octets a point (SEC 1; 33 zero octets are infinity). `good[i]` is 0 for what is no point, 1 else. */
  decompress(compressed: Uint8Array): { points: Uint8Array; good: Uint8Array } {
    const count = countOf(compressed, COMPRESSED_OCTETS, 'compressed points');
    const points = this.executor.allocate(count * POINT_OCTETS);
    const good = this.executor.allocate(count);
    const shared = this.executor.share(compressed);
    this.executor.run({ op: 'decompress', compressed: shared, out: points, good });
    return { points, good };
  }

  /**
   * Candidates for independent generators (VF 7): integers of `width` octets, at most 64, each reduced to x; `good[i]`
   * is 1 and the point has the smaller y if x³ - 3x + b is a non-zero square, else `good[i]` is 0 and the point
   * infinity.
   */
  lift(candidates: Uint8Array, width: number = CANDIDATE_OCTETS): { points: Uint8Array; good: Uint8Array } {
    if (!Number.isInteger(width) || width < 1 || width > CANDIDATE_OCTETS) {
      throw new RangeError(`candidates of ${width} octets: 1 to ${CANDIDATE_OCTETS} are possible`);
    }
    const count = countOf(candidates, width, 'candidates');
    const points = this.executor.allocate(count * POINT_OCTETS);
    const good = this.executor.allocate(count);
    const shared = this.executor.share(candidates);
    this.executor.run({ op: 'lift', candidates: shared, width, out: points, good });
    return { points, good };
  }

  #sum(a: Uint8Array, b: Uint8Array, subtract: boolean): Uint8Array {
    const count = commonCount(a, b);
    const out = this.executor.allocate(count * POINT_OCTETS);
    const operands = { a: this.#operand(a, count), b: this.#operand(b, count) };
    this.executor.run({ op: 'sum', ...operands, subtract, unit: this.#unit(count, UNIT.sum), out });
    return out;
  }

  #operand(octets: Uint8Array, count: number): Operand {
    return { octets: this.executor.share(octets), single: octets.length === POINT_OCTETS && count !== 1 };
  }

  #unit(count: number, largest: number): number {
    return evenUnit(count, largest, this.executor.threads);
  }

  /** By all threads, if it is large enough. */
  #makeTable(base: Uint8Array, width: number): Uint8Array {
    const windows = windowCount(width, SCALAR_BITS);
    const row = this.executor.engines.p256.exports.tableSize(width, SCALAR_BITS) / windows;
    const out = this.executor.allocate(windows * row);
    const unit = out.length < WORTH_SHARING ? windows : Math.ceil(windows / this.executor.threads);
    this.executor.run({ op: 'table', base: this.executor.share(base), width, row, unit, out });
    return out;
  }

  /** A table at least as wide as `count` scalars are worth. */
  #table(base: Uint8Array, count: number): FixedBaseTable {
    if (base.length !== POINT_OCTETS) throw new RangeError('a fixed base is one point');
    const key = Buffer.from(base).toString('latin1');
    const width = fixedBaseWidth(USES * count, SCALAR_BITS);
    let table = this.#tables.get(key);
    if (table === undefined || table.width < width) {
      table = { id: nextTable++, width, bits: SCALAR_BITS, octets: this.#makeTable(base, width) };
    }
    this.#tables.delete(key);
    this.#tables.set(key, table);
    if (this.#tables.size > TABLES) this.#tables.delete(this.#tables.keys().next().value!);
    return table;
  }
}

/** Scalars may be secret: no copy of them outlives the call. */
function wipeCopy(copy: Uint8Array, original: Uint8Array): void {
  if (copy !== original) copy.fill(0);
}

function copyOf(octets: Uint8Array): Uint8Array {
  return new Uint8Array(octets);
}

function countOf(octets: Uint8Array, size: number, what: string): number {
  if (octets.length % size !== 0) {
    throw new RangeError(`${octets.length} octets are no list of ${what}, which have ${size} octets each`);
  }
  return octets.length / size;
}

function commonCount(a: Uint8Array, b: Uint8Array): number {
  const [m, n] = [countOf(a, POINT_OCTETS, 'points'), countOf(b, POINT_OCTETS, 'points')];
  if (m !== n && m !== 1 && n !== 1) throw new RangeError(`lists of ${m} and ${n} points`);
  return m === 1 ? n : m;
}
