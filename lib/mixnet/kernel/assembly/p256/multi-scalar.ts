// Multi-scalar multiplication by Pippenger's bucket method: signed digits, buckets filled by batches of affine
// additions. Variable-time: for public scalars, and for the prover's nonces as docs/arithmetic.md says.
//
// One call sums the windows [first, last) of one chunk of terms, times 2^(width·first); partial results of chunks and
// of window ranges are simply added, which is how the work is spread over threads.
import { flush, push } from "./batch-add";
import { booth } from "./digits";
import { negate } from "./field";
import { addJacobian, clearJacobian, double, fromAffine, isInfinite, toAffine } from "./jacobian";
import { FIELD, POINT } from "./layout";

const jacobians: usize = memory.data(4 * 112, 16);

// @ts-ignore: decorator
@inline function align(n: usize): usize { return (n + 15) & ~15; }

/** Room for the entries that one pass of additions leaves: of three entries of a bucket, two remain. */
function passSize(n: i32, group: i32): usize {
  return align((<usize>n * <usize>group * 2 / 3 + 64) * POINT);
}

/** Octets of work space for `windows` windows, taken `group` at a time. */
export function multiScalarWork(n: i32, width: i32, windows: i32, group: i32): usize {
  const buckets = <usize>1 << (width - 1);
  return align(<usize>group * buckets * 8) + align(<usize>n * <usize>group * 4) + 2 * passSize(n, group)
    + align(<usize>windows * buckets * POINT) + 2 * align(<usize>windows * chunksPerWindow(width, windows) * POINT);
}

/** Each window's buckets are summed in so many chunks side by side, to have batches worth an inversion. */
function chunksPerWindow(width: i32, windows: i32): usize {
  const buckets = <usize>1 << (width - 1);
  let length = buckets;
  while (length > 8 && <usize>windows * (buckets / length) < 512) length >>= 1;
  return buckets / length;
}

/** Counting sort: how many terms each bucket has into `counts`, then the terms in bucket order into `order`. */
function sortTerms(points: usize, words: usize, n: usize, first: i32, windows: i32, width: i32, counts: usize, starts: usize, order: usize): void {
  const buckets = <usize>1 << (width - 1), all = <usize>windows * buckets;
  memory.fill(counts, 0, all * 4);
  for (let w = 0; w < windows; w++) {
    for (let i: usize = 0; i < n; i++) {
      const digit = booth(words + i * 32, first + w, width);
      if (digit == 0) continue;
      const at = counts + 4 * (<usize>w * buckets + <usize>(abs(digit) - 1));
      store<u32>(at, load<u32>(at) + 1);
    }
  }
  let total: u32 = 0;
  for (let b: usize = 0; b < all; b++) {
    store<u32>(starts + 4 * b, total);
    total += load<u32>(counts + 4 * b);
  }
  for (let w = 0; w < windows; w++) {
    for (let i: usize = 0; i < n; i++) {
      const digit = booth(words + i * 32, first + w, width);
      if (digit == 0) continue;
      const at = starts + 4 * (<usize>w * buckets + <usize>(abs(digit) - 1));
      const place = load<u32>(at);
      store<u32>(at, place + 1);
      store<u32>(order + 4 * <usize>place, <u32>(points + i * POINT) | <u32>(digit < 0));
    }
  }
}

// @ts-ignore: decorator
@inline function copySigned(o: usize, a: usize): void {
  memory.copy(o, a & ~1, POINT);
  if (a & 1) negate(o + FIELD, o + FIELD);
}

/**
 * Halves every bucket's list of entries until one is left, which goes to `buckets`: a pass adds entries in pairs from
 * one buffer into the other. `counts` ends all zero; buckets without an entry become infinite.
 */
function fillBuckets(all: usize, counts: usize, order: usize, from: usize, to: usize, buckets: usize): void {
  for (let b: usize = 0; b < all; b++) {
    if (load<u32>(counts + 4 * b) == 0) memory.fill(buckets + b * POINT, 0, POINT);
  }
  for (let more = true; more; ) {
    more = false;
    let source = order, target = order, sum = to;
    for (let b: usize = 0; b < all; b++) {
      const count = load<u32>(counts + 4 * b);
      if (count == 0) continue;
      if (count <= 2) {
        const bucket = buckets + b * POINT, entry = <usize>load<u32>(source);
        if (count == 1) copySigned(bucket, entry); else push(entry, <usize>load<u32>(source, 4), bucket);
        source += 4 * <usize>count;
        store<u32>(counts + 4 * b, 0);
        continue;
      }
      more = true;
      for (let i: u32 = 1; i < count; i += 2) {
        push(<usize>load<u32>(source), <usize>load<u32>(source, 4), sum);
        store<u32>(target, <u32>sum);
        source += 8; target += 4; sum += POINT;
      }
      if (count & 1) {
        // the odd one is copied, so that nothing points into a buffer that the next pass overwrites
        copySigned(sum, <usize>load<u32>(source));
        store<u32>(target, <u32>sum);
        source += 4; target += 4; sum += POINT;
      }
      store<u32>(counts + 4 * b, (count + 1) >> 1);
    }
    flush();
    const other = from; from = to; to = other;
  }
}

/**
 * For every chunk of buckets B_0 … B_{l-1}: `plain` = Σ B_i and `weighted` = Σ (i + 1)·B_i, by running sums of all
 * chunks in lock step.
 */
function sumChunks(buckets: usize, length: usize, chunks: usize, plain: usize, weighted: usize): void {
  for (let c: usize = 0; c < chunks; c++) {
    memory.copy(plain + c * POINT, buckets + (c * length + length - 1) * POINT, POINT);
    memory.copy(weighted + c * POINT, plain + c * POINT, POINT);
  }
  for (let j: isize = <isize>length - 2; j >= 0; j--) {
    for (let c: usize = 0; c < chunks; c++) {
      const bucket = buckets + (c * length + <usize>j) * POINT, sum = plain + c * POINT;
      if (!isInfinite(bucket)) push(sum, bucket, sum);
    }
    flush();
    for (let c: usize = 0; c < chunks; c++) push(weighted + c * POINT, plain + c * POINT, weighted + c * POINT);
    flush();
  }
}

/** One window from its chunks: Σ_c weighted_c + length·Σ_c c·plain_c, into `s`. */
function joinChunks(s: usize, plain: usize, weighted: usize, chunks: usize, length: usize): void {
  const r = jacobians + 112, q = jacobians + 224;
  clearJacobian(r);
  clearJacobian(s);
  for (let c = chunks - 1; c >= 1; c--) {
    fromAffine(q, plain + c * POINT);
    addJacobian(r, r, q);
    addJacobian(s, s, r);
  }
  for (let l = length; l > 1; l >>= 1) double(s, s);
  for (let c: usize = 0; c < chunks; c++) {
    fromAffine(q, weighted + c * POINT);
    addJacobian(s, s, q);
  }
}

/** out (affine) = Σ_{first <= w < last} 2^(width·w) Σ_i digit_w(scalar_i)·point_i. */
export function multiScalar(out: usize, points: usize, words: usize, n: i32, width: i32, first: i32, last: i32, group: i32, work: usize): void {
  const perWindow = <usize>1 << (width - 1), windows = last - first;
  const counts = work, starts = counts + <usize>group * perWindow * 4;
  const order = counts + align(<usize>group * perWindow * 8);
  const from = order + align(<usize>n * <usize>group * 4), to = from + passSize(n, group);
  const buckets = to + passSize(n, group);
  for (let w = 0; w < windows; w += group) {
    const g = min(group, windows - w);
    sortTerms(points, words, n, first + w, g, width, counts, starts, order);
    fillBuckets(<usize>g * perWindow, counts, order, from, to, buckets + <usize>w * perWindow * POINT);
  }
  const chunks = chunksPerWindow(width, windows), length = perWindow / chunks;
  const plain = buckets + align(<usize>windows * perWindow * POINT);
  const weighted = plain + align(<usize>windows * chunks * POINT);
  sumChunks(buckets, length, <usize>windows * chunks, plain, weighted);
  const total = jacobians, window = jacobians + 336;
  clearJacobian(total);
  for (let w = windows - 1; w >= 0; w--) {
    for (let i = 0; i < width; i++) double(total, total);
    const offset = <usize>w * chunks * POINT;
    joinChunks(window, plain + offset, weighted + offset, chunks, length);
    addJacobian(total, total, window);
  }
  for (let i = 0; i < width * first; i++) double(total, total);
  toAffine(out, total);
}
