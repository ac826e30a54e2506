// Points between the outside's 64 octets (x, y big-endian; infinity is 64 zero octets) and the kernel's 72.
import { carry, curve, isZero, octetsBelowPrime, read, sub, write } from "./field";
import { isInfinite } from "./jacobian";
import { FIELD, POINT } from "./layout";
import { sqr } from "./products";

const scratch: usize = memory.data(2 * 48, 16);

/** n points that are known to be good, such as the kernel's own results. */
export function readPoints(out: usize, octets: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    read(out, octets);
    read(out + FIELD, octets + 32);
    out += POINT; octets += 64;
  }
}

/** The index of the first of n points that is neither infinity nor canonical coordinates on the curve; n if none. */
export function checkPoints(octets: usize, n: i32): i32 {
  const x = scratch, t = scratch + 48;
  for (let i = 0; i < n; i++) {
    if (!octetsBelowPrime(octets) || !octetsBelowPrime(octets + 32)) return i;
    if (!pointOctetsBlank(octets)) {
      read(x, octets);
      curve(t, x);
      read(x, octets + 32);
      sqr(x, x);
      sub(t, t, x);
      carry(t);
      if (!isZero(t)) return i;
    }
    octets += 64;
  }
  return n;
}

function pointOctetsBlank(octets: usize): bool {
  let bits: u64 = 0;
  for (let i: usize = 0; i < 64; i += 8) bits |= load<u64>(octets + i);
  return bits == 0;
}

export function writePoints(octets: usize, points: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    if (isInfinite(points)) memory.fill(octets, 0, 64);
    else {
      write(octets, points);
      write(octets + 32, points + FIELD);
    }
    octets += 64; points += POINT;
  }
}
