// Affine additions in batches: one inversion for up to 2,048 pairs (Montgomery's trick), four pairs at a time.
// Complete: equal points, opposite points and infinity on either side are told apart lane by lane and cost little
// more than an ordinary pair, so that a hostile list of equal points does not slow a tally down.
//
// Pairs are queued as addresses; bit 0 of an operand's address asks for its opposite. Within one batch a result may
// overwrite an operand of its own pair, but nothing that another pair of the batch reads or writes.
import { carry, clear, copy, isZero, negate, scale, sub } from "./field";
import { ONE, ONE4, THREE } from "./constants";
import { isInfinite } from "./jacobian";
import { FIELD, MASK, QUAD } from "./layout";
import { mul4, sqr, sqr4 } from "./products";
import { carry4, copy4, gather, invertLanes, negateLanes, putLane, scatter, sub4, takeLane } from "./quad";

const PAIRS: i32 = 2048;
const PAIR: usize = 12;
const queue: usize = memory.data((2048 + 4) * 12, 16);
const differences: usize = memory.data(512 * 144, 16);
const prefixes: usize = memory.data(513 * 144, 16);
const kinds: usize = memory.data(512 * 4, 16);
const quads: usize = memory.data(9 * 144, 16);
const lanes: usize = memory.data(3 * 48, 16);
const padding: usize = memory.data(2 * 72, 16); // an infinite operand, and where padded sums go
let queued: i32 = 0;

// What a lane holds: an ordinary pair, equal points, a pair with one infinite side, or a pair whose sum is infinite.
const TANGENT: u8 = 1;
const FIRST: u8 = 2;
const SECOND: u8 = 3;
const INFINITE: u8 = 4;

/** Queues o = a + b; the sum is there after `flush`. */
// @ts-ignore: decorator
@inline export function push(a: usize, b: usize, o: usize): void {
  const pair = queue + PAIR * <usize>queued;
  store<u32>(pair, <u32>a);
  store<u32>(pair, <u32>b, 4);
  store<u32>(pair, <u32>o, 8);
  if (++queued == PAIRS) flush();
}

export function flush(): void {
  if (queued == 0) return;
  while (queued & 3) {
    // fill the last quad up with blank pairs: their sums go nowhere
    const pair = queue + PAIR * <usize>queued;
    store<u32>(pair, <u32>padding);
    store<u32>(pair, <u32>padding, 4);
    store<u32>(pair, <u32>(padding + 72), 8);
    queued++;
  }
  const n = queued >> 2;
  queued = 0;
  forward(n);
  backward(n);
}

// The lane's pair needs a closer look: the difference of x looks like 0, or a coordinate looks blank.
function classify(pair: usize, difference: usize, lane: usize): u8 {
  const a = <usize>load<u32>(pair), b = <usize>load<u32>(pair, 4);
  const p = a & ~1, q = b & ~1, t = lanes;
  const noFirst = isInfinite(p), noSecond = isInfinite(q);
  let kind: u8 = 0;
  if (noFirst || noSecond) kind = noFirst ? (noSecond ? INFINITE : SECOND) : FIRST;
  else {
    takeLane(t, difference, lane);
    if (!isZero(t)) return 0;
    const y1 = lanes + 48, y2 = lanes + 96;
    copy(y1, p + FIELD); if (a & 1) negate(y1, y1);
    copy(y2, q + FIELD); if (b & 1) negate(y2, y2);
    sub(t, y1, y2);
    if (isZero(t)) {
      scale(y1, 2);
      putLane(difference, lane, y1); // the tangent's slope is (3x² - 3) / 2y
      return TANGENT;
    }
    kind = INFINITE;
  }
  putLane(difference, lane, ONE);
  return kind;
}

// @ts-ignore: decorator
@inline function operand(pair: usize, lane: usize, side: usize): usize {
  return <usize>load<u32>(pair + PAIR * lane + 4 * side);
}

/** Differences of x and their running products. */
function forward(n: i32): void {
  const x1 = quads, x2 = quads + QUAD;
  const UNIT = i32x4.splat(1), TWO = i32x4.splat(2), LOW = i32x4.splat(MASK), ZERO = i32x4.splat(0);
  let pair = queue, d = differences, prefix = prefixes, kind = kinds;
  copy4(prefix, ONE4);
  for (let i = 0; i < n; i++) {
    gather(x1, operand(pair, 0, 0) & ~1, operand(pair, 1, 0) & ~1, operand(pair, 2, 0) & ~1, operand(pair, 3, 0) & ~1);
    gather(x2, operand(pair, 0, 1) & ~1, operand(pair, 1, 1) & ~1, operand(pair, 2, 1) & ~1, operand(pair, 3, 1) & ~1);
    sub4(d, x2, x1);
    // x2 - x1 is in (-2p, 2p): if it is 0 mod p, its low 29 bits are -1, 0 or 1
    const equal = i32x4.le_u(v128.and(i32x4.add(v128.load(d), UNIT), LOW), TWO);
    const blank1 = i32x4.eq(v128.or(v128.load(x1), v128.load(x1, 16)), ZERO);
    const blank2 = i32x4.eq(v128.or(v128.load(x2), v128.load(x2, 16)), ZERO);
    const suspect = v128.or(equal, v128.or(blank1, blank2));
    store<u32>(kind, 0);
    if (v128.any_true(suspect)) {
      const bits = i32x4.bitmask(suspect);
      for (let k: usize = 0; k < 4; k++) {
        if (bits & (1 << <i32>k)) store<u8>(kind + k, classify(pair + PAIR * k, d, k));
      }
    }
    mul4(prefix + QUAD, prefix, d);
    pair += 4 * PAIR; d += QUAD; prefix += QUAD; kind += 4;
  }
}

// Numerators of tangents: 3x² - 3.
function tangents(kind: usize, x: usize, numerator: usize): void {
  const t = lanes, u = lanes + 48;
  for (let k: usize = 0; k < 4; k++) {
    if (load<u8>(kind + k) != TANGENT) continue;
    takeLane(t, x, k);
    sqr(u, t);
    scale(u, 3);
    sub(u, u, THREE);
    carry(u);
    putLane(numerator, k, u);
  }
}

// Sums with infinity on one side or as the result.
function replacements(kind: usize, x1: usize, y1: usize, x2: usize, y2: usize, x3: usize, y3: usize): void {
  const t = lanes;
  for (let k: usize = 0; k < 4; k++) {
    const what = load<u8>(kind + k);
    if (what < FIRST) continue;
    if (what == INFINITE) clear(t); else takeLane(t, what == FIRST ? x1 : x2, k);
    putLane(x3, k, t);
    if (what != INFINITE) takeLane(t, what == FIRST ? y1 : y2, k);
    putLane(y3, k, t);
  }
}

// @ts-ignore: decorator
@inline function signs(a0: usize, a1: usize, a2: usize, a3: usize): v128 {
  let mask = i32x4.splat(-<i32>(a0 & 1));
  mask = i32x4.replace_lane(mask, 1, -<i32>(a1 & 1));
  mask = i32x4.replace_lane(mask, 2, -<i32>(a2 & 1));
  return i32x4.replace_lane(mask, 3, -<i32>(a3 & 1));
}

/** From the inverse of the product of all differences back to each pair's slope and sum. */
function backward(n: i32): void {
  const x1 = quads, y1 = quads + QUAD, x2 = quads + 2 * QUAD, y2 = quads + 3 * QUAD, inverse = quads + 4 * QUAD;
  const running = quads + 5 * QUAD, slope = quads + 6 * QUAD, x3 = quads + 7 * QUAD, t = quads + 8 * QUAD;
  let pair = queue + <usize>n * 4 * PAIR, d = differences + <usize>n * QUAD, prefix = prefixes + <usize>n * QUAD;
  let kind = kinds + <usize>n * 4;
  invertLanes(running, prefix);
  for (let i = 0; i < n; i++) {
    pair -= 4 * PAIR; d -= QUAD; prefix -= QUAD; kind -= 4;
    const a0 = operand(pair, 0, 0), a1 = operand(pair, 1, 0), a2 = operand(pair, 2, 0), a3 = operand(pair, 3, 0);
    const b0 = operand(pair, 0, 1), b1 = operand(pair, 1, 1), b2 = operand(pair, 2, 1), b3 = operand(pair, 3, 1);
    const o0 = operand(pair, 0, 2), o1 = operand(pair, 1, 2), o2 = operand(pair, 2, 2), o3 = operand(pair, 3, 2);
    mul4(inverse, running, prefix);
    mul4(running, running, d);
    gather(y1, (a0 & ~1) + FIELD, (a1 & ~1) + FIELD, (a2 & ~1) + FIELD, (a3 & ~1) + FIELD);
    gather(y2, (b0 & ~1) + FIELD, (b1 & ~1) + FIELD, (b2 & ~1) + FIELD, (b3 & ~1) + FIELD);
    gather(x1, a0 & ~1, a1 & ~1, a2 & ~1, a3 & ~1);
    gather(x2, b0 & ~1, b1 & ~1, b2 & ~1, b3 & ~1);
    if ((a0 | a1 | a2 | a3) & 1) negateLanes(y1, signs(a0, a1, a2, a3));
    if ((b0 | b1 | b2 | b3) & 1) negateLanes(y2, signs(b0, b1, b2, b3));
    const special = load<u32>(kind);
    sub4(t, y2, y1);
    if (special) tangents(kind, x1, t);
    mul4(slope, t, inverse);
    sqr4(x3, slope); sub4(x3, x3, x1); sub4(x3, x3, x2); carry4(x3);
    sub4(t, x1, x3); mul4(t, slope, t); sub4(t, t, y1); carry4(t);
    if (special) replacements(kind, x1, y1, x2, y2, x3, t);
    scatter(x3, o0, o1, o2, o3);
    scatter(t, o0 + FIELD, o1 + FIELD, o2 + FIELD, o3 + FIELD);
  }
}

/** out[i] = a[i] + b[i]; a step of 0 adds one point to all. */
export function addPoints(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    push(a, b, out);
    a += aStep; b += bStep; out += 72;
  }
  flush();
}

/** out[i] = a[i] - b[i]; steps as in addPoints. */
export function subtractPoints(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    push(a, b | 1, out);
    a += aStep; b += bStep; out += 72;
  }
  flush();
}

/** Leaves the sum of n points in the first; the others are used up. */
export function totalPoints(points: usize, n: i32): void {
  while (n > 1) {
    const half = (n + 1) >> 1;
    for (let i: usize = 0; i + <usize>half < <usize>n; i++) {
      push(points + i * 72, points + (i + <usize>half) * 72, points + i * 72);
    }
    flush();
    n = half;
  }
}

/** points[i] = -points[i]. */
export function negatePoints(points: usize, n: i32): void {
  for (; n > 0; n--) {
    negate(points + FIELD, points + FIELD);
    points += 72;
  }
}
