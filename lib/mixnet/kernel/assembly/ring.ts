// Arithmetic of exponents: Z_q on flat arrays of big-endian octets. The modulus comes from the module `modulus`, which
// the build provides: straight-line code for the order of P-256, loops for any other odd modulus. Inputs may be any
// value that fits the octets; outputs are canonical. Nothing here branches on a value, so that secrets may pass, except
// where a result says that some element was 0 or not canonical.
import {
  EXPONENT, EXPONENT_BITS, LIMB_BITS, LIMBS, MODULUS, montgomery, MULTIPLE, OCTETS, ONE, R2, readScalar, SHIFT, writeScalar,
} from "./modulus";

// @ts-ignore: decorator
@inline const LIMIT: usize = 640; // 149 limbs: moduli up to 4,096 bits
const scratch: usize = memory.data(6 * 640, 16);

// @ts-ignore: decorator
@inline function limbMask(): i32 { return (1 << LIMB_BITS) - 1; }

/** o = a mod q, canonical, for limbs below 2^30. */
function canonical(o: usize, a: usize): void {
  montgomery(o, a, ONE); // below 2q
  const end: usize = 4 * <usize>LIMBS;
  let borrow: i32 = 0;
  for (let i: usize = 0; i < end; i += 4) borrow = (load<i32>(o + i) - load<i32>(MODULUS + i) + borrow) >> LIMB_BITS;
  const take = ~borrow;
  borrow = 0;
  for (let i: usize = 0; i < end; i += 4) {
    const v = load<i32>(o + i) - (load<i32>(MODULUS + i) & take) + borrow;
    store<i32>(o + i, v & limbMask());
    borrow = v >> LIMB_BITS;
  }
}

// @ts-ignore: decorator
@inline function addLimbs(o: usize, a: usize, b: usize): void {
  const end: usize = 4 * <usize>LIMBS;
  for (let i: usize = 0; i < end; i += 4) store<u32>(o + i, load<u32>(a + i) + load<u32>(b + i));
}

// @ts-ignore: decorator
@inline function emit(octets: usize, a: usize): void {
  canonical(a, a);
  writeScalar(octets, a);
}

function isZero(a: usize): bool {
  let bits: u32 = 0;
  const end: usize = 4 * <usize>LIMBS;
  for (let i: usize = 0; i < end; i += 4) bits |= load<u32>(a + i);
  return bits == 0;
}

/** out[i] = a[i] + b[i]. Here and below a step is the distance of elements in octets, 0 to use one for all. */
export function ringAdd(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT;
  for (; n > 0; n--) {
    readScalar(x, a);
    readScalar(y, b);
    addLimbs(x, x, y);
    emit(out, x);
    a += aStep; b += bStep; out += OCTETS;
  }
}

/** out[i] = a[i] - b[i]. */
export function ringSubtract(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT, end: usize = 4 * <usize>LIMBS;
  for (; n > 0; n--) {
    readScalar(x, a);
    readScalar(y, b);
    let carry: i32 = 0;
    for (let i: usize = 0; i < end; i += 4) {
      const v = load<i32>(x + i) + load<i32>(MULTIPLE + i) - load<i32>(y + i) + carry;
      store<i32>(x + i, v & limbMask());
      carry = v >> LIMB_BITS;
    }
    emit(out, x);
    a += aStep; b += bStep; out += OCTETS;
  }
}

/** out[i] = a[i]·b[i]. */
export function ringMultiply(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT;
  for (; n > 0; n--) {
    readScalar(x, a);
    readScalar(y, b);
    montgomery(x, x, y);
    montgomery(x, x, R2);
    emit(out, x);
    a += aStep; b += bStep; out += OCTETS;
  }
}

/** out[i] = a[i]·b[i] + c[i]. */
export function ringMultiplyAdd(out: usize, a: usize, aStep: usize, b: usize, bStep: usize, c: usize, cStep: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT;
  for (; n > 0; n--) {
    readScalar(x, a);
    readScalar(y, b);
    montgomery(x, x, y);
    montgomery(x, x, R2);
    readScalar(y, c);
    addLimbs(x, x, y);
    emit(out, x);
    a += aStep; b += bStep; c += cStep; out += OCTETS;
  }
}

/** state = state + Σ a[i]·b[i]. */
export function ringInner(state: usize, a: usize, b: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT, sum = scratch + 2 * LIMIT;
  memory.fill(sum, 0, LIMIT);
  for (; n > 0; n--) {
    readScalar(x, a);
    readScalar(y, b);
    montgomery(x, x, y);
    addLimbs(x, x, sum);
    canonical(sum, x);
    a += OCTETS; b += OCTETS;
  }
  montgomery(sum, sum, R2);
  readScalar(x, state);
  addLimbs(sum, sum, x);
  emit(state, sum);
}

/** state = state + Σ a[i]. */
export function ringSum(state: usize, a: usize, n: i32): void {
  const x = scratch, sum = scratch + LIMIT;
  readScalar(sum, state);
  for (; n > 0; n--) {
    readScalar(x, a);
    addLimbs(x, x, sum);
    canonical(sum, x);
    a += OCTETS;
  }
  emit(state, sum);
}

/** out[i] = state = state·a[i], in order. */
export function ringRunningProducts(out: usize, a: usize, n: i32, state: usize): void {
  const x = scratch, y = scratch + LIMIT;
  readScalar(x, state);
  for (; n > 0; n--) {
    readScalar(y, a);
    montgomery(y, y, R2);
    montgomery(x, x, y);
    emit(out, x);
    a += OCTETS; out += OCTETS;
  }
  writeScalar(state, x);
}

/** state = state·Π a[i]. */
export function ringProduct(state: usize, a: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT;
  readScalar(x, state);
  for (; n > 0; n--) {
    readScalar(y, a);
    montgomery(y, y, R2);
    montgomery(x, x, y);
    a += OCTETS;
  }
  emit(state, x);
}

/** out[i] = state = state·a[i] + b[i], in order (VF 9: x_i = x_{i-1} e'_i + b_i). */
export function ringRecurrence(out: usize, a: usize, b: usize, n: i32, state: usize): void {
  const x = scratch, y = scratch + LIMIT;
  readScalar(x, state);
  for (; n > 0; n--) {
    readScalar(y, a);
    montgomery(y, y, R2);
    montgomery(x, x, y);
    readScalar(y, b);
    addLimbs(x, x, y);
    emit(out, x);
    a += OCTETS; b += OCTETS; out += OCTETS;
  }
  writeScalar(state, x);
}

/** out[i] = the big-endian integer of `width` octets at wide[i], mod q; any width. */
export function ringReduce(out: usize, wide: usize, width: usize, n: i32): void {
  const x = scratch, y = scratch + LIMIT, padded = scratch + 2 * LIMIT;
  const head = width % OCTETS;
  for (; n > 0; n--) {
    memory.fill(padded, 0, OCTETS);
    memory.copy(padded + OCTETS - head, wide, head);
    readScalar(x, padded);
    for (let at = head; at < width; at += OCTETS) {
      montgomery(x, x, SHIFT);
      readScalar(y, wide + at);
      addLimbs(x, x, y);
    }
    emit(out, x);
    wide += width; out += OCTETS;
  }
}

/** o = a^(q-2) in Montgomery form, 1/a; the exponent is public. */
function invert(o: usize, a: usize): void {
  const base = scratch + 5 * LIMIT;
  memory.copy(base, a, LIMIT);
  memory.copy(o, ONE, 4 * <usize>LIMBS);
  for (let bit = EXPONENT_BITS - 1; bit >= 0; bit--) {
    montgomery(o, o, o);
    const word = load<u32>(EXPONENT + 4 * <usize>(bit / LIMB_BITS));
    if ((word >> <u32>(bit % LIMB_BITS)) & 1) montgomery(o, o, base);
  }
}

/**
 * out[i] = 1/a[i], by one inversion for all; `work` has room for n elements of 4·limbs octets. The index of the first
 * zero, and then nothing is written; n if there is none. q must be prime.
 */
export function ringInvert(out: usize, a: usize, n: i32, work: usize): i32 {
  const x = scratch, running = scratch + LIMIT, t = scratch + 2 * LIMIT, step: usize = 4 * <usize>LIMBS;
  memory.copy(running, ONE, step);
  for (let i = 0; i < n; i++) {
    readScalar(x, a + <usize>i * OCTETS);
    canonical(t, x);
    if (isZero(t)) return i;
    memory.copy(work + <usize>i * step, running, step);
    montgomery(x, x, R2);
    montgomery(running, running, x);
  }
  invert(t, running);
  for (let i = n - 1; i >= 0; i--) {
    readScalar(x, a + <usize>i * OCTETS);
    montgomery(running, t, work + <usize>i * step); // 1/a[i], Montgomery form
    montgomery(x, x, R2);
    montgomery(t, t, x);
    memory.fill(x, 0, step);
    store<u32>(x, 1);
    montgomery(running, running, x);
    emit(out + <usize>i * OCTETS, running);
  }
  return n;
}

/** The index of the first of n elements that is not below q; n if there is none. */
export function ringCheck(a: usize, n: i32): i32 {
  const x = scratch, end: usize = 4 * <usize>LIMBS;
  for (let index = 0; index < n; index++) {
    readScalar(x, a);
    let borrow: i32 = 0;
    for (let i: usize = 0; i < end; i += 4) borrow = (load<i32>(x + i) - load<i32>(MODULUS + i) + borrow) >> LIMB_BITS;
    if (borrow == 0) return index;
    a += OCTETS;
  }
  return n;
}

/** Forgets what the last operation left in the work space. */
export function ringForget(): void { memory.fill(scratch, 0, 6 * LIMIT); }
