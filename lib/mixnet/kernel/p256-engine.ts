/**
 * One instance of the P-256 module and what it does with a unit of a job: copies the unit's operands in, calls the
 * kernel, copies the results out. Each thread has its own instance; the lists themselves are never in its memory.
 */
import { windowsAtATime } from './multi-scalar-plan.ts';
import type { P256Exports } from './p256-exports.ts';
import {
  COMPRESSED_OCTETS,
  type FixedBaseTable,
  jobSize,
  type Operand,
  type P256Job,
  POINT_OCTETS,
  SCALAR_LIMBS,
  SCALAR_OCTETS,
  TREE_OCTETS,
  unitOf,
} from './p256-job.ts';
import { RingKernel } from './ring-kernel.ts';
import { Arena, loadModule } from './wasm-module.ts';

/** A point as the kernel keeps it. */
const INNER_POINT = 72;
/** A recoded exponent (assembly/p256/variable-base.ts). */
const RECODED = 56;
/** Tables kept by one instance; beyond, all are dropped and copied in again as they are needed. */
const TABLE_OCTETS = 64 * 2 ** 20;

type Job<Op extends P256Job['op']> = Extract<P256Job, { op: Op }>;
type Range = Readonly<{ from: number; count: number }>;

export class P256Engine {
  readonly exports: P256Exports;
  readonly arena: Arena;
  /** Z_q for the curve's order, by this instance. */
  readonly ring: RingKernel;
  readonly #tables = new Map<number, number>();
  /** The chunk whose points are at the bottom of the arena, for the next unit of the same job; keeps no lists alive. */
  #chunk: Readonly<{ job: WeakRef<P256Job>; index: number }> | null = null;

  constructor(module: WebAssembly.Module = loadModule('p256')) {
    this.exports = new WebAssembly.Instance(module).exports as unknown as P256Exports;
    this.arena = new Arena(this.exports.memory, this.exports.heapBase());
    this.ring = new RingKernel(this.exports, this.arena, SCALAR_OCTETS, SCALAR_LIMBS);
  }

  run(job: P256Job, unit: number): void {
    this.arena.reset();
    if (job.op === 'multiScalar') {
      this.#multiScalar(job, unit);
      return;
    }
    this.#chunk = null;
    const size = unitOf(job);
    const from = unit * size;
    const range = { from, count: Math.min(size, jobSize(job) - from) };
    switch (job.op) {
      case 'sum':
        this.#sum(job, range);
        break;
      case 'negate':
        this.#negate(job, range);
        break;
      case 'total':
        this.#total(job, range, unit);
        break;
      case 'table':
        this.#table(job, range);
        break;
      case 'fixedBase':
        this.#fixedBase(job, range);
        break;
      case 'power':
        this.#power(job, range);
        break;
      case 'check':
        this.#check(job, range, unit);
        break;
      case 'decompress':
        this.#decompress(job, range);
        break;
      case 'lift':
        this.#lift(job, range);
        break;
      default:
        this.#ring(job, range, unit);
        break;
    }
  }

  /** Points as byte trees, one after the other. */
  pointsToTrees(points: Uint8Array, out: Uint8Array): void {
    inChunks(points.length / POINT_OCTETS, ({ from, count }) => {
      this.arena.reset();
      const octets = this.arena.put(slice(points, POINT_OCTETS, from, count));
      const trees = this.arena.take(count * TREE_OCTETS);
      this.exports.pointsToTrees(trees, octets, count);
      out.set(this.arena.view(trees, count * TREE_OCTETS), from * TREE_OCTETS);
    });
  }

  /** The reverse; returns whether all trees were points in form. That they are on the curve is not checked. */
  treesToPoints(trees: Uint8Array, out: Uint8Array): boolean {
    let good = true;
    inChunks(trees.length / TREE_OCTETS, ({ from, count }) => {
      this.arena.reset();
      const octets = this.arena.put(slice(trees, TREE_OCTETS, from, count));
      const points = this.arena.take(count * POINT_OCTETS);
      if (this.exports.treesToPoints(points, octets, count) !== count) good = false;
      out.set(this.arena.view(points, count * POINT_OCTETS), from * POINT_OCTETS);
    });
    return good;
  }

  /** Points, known to be good, into the kernel's form. */
  #points(octets: Uint8Array, room = octets.length / POINT_OCTETS): number {
    const count = octets.length / POINT_OCTETS;
    const points = this.arena.take(room * INNER_POINT);
    this.exports.readPoints(points, this.arena.put(octets), count);
    return points;
  }

  /** The part of an operand that a unit needs, and the step from one element to the next. */
  #operand(operand: Operand, { from, count }: Range): { at: number; step: number } {
    const octets = operand.single ? operand.octets : slice(operand.octets, POINT_OCTETS, from, count);
    return { at: this.#points(octets), step: operand.single ? 0 : INNER_POINT };
  }

  #writePoints(out: Uint8Array, points: number, { from, count }: Range): void {
    const octets = this.arena.take(count * POINT_OCTETS);
    this.exports.writePoints(octets, points, count);
    out.set(this.arena.view(octets, count * POINT_OCTETS), from * POINT_OCTETS);
  }

  /** Scalars as little-endian words; to be wiped by `#wipe` when they are done with. */
  #words(scalars: Uint8Array): number {
    const words = this.arena.take(scalars.length);
    const octets = this.arena.put(scalars);
    this.exports.readWords(words, octets, scalars.length / SCALAR_OCTETS);
    this.#wipe(octets, scalars.length);
    return words;
  }

  #wipe(at: number, length: number): void {
    this.arena.view(at, length).fill(0);
  }

  #sum(job: Job<'sum'>, range: Range): void {
    const a = this.#operand(job.a, range);
    const b = this.#operand(job.b, range);
    const out = this.arena.take(range.count * INNER_POINT);
    const { addPoints, subtractPoints } = this.exports;
    (job.subtract ? subtractPoints : addPoints)(out, a.at, a.step, b.at, b.step, range.count);
    this.#writePoints(job.out, out, range);
  }

  #negate(job: Job<'negate'>, range: Range): void {
    const points = this.#points(slice(job.points, POINT_OCTETS, range.from, range.count));
    this.exports.negatePoints(points, range.count);
    this.#writePoints(job.out, points, range);
  }

  #total(job: Job<'total'>, { from, count }: Range, unit: number): void {
    const points = this.#points(slice(job.points, POINT_OCTETS, from, count));
    this.exports.totalPoints(points, count);
    this.#writePoints(job.out, points, { from: unit, count: 1 });
  }

  /** Rows of the table of all window multiples of one point (64 octets). */
  #table({ base, width, row, out }: Job<'table'>, { from, count }: Range): void {
    const point = this.#points(base);
    const table = this.arena.take(count * row);
    this.exports.makeTable(table, point, width, from, count);
    out.set(this.arena.view(table, count * row), from * row);
  }

  #fixedBase(job: Job<'fixedBase'>, range: Range): void {
    const tables = this.#tableAddresses(job.terms.map(({ table }) => table));
    const out = job.addend
      ? this.#points(slice(job.addend, POINT_OCTETS, range.from, range.count))
      : this.arena.take(range.count * INNER_POINT);
    job.terms.forEach(({ table, scalars }, i) => {
      const words = this.#words(slice(scalars, SCALAR_OCTETS, range.from, range.count));
      const accumulate = i > 0 || job.addend !== null;
      this.exports.fixedBase(out, tables[i]!, table.width, table.bits, words, range.count, accumulate);
      this.#wipe(words, range.count * SCALAR_OCTETS);
    });
    this.#writePoints(job.out, out, range);
  }

  /** Where this instance has the tables; those it does not have yet are copied in. Before any other memory is taken. */
  #tableAddresses(tables: readonly FixedBaseTable[]): number[] {
    const missing = tables.reduce((sum, t) => sum + (this.#tables.has(t.id) ? 0 : t.octets.length), 0);
    if (this.arena.kept + missing > TABLE_OCTETS) {
      this.arena.forget();
      this.#tables.clear();
    }
    return tables.map(({ id, octets }) => {
      const known = this.#tables.get(id);
      if (known !== undefined) return known;
      const at = this.arena.keep(octets.length);
      this.arena.view(at, octets.length).set(octets);
      this.#tables.set(id, at);
      return at;
    });
  }

  #multiScalar(job: Job<'multiScalar'>, unit: number): void {
    const { width, windows, chunk, windowsPerRange, ranges } = job.plan;
    const index = Math.floor(unit / ranges);
    const from = index * chunk;
    const count = Math.min(chunk, job.points.length / POINT_OCTETS - from);
    const first = (unit % ranges) * windowsPerRange;
    const last = Math.min(windows, first + windowsPerRange);
    const group = windowsAtATime(count, last - first);
    const points = this.#chunkPoints(job, index, slice(job.points, POINT_OCTETS, from, count));
    const words = this.#words(slice(job.scalars, SCALAR_OCTETS, from, count));
    job.tooLong[index] = this.exports.scalarsTooLong(words, count, job.bits);
    const work = this.arena.take(this.exports.multiScalarWork(count, width, last - first, group));
    const out = this.arena.take(INNER_POINT);
    this.exports.multiScalar(out, points, words, count, width, first, last, group, work);
    this.#wipe(words, count * SCALAR_OCTETS);
    this.#writePoints(job.out, out, { from: unit, count: 1 });
  }

  /** A job's units follow one another in a thread: of the same chunk, points are converted once. */
  #chunkPoints(job: P256Job, index: number, octets: Uint8Array): number {
    if (this.#chunk?.job.deref() === job && this.#chunk.index === index) {
      return this.arena.take((octets.length / POINT_OCTETS) * INNER_POINT);
    }
    this.#chunk = { job: new WeakRef(job), index };
    return this.#points(octets);
  }

  #power(job: Job<'power'>, range: Range): void {
    const { exponents } = job;
    const quads = Math.ceil(range.count / 4);
    const octets = slice(job.points, POINT_OCTETS, range.from, range.count);
    const points = this.#points(octets, 4 * quads);
    this.arena.view(points + range.count * INNER_POINT, (4 * quads - range.count) * INNER_POINT).fill(0);
    const own = exponents.single
      ? exponents.octets
      : slice(exponents.octets, SCALAR_OCTETS, range.from, range.count);
    const words = this.#words(own);
    const lanes = exponents.single ? 1 : 4 * quads;
    const recoded = this.arena.take(lanes * RECODED);
    for (let i = 0; i < lanes; i++) {
      const one = Math.min(i, own.length / SCALAR_OCTETS - 1);
      this.exports.recode(recoded + RECODED * i, words + SCALAR_OCTETS * one);
    }
    const out = this.arena.take(4 * quads * INNER_POINT);
    const work = this.arena.take(this.exports.variableBaseWork(quads));
    this.exports.variableBase(out, points, recoded, exponents.single ? 0 : RECODED, quads, work);
    this.#wipe(words, own.length);
    this.#wipe(recoded, lanes * RECODED);
    this.#writePoints(job.out, out, range);
  }

  #check(job: Job<'check'>, { from, count }: Range, unit: number): void {
    const at = this.arena.put(slice(job.points, POINT_OCTETS, from, count));
    const bad = this.exports.checkPoints(at, count);
    job.firstBad[unit] = bad === count ? -1 : from + bad;
  }

  #decompress(job: Job<'decompress'>, range: Range): void {
    const compressed = this.arena.put(slice(job.compressed, COMPRESSED_OCTETS, range.from, range.count));
    const out = this.arena.take((range.count + 3) * INNER_POINT);
    const good = this.arena.take(range.count);
    this.exports.decompress(out, compressed, good, range.count);
    job.good.set(this.arena.view(good, range.count), range.from);
    this.#writePoints(job.out, out, range);
  }

  #lift(job: Job<'lift'>, range: Range): void {
    const candidates = this.arena.put(slice(job.candidates, job.width, range.from, range.count));
    const out = this.arena.take((range.count + 3) * INNER_POINT);
    const good = this.arena.take(range.count);
    this.exports.liftCandidates(out, candidates, job.width, good, range.count);
    job.good.set(this.arena.view(good, range.count), range.from);
    this.#writePoints(job.out, out, range);
  }

  #ring(job: Job<'ring' | 'ringInner' | 'ringReduce'>, { from, count }: Range, unit: number): void {
    const { ring } = this;
    const part = (octets: Uint8Array, size = SCALAR_OCTETS) => slice(octets, size, from, count);
    if (job.op === 'ringInner') {
      job.out.set(ring.innerProduct(part(job.a), part(job.b)), unit * SCALAR_OCTETS);
      return;
    }
    job.out.set(
      job.op === 'ringReduce'
        ? ring.reduce(part(job.wide, job.width), job.width)
        : this.#elementwise(job, part),
      from * SCALAR_OCTETS,
    );
  }

  #elementwise(job: Job<'ring'>, part: (octets: Uint8Array) => Uint8Array): Uint8Array {
    const { ring } = this;
    const [a, b, c] = job.operands.map(({ octets, single }) => (single ? octets : part(octets)));
    if (a === undefined || b === undefined) throw new Error('a ring operation has two operands or three');
    if (job.operation !== 'multiplyAdd') return ring[job.operation](a, b);
    if (c === undefined) throw new Error('multiplyAdd has three operands');
    return ring.multiplyAdd(a, b, c);
  }
}

/** Points whose trees are in the module's memory at a time. */
const TREES = 4096;

function inChunks(count: number, work: (range: Range) => void): void {
  for (let from = 0; from < count; from += TREES) work({ from, count: Math.min(TREES, count - from) });
}

function slice(octets: Uint8Array, size: number, from: number, count: number): Uint8Array {
  return octets.subarray(from * size, (from + count) * size);
}
