// Scalars as signed digits. Scalars come as 32 big-endian octets and are kept as eight little-endian words.

/** n scalars of 32 big-endian octets to little-endian words. */
export function readWords(o: usize, octets: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    store<u64>(o, bswap<u64>(load<u64>(octets, 24)), 0);
    store<u64>(o, bswap<u64>(load<u64>(octets, 16)), 8);
    store<u64>(o, bswap<u64>(load<u64>(octets, 8)), 16);
    store<u64>(o, bswap<u64>(load<u64>(octets)), 24);
    o += 32; octets += 32;
  }
}

/** How many of n scalars (words) have a bit at `bits` or above. */
export function scalarsTooLong(words: usize, n: i32, bits: i32): i32 {
  let count = 0;
  for (let i = 0; i < n; i++) {
    let excess: u32 = 0;
    for (let w = 0; w < 8; w++) {
      const low = bits - 32 * w;
      const value = load<u32>(words + 4 * <usize>w);
      if (low <= 0) excess |= value; else if (low < 32) excess |= value >> low;
    }
    count += <i32>(excess != 0);
    words += 32;
  }
  return count;
}

/** How many windows of `width` bits a scalar of `bits` bits has, with room for the recoding's last carry. */
export function windowCount(width: i32, bits: i32): i32 {
  return (bits + width) / width;
}

/**
 * Booth's digit of a window: the window's bits plus the bit below it, less 2^width if the window's top bit is set; in
 * [-2^(width-1), 2^(width-1)], and without a carry from window to window.
 */
// @ts-ignore: decorator
@inline export function booth(words: usize, window: i32, width: i32): i32 {
  const low = window * width - 1;
  let v: u32;
  if (low < 0) v = load<u32>(words) << 1;
  else {
    const word = low >> 5;
    let x: u64 = word < 8 ? <u64>load<u32>(words + 4 * <usize>word) : 0;
    if (word + 1 < 8) x |= <u64>load<u32>(words + 4 * <usize>(word + 1)) << 32;
    v = <u32>(x >> (low & 31));
  }
  v &= (1 << (width + 1)) - 1;
  const half = <i32>((v + 1) >> 1);
  return (v >> width) & 1 ? half - (1 << width) : half;
}
