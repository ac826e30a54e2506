// Products modulo an odd p, four at a time: limb k of four numbers in one vector ("quad"), unsigned limbs of 28 bits,
// Montgomery with R = 2^(28·limbs). Numbers are below 2p, and R > 4p, so that products are below 2p again without a
// final subtraction. A column sums at most 2·limbs products below 2^56 and a carry below 2^37: at most 127 limbs, that
// is moduli up to 3,550 bits, keep it below 2^64.

export let LIMBS: i32 = 0;
/** Octets of a quad. */
export let QUAD: usize = 0;
/** Octets of one number. */
export let NUMBER: usize = 0;
/** Octets of a big-endian number outside. */
export let OCTETS: usize = 0;
// quads with the same number in all lanes
export const PRIME: usize = memory.data(127 * 16, 16);
export const ONE: usize = memory.data(127 * 16, 16);
export const R2: usize = memory.data(127 * 16, 16);
const quotient: usize = memory.data(127 * 16, 16);
const product: usize = memory.data(127 * 16, 16);
const doubled: usize = memory.data(127 * 16, 16);
let negatedInverse: i32 = 0;

/** `inverse` = -1/p mod 2^28; the host has filled PRIME, ONE (R mod p) and R2 (R² mod p). */
export function setPrime(limbs: i32, octets: usize, inverse: i32): void {
  LIMBS = limbs;
  NUMBER = 4 * <usize>limbs;
  QUAD = 16 * <usize>limbs;
  OCTETS = octets;
  negatedInverse = inverse;
}

/** Where the host writes constants: 0 the prime, 1 one, 2 R². */
export function constantAddress(which: i32): usize {
  return which == 0 ? PRIME : which == 1 ? ONE : R2;
}

/** The quotient digit that clears a column's low 28 bits. */
// @ts-ignore: decorator
@inline function digit(low: v128, high: v128): v128 {
  const t = i32x4.mul(v128.shuffle<i32>(low, high, 0, 2, 4, 6), i32x4.splat(negatedInverse));
  return v128.and(t, i32x4.splat(0xfffffff));
}

/** o = a·b/R mod p; o may be a or b. */
export function multiply(o: usize, a: usize, b: usize): void {
  const M = i64x2.splat(0xfffffff), end = QUAD;
  let cl = i64x2.splat(0), ch = cl;
  for (let k: usize = 0; k < end; k += 16) {
    let al = cl, ah = ch, ml = i64x2.splat(0), mh = ml;
    const pb = b + k, pp = PRIME + k;
    for (let i: usize = 0; i < k; i += 16) {
      const x = v128.load(a + i), y = v128.load(pb - i), q = v128.load(quotient + i), r = v128.load(pp - i);
      al = i64x2.add(al, i64x2.extmul_low_i32x4_u(x, y)); ah = i64x2.add(ah, i64x2.extmul_high_i32x4_u(x, y));
      ml = i64x2.add(ml, i64x2.extmul_low_i32x4_u(q, r)); mh = i64x2.add(mh, i64x2.extmul_high_i32x4_u(q, r));
    }
    const x = v128.load(a + k), y = v128.load(b);
    al = i64x2.add(i64x2.add(al, ml), i64x2.extmul_low_i32x4_u(x, y));
    ah = i64x2.add(i64x2.add(ah, mh), i64x2.extmul_high_i32x4_u(x, y));
    const q = digit(al, ah), p0 = v128.load(PRIME);
    v128.store(quotient + k, q);
    cl = i64x2.shr_u(i64x2.add(al, i64x2.extmul_low_i32x4_u(q, p0)), 28);
    ch = i64x2.shr_u(i64x2.add(ah, i64x2.extmul_high_i32x4_u(q, p0)), 28);
  }
  for (let k = end; k < 2 * end - 16; k += 16) {
    let al = cl, ah = ch, ml = i64x2.splat(0), mh = ml;
    const pb = b + k, pp = PRIME + k;
    for (let i = k - end + 16; i < end; i += 16) {
      const x = v128.load(a + i), y = v128.load(pb - i), q = v128.load(quotient + i), r = v128.load(pp - i);
      al = i64x2.add(al, i64x2.extmul_low_i32x4_u(x, y)); ah = i64x2.add(ah, i64x2.extmul_high_i32x4_u(x, y));
      ml = i64x2.add(ml, i64x2.extmul_low_i32x4_u(q, r)); mh = i64x2.add(mh, i64x2.extmul_high_i32x4_u(q, r));
    }
    al = i64x2.add(al, ml);
    ah = i64x2.add(ah, mh);
    v128.store(product + k - end, v128.shuffle<i32>(v128.and(al, M), v128.and(ah, M), 0, 2, 4, 6));
    cl = i64x2.shr_u(al, 28);
    ch = i64x2.shr_u(ah, 28);
  }
  v128.store(product + end - 16, v128.shuffle<i32>(cl, ch, 0, 2, 4, 6));
  memory.copy(o, product, end);
}

/** o = a²/R mod p, by half the products of `multiply`; o may be a. */
export function square(o: usize, a: usize): void {
  const M = i64x2.splat(0xfffffff), end = QUAD;
  for (let i: usize = 0; i < end; i += 16) v128.store(doubled + i, i32x4.shl(v128.load(a + i), 1));
  let cl = i64x2.splat(0), ch = cl;
  for (let k: usize = 0; k < 2 * end - 16; k += 16) {
    let al = cl, ah = ch, ml = i64x2.splat(0), mh = ml;
    const pa = a + k, pp = PRIME + k;
    const first: usize = k < end ? 0 : k - end + 16, last = k < end ? k : end;
    const half = (k >> 1) & ~15, even = (k & 16) == 0;
    const mirror = even ? half : half + 16;
    for (let i = first; i < mirror; i += 16) {
      const x = v128.load(doubled + i), y = v128.load(pa - i);
      al = i64x2.add(al, i64x2.extmul_low_i32x4_u(x, y)); ah = i64x2.add(ah, i64x2.extmul_high_i32x4_u(x, y));
    }
    if (even) {
      const x = v128.load(a + half);
      al = i64x2.add(al, i64x2.extmul_low_i32x4_u(x, x)); ah = i64x2.add(ah, i64x2.extmul_high_i32x4_u(x, x));
    }
    for (let i = first; i < last; i += 16) {
      const q = v128.load(quotient + i), r = v128.load(pp - i);
      ml = i64x2.add(ml, i64x2.extmul_low_i32x4_u(q, r)); mh = i64x2.add(mh, i64x2.extmul_high_i32x4_u(q, r));
    }
    al = i64x2.add(al, ml);
    ah = i64x2.add(ah, mh);
    if (k < end) {
      const q = digit(al, ah), p0 = v128.load(PRIME);
      v128.store(quotient + k, q);
      al = i64x2.add(al, i64x2.extmul_low_i32x4_u(q, p0));
      ah = i64x2.add(ah, i64x2.extmul_high_i32x4_u(q, p0));
    } else v128.store(product + k - end, v128.shuffle<i32>(v128.and(al, M), v128.and(ah, M), 0, 2, 4, 6));
    cl = i64x2.shr_u(al, 28);
    ch = i64x2.shr_u(ah, 28);
  }
  v128.store(product + end - 16, v128.shuffle<i32>(cl, ch, 0, 2, 4, 6));
  memory.copy(o, product, end);
}
