// Numbers between the outside's big-endian octets, one after the other in memory, and lanes of quads.
import { readLimbs, writeLimbs } from "../limbs28";
import { LIMBS, multiply, NUMBER, OCTETS, PRIME, QUAD, R2 } from "./montgomery";

const plain: usize = memory.data(127 * 16, 16);
const number: usize = memory.data(127 * 4, 16);

/** Four numbers at four addresses into one quad. */
export function gather(o: usize, p0: usize, p1: usize, p2: usize, p3: usize): void {
  for (let k: usize = 0; k < NUMBER; k += 4) {
    let x = v128.load_splat<i32>(p0 + k);
    x = v128.load_lane<i32>(p1 + k, x, 1);
    x = v128.load_lane<i32>(p2 + k, x, 2);
    v128.store(o + 4 * k, v128.load_lane<i32>(p3 + k, x, 3));
  }
}

/** One quad to four addresses. */
export function scatter(o: usize, p0: usize, p1: usize, p2: usize, p3: usize): void {
  for (let k: usize = 0; k < NUMBER; k += 4) {
    const x = v128.load(o + 4 * k);
    v128.store_lane<i32>(p0 + k, x, 0);
    v128.store_lane<i32>(p1 + k, x, 1);
    v128.store_lane<i32>(p2 + k, x, 2);
    v128.store_lane<i32>(p3 + k, x, 3);
  }
}

/** The same number into all lanes. */
export function spread(o: usize, p: usize): void {
  for (let k: usize = 0; k < NUMBER; k += 4) v128.store(o + 4 * k, v128.load_splat<i32>(p + k));
}

/** A lane of a quad to all lanes of another (or the same). */
export function spreadLane(o: usize, q: usize, lane: usize): void {
  for (let k: usize = 0; k < QUAD; k += 16) v128.store(o + k, v128.load_splat<i32>(q + k + 4 * lane));
}

/** m (1 to 4) numbers below p, `step` octets apart, as they are into the lanes of a quad; the last fills lanes up. */
export function readLanes(o: usize, octets: usize, step: usize, m: i32): void {
  for (let k = 0; k < 4; k++) {
    if (k < m) readLimbs(number, LIMBS, octets + <usize>k * step, OCTETS);
    for (let l: usize = 0; l < NUMBER; l += 4) store<u32>(o + 4 * l + 4 * <usize>k, load<u32>(number + l));
  }
}

/** n numbers below p from octets to Montgomery form, one after the other. */
export function readNumbers(o: usize, octets: usize, n: i32): void {
  for (let i = 0; i < n; i += 4) {
    const m = min(4, n - i);
    readLanes(plain, octets, OCTETS, m);
    multiply(plain, plain, R2);
    for (let k = 0; k < m; k++) {
      for (let l: usize = 0; l < NUMBER; l += 4) store<u32>(o + l, load<u32>(plain + 4 * l + 4 * <usize>k));
      o += NUMBER;
    }
    octets += 4 * OCTETS;
  }
}

/** The lanes of a quad in Montgomery form, the first n of them, as canonical octets. Leaves the quad as it is. */
export function writeLanes(octets: usize, q: usize, n: i32): void {
  memory.fill(plain, 0, QUAD);
  v128.store(plain, i32x4.splat(1));
  multiply(plain, q, plain);
  writePlainLanes(octets, plain, n);
}

/** The same for plain numbers below 2p. */
export function writePlainLanes(octets: usize, q: usize, n: i32): void {
  for (let k = 0; k < n; k++) {
    for (let l: usize = 0; l < NUMBER; l += 4) store<u32>(number + l, load<u32>(q + 4 * l + 4 * <usize>k));
    subtractPrime();
    writeLimbs(octets, OCTETS, number);
    octets += OCTETS;
  }
}

/** number -= p if it is not below p; no branch on the number. */
function subtractPrime(): void {
  let borrow: i32 = 0;
  for (let l: usize = 0; l < NUMBER; l += 4) borrow = (load<i32>(number + l) - load<i32>(PRIME + 4 * l) + borrow) >> 28;
  const take = ~borrow;
  borrow = 0;
  for (let l: usize = 0; l < NUMBER; l += 4) {
    const v = load<i32>(number + l) - (load<i32>(PRIME + 4 * l) & take) + borrow;
    store<i32>(number + l, v & 0xfffffff);
    borrow = v >> 28;
  }
}
