// Points from x alone: decompression, and the candidates from which independent generators are made. Variable-time in
// x, which is public.
import { B4, PLAIN_ONE, PRIME, THREE4 } from "./constants";
import { canonical, carry, copy, isZero, negate, octetsBelowPrime, read, readWide } from "./field";

import { FIELD, POINT, QUAD } from "./layout";
import { mul, mul4, sqr4 } from "./products";
import { add4, carry4, copy4, putLane, squareTimes4, sub4, takeLane } from "./quad";

const quads: usize = memory.data(9 * 144, 16);
const lanes: usize = memory.data(4 * 48, 16);

/** root = square^((p+1)/4) in all lanes, by the chain 1, 2, 4, 8, 16, 32 ones; p + 1 = 2^256 - 2^224 + 2^192 + 2^96. */
function root4(root: usize, square: usize): void {
  const x2 = quads + 2 * QUAD, x4 = quads + 3 * QUAD, x8 = quads + 4 * QUAD, x16 = quads + 5 * QUAD;
  sqr4(x2, square); mul4(x2, x2, square);
  copy4(x4, x2); squareTimes4(x4, 2); mul4(x4, x4, x2);
  copy4(x8, x4); squareTimes4(x8, 4); mul4(x8, x8, x4);
  copy4(x16, x8); squareTimes4(x16, 8); mul4(x16, x16, x8);
  copy4(root, x16); squareTimes4(root, 16); mul4(root, root, x16);
  squareTimes4(root, 32); mul4(root, root, square);
  squareTimes4(root, 96); mul4(root, root, square);
  squareTimes4(root, 94);
}

/** y² = x³ - 3x + b of the four x in `x`, and y, and y² - (x³ - 3x + b), which is 0 where x is on the curve. */
function solve(x: usize, y: usize, defect: usize): void {
  const square = quads + QUAD;
  sqr4(square, x); sub4(square, square, THREE4); mul4(square, square, x); add4(square, square, B4); carry4(square);
  root4(y, square);
  sqr4(defect, y);
  sub4(defect, defect, square);
  carry4(defect);
}

/** The canonical y of the point at `o` (in Montgomery form) into `t`. */
function plainY(t: usize, o: usize): void {
  mul(t, o + FIELD, PLAIN_ONE);
  canonical(t);
}

function storeLane(o: usize, x: usize, y: usize, lane: usize): void {
  const t = lanes;
  takeLane(t, x, lane); carry(t); copy(o, t);
  takeLane(t, y, lane); carry(t); copy(o + FIELD, t);
}

/**
 * n points from their compressed form (SEC 1, 2.3.4: 02 or 03, then x); 33 zero octets are infinity. `out` has room
 * for n rounded up to 4. `good[i]` is 1 for a point and 0 for anything else, which leaves infinity.
 */
export function decompress(out: usize, compressed: usize, good: usize, n: i32): void {
  const x = quads, y = quads + 6 * QUAD, defect = quads + 7 * QUAD, t = lanes + 48;
  for (let i = 0; i < n; i += 4) {
    const m = <usize>min(4, n - i);
    for (let k: usize = 0; k < 4; k++) {
      read(t, compressed + 33 * min(k, m - 1) + 1);
      putLane(x, k, t);
    }
    solve(x, y, defect);
    for (let k: usize = 0; k < m; k++) {
      const tag = load<u8>(compressed);
      takeLane(t, defect, k);
      const fine = (tag == 2 || tag == 3) && octetsBelowPrime(compressed + 1) && isZero(t);
      if (fine) {
        storeLane(out, x, y, k);
        plainY(t, out);
        if (<u8>(load<i32>(t) & 1) != (tag & 1)) negate(out + FIELD, out + FIELD);
      } else memory.fill(out, 0, POINT);
      store<u8>(good, <u8>(fine || blank(compressed)));
      compressed += 33; good++; out += POINT;
    }
  }
}

function blank(compressed: usize): bool {
  let bits: u32 = 0;
  for (let i: usize = 0; i < 33; i++) bits |= load<u8>(compressed + i);
  return bits == 0;
}

/**
 * n candidates of `width` octets, at most 64: x is the integer mod p; good[i] is 1 and out[i] = (x, y) with the smaller root y if
 * x³ - 3x + b is a non-zero square, else good[i] is 0 and out[i] is infinity (VF 7).
 */
export function liftCandidates(out: usize, wide: usize, width: usize, good: usize, n: i32): void {
  const x = quads, y = quads + 6 * QUAD, defect = quads + 7 * QUAD, t = lanes + 48;
  for (let i = 0; i < n; i += 4) {
    const m = <usize>min(4, n - i);
    for (let k: usize = 0; k < 4; k++) {
      readWide(t, wide + width * min(k, m - 1), width);
      putLane(x, k, t);
    }
    solve(x, y, defect);
    for (let k: usize = 0; k < m; k++) {
      takeLane(t, defect, k);
      const square = isZero(t); // never a square of 0: the curve's order is odd, no point has y = 0
      if (square) {
        storeLane(out, x, y, k);
        plainY(t, out);
        if (aboveHalf(t)) negate(out + FIELD, out + FIELD);
      } else memory.fill(out, 0, POINT);
      store<u8>(good, <u8>square);
      wide += width; good++; out += POINT;
    }
  }
}

/** Whether the canonical y is above p - y, that is 2y > p. */
function aboveHalf(y: usize): bool {
  let borrow: i32 = 0;
  for (let i: usize = 0; i < FIELD; i += 4) borrow = (load<i32>(PRIME + i) - 2 * load<i32>(y + i) + borrow) >> 29;
  return borrow < 0;
}
