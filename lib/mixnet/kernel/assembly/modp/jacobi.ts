// The Jacobi symbol, by the binary algorithm (Shallit and Sorenson, "A binary algorithm for the Jacobi symbol", 1993):
// for a prime p it says who is a square. Variable-time; what is tested for membership is public.

// a and n as little-endian 64-bit words
const words: usize = memory.data(2 * 512, 16);

function readWords(o: usize, octets: usize, width: usize, count: usize): void {
  memory.fill(o, 0, 8 * count);
  for (let i: usize = 0; i < width; i++) store<u8>(o + i, load<u8>(octets + width - 1 - i));
}

/** Strips the trailing zeros of a non-zero number of `count` words and returns how many there were. */
function stripZeros(a: usize, count: usize): u32 {
  let zeros: u32 = 0;
  while (load<u64>(a) == 0) {
    memory.copy(a, a + 8, 8 * (count - 1));
    store<u64>(a + 8 * (count - 1), 0);
    zeros += 64;
  }
  const shift = ctz<u64>(load<u64>(a));
  if (shift == 0) return zeros;
  let low = load<u64>(a);
  for (let i: usize = 0; i + 1 < count; i++) {
    const high = load<u64>(a + 8 * i, 8);
    store<u64>(a + 8 * i, (low >> shift) | (high << (64 - shift)));
    low = high;
  }
  store<u64>(a + 8 * (count - 1), low >> shift);
  return zeros + <u32>shift;
}

function isBelow(a: usize, b: usize, count: usize): bool {
  for (let i: usize = 8 * count; i > 0; i -= 8) {
    const x = load<u64>(a + i - 8), y = load<u64>(b + i - 8);
    if (x != y) return x < y;
  }
  return false;
}

/** a -= b, for a >= b; whether anything is left. */
function subtract(a: usize, b: usize, count: usize): bool {
  let borrow: u64 = 0, rest: u64 = 0;
  for (let i: usize = 0; i < 8 * count; i += 8) {
    const x = load<u64>(a + i), y = load<u64>(b + i);
    const d = x - y, e = d - borrow;
    borrow = <u64>(x < y) | <u64>(d < borrow);
    store<u64>(a + i, e);
    rest |= e;
  }
  return rest != 0;
}

/** (number / modulus) for an odd modulus, both of `width` octets, at most 512: -1, 0 or 1. */
export function jacobi(number: usize, modulus: usize, width: usize): i32 {
  let count = (width + 7) >> 3;
  let a = words, n = words + 512;
  readWords(a, number, width, count);
  readWords(n, modulus, width, count);
  let bits: u64 = 0;
  for (let i: usize = 0; i < 8 * count; i += 8) bits |= load<u64>(a + i);
  let negative: u32 = 0, left = bits != 0;
  while (left) {
    const zeros = stripZeros(a, count), low = <u32>load<u64>(n);
    // (2/n) = -1 for n = 3, 5 mod 8
    negative ^= zeros & ((low >> 1) ^ (low >> 2));
    if (isBelow(a, n, count)) {
      // reciprocity: the sign changes if both are 3 mod 4
      negative ^= (<u32>load<u64>(a) & <u32>load<u64>(n)) >> 1;
      const other = a; a = n; n = other;
    }
    left = subtract(a, n, count);
    while (count > 1 && (load<u64>(a + 8 * (count - 1)) | load<u64>(n + 8 * (count - 1))) == 0) count--;
  }
  // n is now the greatest common divisor
  if (load<u64>(n) != 1) return 0;
  for (let i: usize = 1; i < count; i++) if (load<u64>(n + 8 * i) != 0) return 0;
  return negative & 1 ? -1 : 1;
}

/** The index of the first of n numbers that is not between 1 and p - 1 or no square modulo the prime p; n if none. */
export function checkNumbers(numbers: usize, n: i32, prime: usize, width: usize): i32 {
  for (let i = 0; i < n; i++) {
    if (memory.compare(numbers, prime, width) >= 0 || jacobi(numbers, prime, width) != 1) return i;
    numbers += width;
  }
  return n;
}
