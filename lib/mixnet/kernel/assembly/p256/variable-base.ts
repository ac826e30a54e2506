// Many bases, each to a secret exponent (or all to one): partial decryption. Which instructions run and which
// addresses are touched depends on the bases and on public sizes, never on an exponent, with one exception of
// probability below 2^-248 (see `exceptional`). Exponents are recoded into odd signed digits (Joye and Tunstall,
// "Exponent recoding and regular exponentiation algorithms", 2009), table entries are selected by masks, doublings and
// additions are affine, all bases in lock step, with one inversion a step.
import { BASE, ONE4 } from "./constants";
import { addJacobian, clearJacobian, double, fromAffine, isInfinite, toAffine } from "./jacobian";
import { FIELD, POINT, QUAD, QUAD_POINT } from "./layout";
import { mul4, sqr4 } from "./products";
import { add4, carry4, copy4, double4, gather, invertLanes, negateLanes, scatter, sub4 } from "./quad";
import { negate } from "./field";

// @ts-ignore: decorator
@inline const WINDOW: i32 = 5;
// @ts-ignore: decorator
@inline const DIGITS: i32 = 52;
// @ts-ignore: decorator
@inline const ENTRIES: usize = 16;
/** Octets of a recoded exponent: 52 digits, then the exception's octet, the sign's, and padding. */
// @ts-ignore: decorator
@inline const RECODED: usize = 56;

const order: usize = memory.data<u32>([0xfc632551, 0xf3b9cac2, 0xa7179e84, 0xbce6faad, 0xffffffff, 0xffffffff, 0, 0xffffffff], 16);
const scratch: usize = memory.data(5 * 144, 16);
const number: usize = memory.data(64, 16);
const jacobians: usize = memory.data(2 * 112, 16);

/** o = a - b on eight words; all ones when it borrowed, else zero. */
function subtractWords(o: usize, a: usize, b: usize): u32 {
  let borrow: i64 = 0;
  for (let i: usize = 0; i < 32; i += 4) {
    const v: i64 = <i64>load<u32>(a + i) - <i64>load<u32>(b + i) + borrow;
    store<u32>(o + i, <u32>v);
    borrow = v >> 32;
  }
  return <u32>borrow;
}

// @ts-ignore: decorator
@inline function select(o: usize, a: usize, b: usize, mask: u32): void {
  for (let i: usize = 0; i < 32; i += 4) store<u32>(o + i, (load<u32>(a + i) & mask) | (load<u32>(b + i) & ~mask));
}

/**
 * An exponent below 2^256 (words) to 52 odd digits of an odd k in (0, q]: k is the exponent mod q or its opposite,
 * whichever is odd; the digits of the latter come negated, so that they always stand for the exponent itself.
 */
export function recode(o: usize, words: usize): void {
  const k = number, t = number + 32;
  select(k, words, k, 0xffffffff);
  select(k, k, t, subtractWords(t, k, order));
  subtractWords(t, order, k);
  const odd: u32 = 0 - (load<u32>(k) & 1);
  select(k, k, t, odd);
  const sign: i32 = ~odd; // all ones when the opposite was taken
  // how far k is below q, if by less than 128, else 255; digits are then those of 1, which meet no exception
  subtractWords(t, order, k);
  let far = load<u32>(t) >> 7;
  for (let i: usize = 4; i < 32; i += 4) far |= load<u32>(t + i);
  const near: u32 = ((far | (0 - far)) >> 31) - 1; // all ones when far is 0
  store<u8>(o + 52, <u8>((load<u32>(t) & near) | (255 & ~near)));
  memory.fill(t, 0, 32);
  store<u32>(t, 1);
  select(k, t, k, near);
  for (let i: i32 = 0; i < DIGITS; i++) {
    const low = WINDOW * i, word = low >> 5;
    let x: u64 = <u64>load<u32>(k + 4 * <usize>word);
    if (word < 7) x |= <u64>load<u32>(k + 4 * <usize>(word + 1)) << 32;
    let digit = i < DIGITS - 1 ? <i32>(((<u32>(x >> (low & 31))) & 63) | 1) - 32 : 1;
    digit = (digit ^ sign) - sign;
    store<i8>(o + <usize>i, <i8>digit);
  }
  store<u8>(o + 53, <u8>(sign & 1));
  memory.fill(number, 0, 64);
}

/**
 * Whether the exponent is one of the 128 whose k is in (q - 128, q]. Only for k = q and for some k = q - 2d, d < 32,
 * does the last addition meet equal or opposite points (before it, both sides are small multiples of the base with
 * different absolute values); these few are computed by `small` instead, lest the shared inversion meets a zero.
 */
// @ts-ignore: decorator
@inline function exceptional(recoded: usize): bool { return load<u8>(recoded + 52) != 255; }

/** The base times an exponent of absolute value below 128: k = q - m stands for -m, and for m if negated. */
function small(o: usize, base: usize, recoded: usize): void {
  const m = load<u8>(recoded + 52), total = jacobians, p = jacobians + 112;
  clearJacobian(total);
  fromAffine(p, base);
  for (let bit = 6; bit >= 0; bit--) {
    double(total, total);
    if ((m >> <u8>bit) & 1) addJacobian(total, total, p);
  }
  toAffine(o, total);
  if (load<u8>(recoded + 53) == 0) negate(o + FIELD, o + FIELD);
}

/** points (n quads of x, y) doubled in place; none may be infinite. */
function doubleQuads(points: usize, n: i32, work: usize): void {
  const inverse = scratch, running = scratch + QUAD, slope = scratch + 2 * QUAD, x3 = scratch + 3 * QUAD, t = scratch + 4 * QUAD;
  let p = points, prefix = work;
  copy4(prefix, ONE4);
  for (let i = 0; i < n; i++) {
    double4(t, p + QUAD);
    mul4(prefix + QUAD, prefix, t);
    p += QUAD_POINT; prefix += QUAD;
  }
  invertLanes(running, prefix);
  for (let i = 0; i < n; i++) {
    p -= QUAD_POINT; prefix -= QUAD;
    mul4(inverse, running, prefix);
    double4(t, p + QUAD);
    mul4(running, running, t);
    sqr4(slope, p);
    sub4(slope, slope, ONE4); double4(t, slope); add4(t, t, slope); carry4(t); // 3x² - 3
    mul4(slope, t, inverse);
    sqr4(x3, slope); sub4(x3, x3, p); sub4(x3, x3, p); carry4(x3);
    sub4(t, p, x3); mul4(t, slope, t); sub4(t, t, p + QUAD); carry4(t);
    copy4(p, x3);
    copy4(p + QUAD, t);
  }
}

/** sums = points + others, n quads each; `sums` may be `points`. No two of a pair may be equal, opposite or infinite. */
function addQuads(sums: usize, points: usize, others: usize, n: i32, work: usize): void {
  const inverse = scratch, running = scratch + QUAD, slope = scratch + 2 * QUAD, x3 = scratch + 3 * QUAD, t = scratch + 4 * QUAD;
  let p = points, e = others, o = sums, prefix = work;
  copy4(prefix, ONE4);
  for (let i = 0; i < n; i++) {
    sub4(t, e, p);
    mul4(prefix + QUAD, prefix, t);
    p += QUAD_POINT; e += QUAD_POINT; o += QUAD_POINT; prefix += QUAD;
  }
  invertLanes(running, prefix);
  for (let i = 0; i < n; i++) {
    p -= QUAD_POINT; e -= QUAD_POINT; o -= QUAD_POINT; prefix -= QUAD;
    sub4(t, e, p);
    mul4(inverse, running, prefix);
    mul4(running, running, t);
    sub4(t, e + QUAD, p + QUAD); mul4(slope, t, inverse);
    sqr4(x3, slope); sub4(x3, x3, p); sub4(x3, x3, e); carry4(x3);
    sub4(t, p, x3); mul4(t, slope, t); sub4(t, t, p + QUAD); carry4(t);
    copy4(o, x3);
    copy4(o + QUAD, t);
  }
}

/** One coordinate of table entry `index` of each lane, all entries read. Entries of one quad lie `stride` apart. */
function selectEntry(o: usize, table: usize, stride: usize, index: v128): void {
  let x0 = i32x4.splat(0), x1 = x0, x2 = x0, x3 = x0, x4 = x0, x5 = x0, x6 = x0, x7 = x0, x8 = x0;
  for (let k: i32 = 0; k < <i32>ENTRIES; k++) {
    const m = i32x4.eq(index, i32x4.splat(k));
    x0 = v128.or(x0, v128.and(m, v128.load(table, 0)));
    x1 = v128.or(x1, v128.and(m, v128.load(table, 16)));
    x2 = v128.or(x2, v128.and(m, v128.load(table, 32)));
    x3 = v128.or(x3, v128.and(m, v128.load(table, 48)));
    x4 = v128.or(x4, v128.and(m, v128.load(table, 64)));
    x5 = v128.or(x5, v128.and(m, v128.load(table, 80)));
    x6 = v128.or(x6, v128.and(m, v128.load(table, 96)));
    x7 = v128.or(x7, v128.and(m, v128.load(table, 112)));
    x8 = v128.or(x8, v128.and(m, v128.load(table, 128)));
    table += stride;
  }
  v128.store(o, x0, 0); v128.store(o, x1, 16); v128.store(o, x2, 32); v128.store(o, x3, 48); v128.store(o, x4, 64);
  v128.store(o, x5, 80); v128.store(o, x6, 96); v128.store(o, x7, 112); v128.store(o, x8, 128);
}

/** For every quad the table's entry for digit `j` of its lanes' exponents, with the digit's sign. */
function selectDigits(o: usize, table: usize, recoded: usize, step: usize, j: i32, n: i32): void {
  const stride = <usize>n * QUAD_POINT;
  for (let i = 0; i < n; i++) {
    const at = recoded + <usize>j;
    let digit = i32x4.splat(<i32>load<i8>(at));
    digit = i32x4.replace_lane(digit, 1, <i32>load<i8>(at + step));
    digit = i32x4.replace_lane(digit, 2, <i32>load<i8>(at + 2 * step));
    digit = i32x4.replace_lane(digit, 3, <i32>load<i8>(at + 3 * step));
    const sign = i32x4.shr_s(digit, 31);
    const index = i32x4.shr_u(i32x4.sub(v128.xor(digit, sign), sign), 1);
    selectEntry(o, table, stride, index);
    selectEntry(o + QUAD, table + QUAD, stride, index);
    negateLanes(o + QUAD, sign);
    o += QUAD_POINT; table += QUAD_POINT; recoded += 4 * step;
  }
}

/** Octets of work space for n quads: accumulators, selections, 16 table entries, prefix products. */
export function variableBaseWork(n: i32): usize {
  return <usize>n * QUAD_POINT * (2 + ENTRIES) + <usize>(n + 1) * QUAD;
}

// @ts-ignore: decorator
@inline function finite(point: usize): usize { return isInfinite(point) ? BASE : point; }

/**
 * out[i] = exponent_i · point_i for 4n points; `recoded` as `recode` leaves them, `step` octets apart (0: one exponent
 * for all). `out` must not overlap `points`.
 */
export function variableBase(out: usize, points: usize, recoded: usize, step: usize, n: i32, work: usize): void {
  const all = <usize>n * QUAD_POINT;
  const sums = work, selected = sums + all, table = selected + all, prefixes = table + ENTRIES * all;
  let p = points;
  for (let q = table; q < table + all; q += QUAD_POINT) {
    const p0 = finite(p), p1 = finite(p + POINT), p2 = finite(p + 2 * POINT), p3 = finite(p + 3 * POINT);
    gather(q, p0, p1, p2, p3);
    gather(q + QUAD, p0 + FIELD, p1 + FIELD, p2 + FIELD, p3 + FIELD);
    p += 4 * POINT;
  }
  memory.copy(sums, table, all);
  doubleQuads(sums, n, prefixes);
  for (let k: usize = 1; k < ENTRIES; k++) addQuads(table + k * all, table + (k - 1) * all, sums, n, prefixes);
  selectDigits(sums, table, recoded, step, DIGITS - 1, n);
  for (let j = DIGITS - 2; j >= 0; j--) {
    for (let i = 0; i < WINDOW; i++) doubleQuads(sums, n, prefixes);
    selectDigits(selected, table, recoded, step, j, n);
    addQuads(sums, sums, selected, n, prefixes);
  }
  p = points;
  for (let q = sums; q < sums + all; q += QUAD_POINT) {
    scatter(q, out, out + POINT, out + 2 * POINT, out + 3 * POINT);
    scatter(q + QUAD, out + FIELD, out + POINT + FIELD, out + 2 * POINT + FIELD, out + 3 * POINT + FIELD);
    for (let i = 0; i < 4; i++) {
      if (isInfinite(p)) memory.fill(out, 0, POINT);
      else if (exceptional(recoded)) small(out, p, recoded);
      p += POINT; out += POINT; recoded += step;
    }
  }
}
