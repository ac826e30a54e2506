/**
 * What the P-256 kernel can be asked, as plain data that any thread can take a share of: a job falls into numbered
 * units that may be done in any order, by any thread, each writing its own part of the outputs.
 *
 * Points are 64 octets (affine x, y, big-endian; 64 zero octets are infinity), scalars 32 big-endian octets.
 */

export const POINT_OCTETS = 64;
/** A point as a byte tree. */
export const TREE_OCTETS = 81;
export const SCALAR_OCTETS = 32;
/** 32-bit words of a scalar inside the kernel. */
export const SCALAR_LIMBS = 9;
export const COMPRESSED_OCTETS = 33;
/** The longest candidate for a generator. */
export const CANDIDATE_OCTETS = 64;

/** One base's table; `octets` is as the kernel laid it out, for its eyes only. */
export type FixedBaseTable = Readonly<{ id: number; width: number; bits: number; octets: Uint8Array }>;

/** A list, or a single element that stands for a list of equal ones. */
export type Operand = Readonly<{ octets: Uint8Array; single: boolean }>;

/** What `RingKernel` does item by item. */
export type SharedRingOperation = 'add' | 'subtract' | 'multiply' | 'multiplyAdd';

/** `unit`: elements of a unit (`evenUnit`) where it is not `UNIT`'s. */
export type P256Job =
  /** Item by item. */
  | Readonly<{ op: 'sum'; a: Operand; b: Operand; subtract: boolean; unit: number; out: Uint8Array }>
  | Readonly<{ op: 'negate'; points: Uint8Array; out: Uint8Array }>
  /** The sum of each unit's points. */
  | Readonly<{ op: 'total'; points: Uint8Array; out: Uint8Array }>
  /** The rows of a fixed base's table, `unit` of them at a time. */
  | Readonly<{ op: 'table'; base: Uint8Array; width: number; row: number; unit: number; out: Uint8Array }>
  | Readonly<{
      op: 'fixedBase';
      terms: readonly Readonly<{ table: FixedBaseTable; scalars: Uint8Array }>[];
      addend: Uint8Array | null;
      unit: number;
      out: Uint8Array;
    }>
  | Readonly<{
      op: 'multiScalar';
      points: Uint8Array;
      scalars: Uint8Array;
      bits: number;
      plan: MultiScalarPlan;
      /** One partial sum for each unit. */
      out: Uint8Array;
      /** For each chunk, how many of its scalars are too long. */
      tooLong: Int32Array;
    }>
  | Readonly<{ op: 'power'; points: Uint8Array; exponents: Operand; out: Uint8Array }>
  /** `firstBad`: for each unit the index in the whole list of the first bad point, or -1. */
  | Readonly<{ op: 'check'; points: Uint8Array; unit: number; firstBad: Int32Array }>
  | Readonly<{ op: 'decompress'; compressed: Uint8Array; out: Uint8Array; good: Uint8Array }>
  | Readonly<{ op: 'lift'; candidates: Uint8Array; width: number; out: Uint8Array; good: Uint8Array }>
  /** Two operands, or the three of `multiplyAdd`. */
  | Readonly<{
      op: 'ring';
      operation: SharedRingOperation;
      operands: readonly Operand[];
      unit: number;
      out: Uint8Array;
    }>
  /** One partial sum for each unit. */
  | Readonly<{ op: 'ringInner'; a: Uint8Array; b: Uint8Array; unit: number; out: Uint8Array }>
  | Readonly<{ op: 'ringReduce'; wide: Uint8Array; width: number; unit: number; out: Uint8Array }>;

/**
 * How a multi-scalar multiplication is cut: terms into chunks, windows of `width` bits into ranges. Unit u is chunk
 * u div ranges, range u mod ranges.
 */
export type MultiScalarPlan = Readonly<{
  width: number;
  windows: number;
  chunk: number;
  chunks: number;
  windowsPerRange: number;
  ranges: number;
}>;

/** Elements of a unit, at most. A unit takes 1 to 100 ms. */
export const UNIT = {
  sum: 2048,
  negate: 8192,
  total: 8192,
  fixedBase: 2048,
  power: 512,
  check: 4096,
  decompress: 1024,
  lift: 1024,
  ring: 8192,
} as const satisfies Record<
  Exclude<P256Job['op'], 'multiScalar' | 'table' | 'ringInner' | 'ringReduce'>,
  number
>;

/** Number of elements a job is about. */
export function jobSize(job: Exclude<P256Job, { op: 'multiScalar' }>): number {
  switch (job.op) {
    case 'sum':
    case 'negate':
    case 'fixedBase':
    case 'power':
    case 'decompress':
    case 'lift':
      return job.out.length / POINT_OCTETS;
    case 'ring':
    case 'ringReduce':
      return job.out.length / SCALAR_OCTETS;
    case 'ringInner':
      return job.a.length / SCALAR_OCTETS;
    case 'table':
      return job.out.length / job.row;
    case 'check':
    case 'total':
      return job.points.length / POINT_OCTETS;
  }
}

/** Elements of a unit of this job. */
export function unitOf(job: Exclude<P256Job, { op: 'multiScalar' }>): number {
  return 'unit' in job ? job.unit : UNIT[job.op];
}

/** Fewer elements are not worth another thread's attention. */
const SMALLEST_UNIT = 128;

/** At most `largest`, and such that every thread gets as much as the others. */
export function evenUnit(count: number, largest: number, threads: number): number {
  if (threads === 1 || count === 0) return largest;
  const rounds = Math.ceil(count / (largest * threads));
  return Math.max(SMALLEST_UNIT, Math.ceil(count / (rounds * threads)));
}

export function unitCount(job: P256Job): number {
  if (job.op === 'multiScalar') return job.plan.chunks * job.plan.ranges;
  return Math.ceil(jobSize(job) / unitOf(job));
}
