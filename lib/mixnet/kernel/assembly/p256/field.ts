// The base field of P-256, one element at a time. Bounds, in the words of docs/arithmetic.md:
//   product  what mul and sqr give: limbs 0..7 in [0, 2^29), limb 8 below 2^26 in absolute value
//   carried  what carry gives, if the top limb was below 2^28 in absolute value: every limb in (-2^26, 2^29 + 2^26),
//            the value in (-2^232, 2^256 + 2^232); the opposite of a carried element counts as carried, too
// mul and sqr take limbs whose absolute values multiply to less than 2^59.8: a sum or difference of two carried
// elements on one side (2^30.2) and a carried element on the other (2^29.2) are within it, two sums are not.
import { ONE, PRIME, R2, R2_UPPER } from "./constants";
import { FIELD, MASK } from "./layout";
import { readOctets } from "./octets";
import { mul, sqr } from "./products";

const SCRATCH: usize = memory.data(12 * 48, 16);

// @ts-expect-error: decorator
@inline export function copy(o: usize, a: usize): void { memory.copy(o, a, FIELD); }
// @ts-expect-error: decorator
@inline export function clear(o: usize): void { memory.fill(o, 0, FIELD); }
// @ts-expect-error: decorator
@inline export function sub(o: usize, a: usize, b: usize): void {
  for (let i: usize = 0; i < FIELD; i += 4) store<i32>(o + i, load<i32>(a + i) - load<i32>(b + i));
}
// @ts-expect-error: decorator
@inline export function add(o: usize, a: usize, b: usize): void {
  for (let i: usize = 0; i < FIELD; i += 4) store<i32>(o + i, load<i32>(a + i) + load<i32>(b + i));
}
// @ts-expect-error: decorator
@inline export function negate(o: usize, a: usize): void {
  for (let i: usize = 0; i < FIELD; i += 4) store<i32>(o + i, -load<i32>(a + i));
}

/** o *= k, carried; |k · limb| must be below 2^31. */
export function scale(o: usize, k: i32): void {
  for (let i: usize = 0; i < FIELD; i += 4) store<i32>(o + i, k * load<i32>(o + i));
  carry(o);
}

/** Any limbs in, carried out: bits from 2^256 on fold back by 2^256 = 2^224 - 2^192 - 2^96 + 1. */
export function carry(o: usize): void {
  let c: i64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    const v: i64 = <i64>load<i32>(o + i) + c;
    store<i32>(o + i, <i32>v & MASK);
    c = v >> 29;
  }
  const top: i64 = <i64>load<i32>(o, 32) + c;
  const h = <i32>(top >> 24);
  store<i32>(o, <i32>(top & 0xffffff), 32);
  store<i32>(o, load<i32>(o) + h);
  store<i32>(o, load<i32>(o, 12) - (h << 9), 12);
  store<i32>(o, load<i32>(o, 24) - (h << 18), 24);
  store<i32>(o, load<i32>(o, 28) + (h << 21), 28);
}

/**
 * Any limbs in, the representative in [0, p) out, without a branch on the value. After the first carry the value is
 * within 2^232 of [0, 2^256), after the second in [0, 2^256), which is below 2p: one masked subtraction suffices.
 */
export function canonical(o: usize): void {
  carry(o);
  carry(o);
  let c: i32 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    const v = load<i32>(o + i) + c;
    store<i32>(o + i, v & MASK);
    c = v >> 29;
  }
  store<i32>(o, load<i32>(o, 32) + c, 32);
  let borrow: i32 = 0;
  for (let i: usize = 0; i < FIELD; i += 4) borrow = (load<i32>(o + i) - load<i32>(PRIME + i) + borrow) >> 29;
  const take = ~borrow; // all ones when o >= p
  borrow = 0;
  for (let i: usize = 0; i < FIELD; i += 4) {
    const v = load<i32>(o + i) - (load<i32>(PRIME + i) & take) + borrow;
    store<i32>(o + i, v & MASK);
    borrow = v >> 29;
  }
}

/** Whether all 36 octets are zero: how an absent coordinate is marked, not whether the element is 0 mod p. */
export function isBlank(a: usize): bool {
  let bits: i32 = 0;
  for (let i: usize = 0; i < FIELD; i += 4) bits |= load<i32>(a + i);
  return bits == 0;
}

/**
 * Whether a = 0 mod p, for values in (-3p, 3p). A quick filter first: p = -1 mod 2^29, so that the low limb of k·p is
 * -k.
 */
export function isZero(a: usize): bool {
  if (((load<i32>(a) + 2) & MASK) > 4) return false;
  copy(SCRATCH, a);
  canonical(SCRATCH);
  return isBlank(SCRATCH);
}

/** 32 octets, any value below 2^256, to Montgomery form. */
export function read(o: usize, octets: usize): void {
  readOctets(o, octets);
  mul(o, o, R2);
}

const wide: usize = memory.data(64, 16);

/** An integer of `width` octets, at most 64, reduced mod p and in Montgomery form (carried). */
export function readWide(o: usize, octets: usize, width: usize): void {
  const upper = SCRATCH + 48;
  memory.fill(wide, 0, 64);
  memory.copy(wide + 64 - width, octets, width);
  readOctets(upper, wide);
  readOctets(o, wide + 32);
  mul(upper, upper, R2_UPPER);
  mul(o, o, R2);
  add(o, o, upper);
  carry(o);
}

/** Whether 32 octets are a canonical element: below p. */
export function octetsBelowPrime(octets: usize): bool {
  const t = SCRATCH + 96;
  readOctets(t, octets);
  let borrow: i32 = 0;
  for (let i: usize = 0; i < FIELD; i += 4) borrow = (load<i32>(t + i) - load<i32>(PRIME + i) + borrow) >> 29;
  return borrow != 0;
}

export function squareTimes(o: usize, n: i32): void {
  for (; n > 0; n--) sqr(o, o);
}

/** o = a^(p-2), 1/a for a <> 0, by a chain that does not depend on a. */
export function invert(o: usize, a: usize): void {
  const x1 = SCRATCH + 144, x2 = SCRATCH + 192, x4 = SCRATCH + 240, x8 = SCRATCH + 288;
  const x16 = SCRATCH + 336, x32 = SCRATCH + 384, t = SCRATCH + 432;
  copy(x1, a);
  sqr(x2, x1); mul(x2, x2, x1);
  copy(x4, x2); squareTimes(x4, 2); mul(x4, x4, x2);
  copy(x8, x4); squareTimes(x8, 4); mul(x8, x8, x4);
  copy(x16, x8); squareTimes(x16, 8); mul(x16, x16, x8);
  copy(x32, x16); squareTimes(x32, 16); mul(x32, x32, x16);
  // p - 2 = ffffffff 00000001 00000000 00000000 00000000 ffffffff ffffffff fffffffd
  copy(t, x32);
  squareTimes(t, 32); mul(t, t, x1);
  squareTimes(t, 128); mul(t, t, x32);
  squareTimes(t, 32); mul(t, t, x32);
  squareTimes(t, 16); mul(t, t, x16);
  squareTimes(t, 8); mul(t, t, x8);
  squareTimes(t, 4); mul(t, t, x4);
  squareTimes(t, 2); mul(t, t, x2);
  squareTimes(t, 2); mul(o, t, x1);
}

/** 1 in Montgomery form. */
// @ts-expect-error: decorator
@inline export function one(o: usize): void { copy(o, ONE); }
