// Points between the outside's 64 octets (x, y big-endian; infinity is 64 zero octets) and the kernel's 72, four at a
// time. A last group of fewer repeats its last point, which harms nobody.
import { B4, PLAIN_ONE4, R2_4, THREE4 } from "./constants";
import { isInfinite } from "./jacobian";
import { FIELD, POINT, QUAD } from "./layout";
import { readOctets, writeOctets } from "./octets";
import { mul4, sqr4 } from "./products";
import { add4, belowPrime4, canonical4, gather, scatter, sub4, zeroLanes } from "./quad";

// @ts-ignore: decorator
@inline const OUTSIDE: usize = 64;
const quads: usize = memory.data(3 * 144, 16);
const lanes: usize = memory.data(4 * 48, 16);

/** One coordinate of the points at four addresses, as the plain number that the octets are. */
// @ts-ignore: decorator
@inline function readCoordinates(o: usize, p0: usize, p1: usize, p2: usize, p3: usize): void {
  readOctets(lanes, p0);
  readOctets(lanes + 48, p1);
  readOctets(lanes + 96, p2);
  readOctets(lanes + 144, p3);
  gather(o, lanes, lanes + 48, lanes + 96, lanes + 144);
}

/** n points that are known to be good, such as the kernel's own results. */
export function readPoints(out: usize, octets: usize, n: i32): void {
  const t = quads;
  for (let i = 0; i < n; i += 4) {
    const last = <usize>min(3, n - 1 - i), i1 = min<usize>(1, last), i2 = min<usize>(2, last);
    const s1 = octets + i1 * OUTSIDE, s2 = octets + i2 * OUTSIDE, s3 = octets + last * OUTSIDE;
    const o1 = out + i1 * POINT, o2 = out + i2 * POINT, o3 = out + last * POINT;
    readCoordinates(t, octets, s1, s2, s3);
    mul4(t, t, R2_4);
    scatter(t, out, o1, o2, o3);
    readCoordinates(t, octets + 32, s1 + 32, s2 + 32, s3 + 32);
    mul4(t, t, R2_4);
    scatter(t, out + FIELD, o1 + FIELD, o2 + FIELD, o3 + FIELD);
    out += 4 * POINT; octets += 4 * OUTSIDE;
  }
}

/** The index of the first of n points that is neither infinity nor canonical coordinates on the curve; n if none. */
export function checkPoints(octets: usize, n: i32): i32 {
  const x = quads, y = quads + QUAD, t = quads + 2 * QUAD;
  for (let i = 0; i < n; i += 4) {
    const last = <usize>min(3, n - 1 - i), s1 = octets + min<usize>(1, last) * OUTSIDE;
    const s2 = octets + min<usize>(2, last) * OUTSIDE, s3 = octets + last * OUTSIDE;
    readCoordinates(x, octets, s1, s2, s3);
    readCoordinates(y, octets + 32, s1 + 32, s2 + 32, s3 + 32);
    const inRange = v128.and(belowPrime4(x), belowPrime4(y));
    mul4(x, x, R2_4);
    mul4(y, y, R2_4);
    sqr4(t, x); sub4(t, t, THREE4); mul4(t, t, x); add4(t, t, B4); // x³ - 3x + b
    sqr4(y, y);
    sub4(t, t, y);
    const good = i32x4.bitmask(v128.and(inRange, zeroLanes(t)));
    if (good != 15) {
      for (let k: usize = 0; k <= last; k++) {
        if (!((good >> <i32>k) & 1) && !isBlank(octets + k * OUTSIDE)) return i + <i32>k;
      }
    }
    octets += 4 * OUTSIDE;
  }
  return n;
}

/** Whether 64 octets are infinity. */
function isBlank(octets: usize): bool {
  let bits: u64 = 0;
  for (let i: usize = 0; i < OUTSIDE; i += 8) bits |= load<u64>(octets + i);
  return bits == 0;
}

export function writePoints(octets: usize, points: usize, n: i32): void {
  for (let i = 0; i < n; i += 4) {
    const last = <usize>min(3, n - 1 - i);
    const p1 = points + min<usize>(1, last) * POINT, p2 = points + min<usize>(2, last) * POINT, p3 = points + last * POINT;
    writeCoordinates(octets, points, p1, p2, p3, last);
    writeCoordinates(octets + 32, points + FIELD, p1 + FIELD, p2 + FIELD, p3 + FIELD, last);
    for (let k: usize = 0; k <= last; k++) {
      if (isInfinite(points + k * POINT)) memory.fill(octets + k * OUTSIDE, 0, OUTSIDE);
    }
    octets += 4 * OUTSIDE; points += 4 * POINT;
  }
}

function writeCoordinates(octets: usize, p0: usize, p1: usize, p2: usize, p3: usize, last: usize): void {
  const t = quads;
  gather(t, p0, p1, p2, p3);
  mul4(t, t, PLAIN_ONE4);
  canonical4(t);
  scatter(t, lanes, lanes + 48, lanes + 96, lanes + 144);
  for (let k: usize = 0; k <= last; k++) writeOctets(octets + k * OUTSIDE, lanes + 48 * k);
}
