// Powers and products of powers modulo p. Variable-time in the exponents; secret exponents of varying bases go through
// OpenSSL instead (kernel/modp-engine.ts). Exponents are big-endian octets, all of one width.
import { gather, readLanes, readNumbers, scatter, spread, spreadLane, writeLanes, writePlainLanes } from "./lanes";
import { multiply, NUMBER, OCTETS, ONE, QUAD, R2, square } from "./montgomery";

const x: usize = memory.data(127 * 16, 16);
const y: usize = memory.data(127 * 16, 16);
const sum: usize = memory.data(127 * 16, 16);
const total: usize = memory.data(127 * 16, 16);

/** `width` bits from bit `low` on of a big-endian integer. */
// @ts-ignore: decorator
@inline function digit(exponent: usize, octets: usize, low: i32, width: i32): u32 {
  let bits: u32 = 0;
  const lowest = <isize>octets - 1 - (low >> 3);
  for (let k: isize = 0; k < 4; k++) {
    if (lowest - k >= 0) bits |= <u32>load<u8>(exponent + <usize>(lowest - k)) << (<u32>k * 8);
  }
  return (bits >> (low & 7)) & ((1 << width) - 1);
}

/** out[i] = a[i]·b[i] for n pairs (octets); a step is an element's octets, or 0 to use one for all. */
export function multiplyNumbers(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, n: i32): void {
  for (let i = 0; i < n; i += 4) {
    const m = min(4, n - i);
    readLanes(x, a, aStep, m);
    readLanes(y, b, bStep, m);
    multiply(x, x, y);
    multiply(x, x, R2);
    writePlainLanes(out, x, m);
    a += 4 * aStep; b += 4 * bStep; out += <usize>m * OCTETS;
  }
}

/** out (octets) = the product of n numbers in Montgomery form, one after the other. */
export function productOfNumbers(out: usize, numbers: usize, n: i32): void {
  memory.copy(x, ONE, QUAD);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    gather(y, numbers, numbers + NUMBER, numbers + 2 * NUMBER, numbers + 3 * NUMBER);
    multiply(x, x, y);
    numbers += 4 * NUMBER;
  }
  joinLanes();
  for (; i < n; i++) {
    spread(y, numbers);
    multiply(x, x, y);
    numbers += NUMBER;
  }
  writeLanes(out, x, 1);
}

/** x = the product of x's lanes, in all lanes. */
function joinLanes(): void {
  spreadLane(sum, x, 0);
  for (let lane: usize = 1; lane < 4; lane++) {
    spreadLane(y, x, lane);
    multiply(sum, sum, y);
  }
  memory.copy(x, sum, QUAD);
}

/** Octets of a table of `windows` (rounded up to 4) windows. */
export function tableSize(width: i32, windows: i32): usize {
  return (<usize>(windows + 3) & ~3) * (<usize>1 << width) * NUMBER;
}

/** T[j][d] = base^(d·2^(width·j)) in Montgomery form, for one base of octets; four windows at a time in the lanes. */
export function makeTable(table: usize, base: usize, width: i32, windows: i32): void {
  const row: usize = (<usize>1 << width) * NUMBER, rows = <usize>(windows + 3) & ~3;
  readNumbers(y, base, 1);
  spread(x, y);
  for (let j: usize = 0; j < rows; j++) {
    // the row's base in place of entry 1, to be found again below
    const entry = table + j * row + NUMBER;
    for (let l: usize = 0; l < NUMBER; l += 4) store<u32>(entry + l, load<u32>(x + 4 * l));
    for (let i = 0; i < width; i++) square(x, x);
  }
  for (let j: usize = 0; j < rows; j += 4) {
    const r0 = table + j * row, r1 = r0 + row, r2 = r1 + row, r3 = r2 + row;
    gather(y, r0 + NUMBER, r1 + NUMBER, r2 + NUMBER, r3 + NUMBER);
    memory.copy(x, ONE, QUAD);
    for (let at: usize = 0; at < row; at += NUMBER) {
      scatter(x, r0 + at, r1 + at, r2 + at, r3 + at);
      multiply(x, x, y);
    }
  }
}

/** out[i] = base^exponent[i] (octets), by the base's table. */
export function fixedBase(out: usize, table: usize, width: i32, windows: i32, exponents: usize, octets: usize, n: i32): void {
  const row: usize = (<usize>1 << width) * NUMBER;
  for (let i = 0; i < n; i += 4) {
    const m = min(4, n - i);
    const e0 = exponents, e1 = e0 + <usize>min(1, m - 1) * octets;
    const e2 = e0 + <usize>min(2, m - 1) * octets, e3 = e0 + <usize>min(3, m - 1) * octets;
    for (let j = 0; j < windows; j++) {
      const first = table + <usize>j * row, low = j * width;
      gather(
        y,
        first + <usize>digit(e0, octets, low, width) * NUMBER, first + <usize>digit(e1, octets, low, width) * NUMBER,
        first + <usize>digit(e2, octets, low, width) * NUMBER, first + <usize>digit(e3, octets, low, width) * NUMBER,
      );
      if (j == 0) memory.copy(x, y, QUAD); else multiply(x, x, y);
    }
    writeLanes(out, x, m);
    exponents += 4 * octets; out += <usize>m * OCTETS;
  }
}

/** Octets of the buckets of `multiPower`. */
export function multiPowerWork(width: i32): usize { return 4 * (<usize>1 << width) * NUMBER; }

/**
 * out (octets) = Π base[i]^exponent[i], exponents below 2^bits, bases in Montgomery form: the bucket method with four
 * windows at a time, which are g, g + G, g + 2G, g + 3G, so that one run of squarings serves all four lanes.
 */
export function multiPower(out: usize, bases: usize, exponents: usize, octets: usize, n: i32, bits: i32, width: i32, buckets: usize): void {
  const perLane = <usize>1 << width, group = ((bits + width - 1) / width + 3) / 4;
  memory.copy(total, ONE, QUAD);
  for (let g = group - 1; g >= 0; g--) {
    fillBuckets(bases, exponents, octets, n, width, g, group, perLane, buckets);
    memory.copy(x, ONE, QUAD);
    memory.copy(sum, ONE, QUAD);
    for (let d = perLane - 1; d >= 1; d--) {
      const bucket = buckets + d * NUMBER, lane = perLane * NUMBER;
      gather(y, bucket, bucket + lane, bucket + 2 * lane, bucket + 3 * lane);
      multiply(x, x, y);
      multiply(sum, sum, x);
    }
    for (let s = 0; s < width; s++) square(total, total);
    multiply(total, total, sum);
  }
  // lane k counts 2^(k·group·width)
  spreadLane(x, total, 3);
  for (let lane: isize = 2; lane >= 0; lane--) {
    for (let s = 0; s < group * width; s++) square(x, x);
    spreadLane(y, total, <usize>lane);
    multiply(x, x, y);
  }
  writeLanes(out, x, 1);
}

function fillBuckets(bases: usize, exponents: usize, octets: usize, n: i32, width: i32, g: i32, group: i32, perLane: usize, buckets: usize): void {
  const end = buckets + 4 * perLane * NUMBER, lane = perLane * NUMBER;
  for (let bucket = buckets; bucket < end; bucket += NUMBER) {
    for (let l: usize = 0; l < NUMBER; l += 4) store<u32>(bucket + l, load<u32>(ONE + 4 * l));
  }
  for (let i = 0; i < n; i++) {
    const b0 = buckets + <usize>digit(exponents, octets, g * width, width) * NUMBER;
    const b1 = buckets + lane + <usize>digit(exponents, octets, (g + group) * width, width) * NUMBER;
    const b2 = buckets + 2 * lane + <usize>digit(exponents, octets, (g + 2 * group) * width, width) * NUMBER;
    const b3 = buckets + 3 * lane + <usize>digit(exponents, octets, (g + 3 * group) * width, width) * NUMBER;
    gather(x, b0, b1, b2, b3);
    spread(y, bases);
    multiply(x, x, y);
    scatter(x, b0, b1, b2, b3);
    exponents += octets; bases += NUMBER;
  }
}
