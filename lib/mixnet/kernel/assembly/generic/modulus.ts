// Any odd modulus of up to 4,096 bits for ring.ts: unsigned limbs of 28 bits, Montgomery with R = 2^(28·limbs). The
// host writes the constants once (ring.ts's names, see kernel/generic-ring.ts) and calls `setModulus`.
//
// Bounds: limbs of `a` below 2^29, of `b` below 2^28, a·b < q·R, at most 149 limbs: column sums are below
// 149·(2^57 + 2^56) + 2^37 < 2^64, results below 2q.

import { readLimbs, writeLimbs } from "../limbs28";

export let LIMBS: i32 = 0;
// @ts-ignore: decorator
@inline export const LIMB_BITS: i32 = 28;
export let OCTETS: usize = 0;
export let EXPONENT_BITS: i32 = 0;
export const MODULUS: usize = memory.data(640, 16);
export const MULTIPLE: usize = memory.data(640, 16);
export const ONE: usize = memory.data(640, 16);
export const R2: usize = memory.data(640, 16);
export const SHIFT: usize = memory.data(640, 16);
export const EXPONENT: usize = memory.data(640, 16);
const quotient: usize = memory.data(640, 16);
let negatedInverse: u64 = 0;

export function setModulus(limbs: i32, octets: usize, exponentBits: i32, inverse: u32): void {
  LIMBS = limbs;
  OCTETS = octets;
  EXPONENT_BITS = exponentBits;
  negatedInverse = <u64>inverse;
}

/** Where the host writes the constants' limbs: 0 modulus, 1 multiple, 2 one, 3 R², 4 shift, 5 exponent. */
export function constantAddress(which: i32): usize {
  if (which == 0) return MODULUS;
  if (which == 1) return MULTIPLE;
  if (which == 2) return ONE;
  if (which == 3) return R2;
  if (which == 4) return SHIFT;
  return EXPONENT;
}

export function readScalar(o: usize, octets: usize): void { readLimbs(o, LIMBS, octets, OCTETS); }

export function writeScalar(octets: usize, a: usize): void { writeLimbs(octets, OCTETS, a); }

const product: usize = memory.data(640, 16);

export function montgomery(o: usize, a: usize, b: usize): void {
  const end: usize = 4 * <usize>LIMBS;
  let c: u64 = 0;
  for (let k: usize = 0; k < end; k += 4) {
    let t = c;
    for (let i: usize = 0; i < k; i += 4) {
      t += <u64>load<u32>(a + i) * <u64>load<u32>(b + k - i) + <u64>load<u32>(quotient + i) * <u64>load<u32>(MODULUS + k - i);
    }
    t += <u64>load<u32>(a + k) * <u64>load<u32>(b);
    const m = (t * negatedInverse) & 0xfffffff;
    store<u32>(quotient + k, <u32>m);
    c = (t + m * <u64>load<u32>(MODULUS)) >> 28;
  }
  for (let k = end; k < 2 * end - 4; k += 4) {
    let t = c;
    for (let i = k - end + 4; i < end; i += 4) {
      t += <u64>load<u32>(a + i) * <u64>load<u32>(b + k - i) + <u64>load<u32>(quotient + i) * <u64>load<u32>(MODULUS + k - i);
    }
    store<u32>(product + k - end, <u32>(t & 0xfffffff));
    c = t >> 28;
  }
  store<u32>(product + end - 4, <u32>c);
  memory.copy(o, product, end);
}
