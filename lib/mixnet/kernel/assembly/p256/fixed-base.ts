// Powers of one base by a table of all its window multiples: T[j][k] = (k + 1)·2^(width·j)·B. NOT constant-time: the
// digit of a secret exponent is an address in the table, and zero digits are skipped (docs/arithmetic.md, "Secrets").
import { flush, push } from "./batch-add";
import { booth, windowCount } from "./digits";
import { negate } from "./field";
import { double, fromAffine, toAffine } from "./jacobian";
import { FIELD, POINT } from "./layout";

const J: usize = memory.data(112, 16);

export function tableSize(width: i32, bits: i32): usize {
  return <usize>windowCount(width, bits) * (<usize>1 << (width - 1)) * POINT;
}

/**
 * Fills rows `first` to `first + windows - 1` of a table, so that threads can share it: the rows' first entries by
 * doubling, then each row doubles in length, all rows in one batch.
 */
export function makeTable(table: usize, base: usize, width: i32, first: i32, windows: i32): void {
  const row: usize = (<usize>1 << (width - 1)) * POINT;
  fromAffine(J, base);
  for (let i = 0; i < width * first; i++) double(J, J);
  for (let j: usize = 0; j < <usize>windows; j++) {
    toAffine(table + j * row, J);
    for (let i = 0; i < width; i++) double(J, J);
  }
  for (let m: usize = 1; m < <usize>1 << (width - 1); m <<= 1) {
    for (let j: usize = 0; j < <usize>windows; j++) {
      const start = table + j * row;
      for (let i: usize = 0; i < m; i++) push(start + i * POINT, start + (m - 1) * POINT, start + (m + i) * POINT);
    }
    flush();
  }
}

/**
 * out[i] = scalar[i]·B, or out[i] + scalar[i]·B if `accumulate`; scalars as words below 2^bits. At most 2,048 at a time
 * keep the sums in the processor's cache.
 */
export function fixedBase(out: usize, table: usize, width: i32, bits: i32, words: usize, n: i32, accumulate: bool): void {
  const windows = windowCount(width, bits), row: usize = (<usize>1 << (width - 1)) * POINT;
  if (!accumulate) memory.fill(out, 0, <usize>n * POINT);
  for (let j = 0; j < windows; j++) {
    const first = table + <usize>j * row;
    for (let i: usize = 0; i < <usize>n; i++) {
      const digit = booth(words + i * 32, j, width);
      if (digit == 0) continue;
      const o = out + i * POINT;
      const entry = first + <usize>(abs(digit) - 1) * POINT;
      if (j == 0 && !accumulate) {
        memory.copy(o, entry, POINT);
        if (digit < 0) negate(o + FIELD, o + FIELD);
      } else push(o, entry | <usize>(digit < 0), o);
    }
    flush();
  }
}
