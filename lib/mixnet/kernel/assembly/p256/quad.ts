// Four field elements at a time, and the passage between one lane and four. Bounds as in field.ts; carry4 also needs
// |limb| <= 2^31 - 2^3, so that a limb and its carry fit 32 bits.

import { invert } from "./field";
import { PRIME4 } from "./constants";
import { MASK, QUAD } from "./layout";
import { mul, sqr4 } from "./products";

const SCRATCH: usize = memory.data(9 * 48, 16);

// @ts-expect-error: decorator
@inline export function sub4(o: usize, a: usize, b: usize): void {
  for (let i: usize = 0; i < QUAD; i += 16) v128.store(o + i, i32x4.sub(v128.load(a + i), v128.load(b + i)));
}
// @ts-expect-error: decorator
@inline export function add4(o: usize, a: usize, b: usize): void {
  for (let i: usize = 0; i < QUAD; i += 16) v128.store(o + i, i32x4.add(v128.load(a + i), v128.load(b + i)));
}
// @ts-expect-error: decorator
@inline export function double4(o: usize, a: usize): void {
  for (let i: usize = 0; i < QUAD; i += 16) v128.store(o + i, i32x4.shl(v128.load(a + i), 1));
}
// @ts-expect-error: decorator
@inline export function copy4(o: usize, a: usize): void { memory.copy(o, a, QUAD); }

/** Negates the lanes whose mask is all ones. */
// @ts-expect-error: decorator
@inline export function negateLanes(o: usize, mask: v128): void {
  for (let i: usize = 0; i < QUAD; i += 16) v128.store(o + i, i32x4.sub(v128.xor(v128.load(o + i), mask), mask));
}

export function carry4(o: usize): void {
  const M = i32x4.splat(MASK);
  let v = v128.load(o, 0); const v0 = v128.and(v, M); let c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 16), c); v128.store(o, v128.and(v, M), 16); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 32), c); v128.store(o, v128.and(v, M), 32); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 48), c); const v3 = v128.and(v, M); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 64), c); v128.store(o, v128.and(v, M), 64); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 80), c); v128.store(o, v128.and(v, M), 80); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 96), c); const v6 = v128.and(v, M); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 112), c); const v7 = v128.and(v, M); c = i32x4.shr_s(v, 29);
  v = i32x4.add(v128.load(o, 128), c);
  const h = i32x4.shr_s(v, 24); // what lies at 2^256 and above; folded back as in field.ts
  v128.store(o, v128.and(v, i32x4.splat(0xffffff)), 128);
  v128.store(o, i32x4.add(v0, h), 0);
  v128.store(o, i32x4.sub(v3, i32x4.shl(h, 9)), 48);
  v128.store(o, i32x4.sub(v6, i32x4.shl(h, 18)), 96);
  v128.store(o, i32x4.add(v7, i32x4.shl(h, 21)), 112);
}

/** In every lane the representative in [0, p): `canonical` of field.ts four times. */
export function canonical4(o: usize): void {
  carry4(o);
  carry4(o);
  const M = i32x4.splat(MASK);
  let c = i32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) {
    const v = i32x4.add(v128.load(o + i), c);
    v128.store(o + i, v128.and(v, M));
    c = i32x4.shr_s(v, 29);
  }
  v128.store(o, i32x4.add(v128.load(o, 128), c), 128);
  const keep = belowPrime4(o);
  c = i32x4.splat(0);
  for (let i: usize = 0; i < QUAD; i += 16) {
    const v = i32x4.add(i32x4.sub(v128.load(o + i), v128.andnot(v128.load(PRIME4 + i), keep)), c);
    v128.store(o + i, v128.and(v, M));
    c = i32x4.shr_s(v, 29);
  }
}

/** All ones in the lanes whose number is below p; limbs in [0, 2^29), the top limb's sign counts. */
export function belowPrime4(a: usize): v128 {
  let borrow = i32x4.splat(0);
  for (let i: usize = 0; i < QUAD; i += 16) {
    borrow = i32x4.shr_s(i32x4.add(i32x4.sub(v128.load(a + i), v128.load(PRIME4 + i)), borrow), 29);
  }
  return borrow;
}

/** All ones in the lanes that are 0 mod p; `a` becomes canonical. */
export function zeroLanes(a: usize): v128 {
  canonical4(a);
  let bits = v128.load(a);
  for (let i: usize = 16; i < QUAD; i += 16) bits = v128.or(bits, v128.load(a + i));
  return i32x4.eq(bits, i32x4.splat(0));
}

/** Four elements at four addresses into one quad. */
// @ts-expect-error: decorator
@inline export function gather(o: usize, p0: usize, p1: usize, p2: usize, p3: usize): void {
  for (let k: usize = 0; k < 32; k += 16) {
    const a = v128.load(p0 + k), b = v128.load(p1 + k), c = v128.load(p2 + k), d = v128.load(p3 + k);
    const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    v128.store(o + 4 * k, v128.shuffle<i64>(ab0, cd0, 0, 2), 0);
    v128.store(o + 4 * k, v128.shuffle<i64>(ab0, cd0, 1, 3), 16);
    v128.store(o + 4 * k, v128.shuffle<i64>(ab1, cd1, 0, 2), 32);
    v128.store(o + 4 * k, v128.shuffle<i64>(ab1, cd1, 1, 3), 48);
  }
  store<i32>(o, load<i32>(p0, 32), 128); store<i32>(o, load<i32>(p1, 32), 132);
  store<i32>(o, load<i32>(p2, 32), 136); store<i32>(o, load<i32>(p3, 32), 140);
}

/** One quad to four addresses. */
// @ts-expect-error: decorator
@inline export function scatter(o: usize, p0: usize, p1: usize, p2: usize, p3: usize): void {
  for (let k: usize = 0; k < 32; k += 16) {
    const a = v128.load(o + 4 * k, 0), b = v128.load(o + 4 * k, 16);
    const c = v128.load(o + 4 * k, 32), d = v128.load(o + 4 * k, 48);
    const ab0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
    const cd0 = v128.shuffle<i32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
    v128.store(p0 + k, v128.shuffle<i64>(ab0, cd0, 0, 2));
    v128.store(p1 + k, v128.shuffle<i64>(ab0, cd0, 1, 3));
    v128.store(p2 + k, v128.shuffle<i64>(ab1, cd1, 0, 2));
    v128.store(p3 + k, v128.shuffle<i64>(ab1, cd1, 1, 3));
  }
  store<i32>(p0, load<i32>(o, 128), 32); store<i32>(p1, load<i32>(o, 132), 32);
  store<i32>(p2, load<i32>(o, 136), 32); store<i32>(p3, load<i32>(o, 140), 32);
}

/** Puts the one-lane element `a` into a lane of the quad `o`. */
export function putLane(o: usize, lane: usize, a: usize): void {
  for (let k: usize = 0; k < 9; k++) store<i32>(o + 16 * k + 4 * lane, load<i32>(a + 4 * k));
}

/** Takes a lane of the quad `q` out. */
export function takeLane(o: usize, q: usize, lane: usize): void {
  for (let k: usize = 0; k < 9; k++) store<i32>(o + 4 * k, load<i32>(q + 16 * k + 4 * lane));
}

export function squareTimes4(o: usize, n: i32): void {
  for (; n > 0; n--) sqr4(o, o);
}

/** The inverses of the four lanes by one inversion (Montgomery's trick); no lane may be zero. */
export function invertLanes(o: usize, a: usize): void {
  const e0 = SCRATCH, e1 = SCRATCH + 48, e2 = SCRATCH + 96, e3 = SCRATCH + 144;
  const p1 = SCRATCH + 192, p2 = SCRATCH + 240, p3 = SCRATCH + 288, inverse = SCRATCH + 336, t = SCRATCH + 384;
  takeLane(e0, a, 0); takeLane(e1, a, 1); takeLane(e2, a, 2); takeLane(e3, a, 3);
  mul(p1, e0, e1); mul(p2, p1, e2); mul(p3, p2, e3);
  invert(inverse, p3);
  mul(t, inverse, p2); putLane(o, 3, t); mul(inverse, inverse, e3);
  mul(t, inverse, p1); putLane(o, 2, t); mul(inverse, inverse, e2);
  mul(t, inverse, e0); putLane(o, 1, t); mul(inverse, inverse, e1);
  putLane(o, 0, inverse);
}
