// SHA-256 of a seed of 32 octets followed by a counter of 4 (docs/specification/proofs.md, 2.2): one block of the
// compression function, four counters at a time, one in each lane. FIPS 180-4, sections 4.1.2 and 6.2.2.

const ROUND_CONSTANTS: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const INITIAL: usize = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);
const schedule: usize = memory.data(64 * 16, 16);

// @ts-ignore: decorator
@inline function rotate(x: v128, n: i32): v128 {
  return v128.or(i32x4.shr_u(x, n), i32x4.shl(x, 32 - n));
}

// @ts-ignore: decorator
@inline function xor3(a: v128, b: v128, c: v128): v128 { return v128.xor(a, v128.xor(b, c)); }

// @ts-ignore: decorator
@inline function constant(from: usize, i: usize): v128 { return i32x4.splat(load<i32>(from + 4 * i)); }

function prepare(seed: usize, counter: u32): void {
  for (let i: usize = 0; i < 8; i++) v128.store(schedule + 16 * i, i32x4.splat(<i32>bswap<u32>(load<u32>(seed + 4 * i))));
  v128.store(schedule + 128, i32x4.add(i32x4.splat(<i32>counter), i32x4(0, 1, 2, 3)));
  v128.store(schedule + 144, i32x4.splat(<i32>0x80000000));
  for (let i: usize = 10; i < 15; i++) v128.store(schedule + 16 * i, i32x4.splat(0));
  v128.store(schedule + 240, i32x4.splat(36 * 8));
  for (let i: usize = 16; i < 64; i++) {
    const w15 = v128.load(schedule + 16 * (i - 15)), w2 = v128.load(schedule + 16 * (i - 2));
    const s0 = xor3(rotate(w15, 7), rotate(w15, 18), i32x4.shr_u(w15, 3));
    const s1 = xor3(rotate(w2, 17), rotate(w2, 19), i32x4.shr_u(w2, 10));
    const sum = i32x4.add(v128.load(schedule + 16 * (i - 16)), v128.load(schedule + 16 * (i - 7)));
    v128.store(schedule + 16 * i, i32x4.add(sum, i32x4.add(s0, s1)));
  }
}

// @ts-ignore: decorator
@inline function storeLanes(out: usize, word: usize, x: v128): void {
  const h = i32x4.add(x, constant(INITIAL, word)), at = out + 4 * word;
  store<u32>(at, bswap<u32>(<u32>i32x4.extract_lane(h, 0)));
  store<u32>(at, bswap<u32>(<u32>i32x4.extract_lane(h, 1)), 32);
  store<u32>(at, bswap<u32>(<u32>i32x4.extract_lane(h, 2)), 64);
  store<u32>(at, bswap<u32>(<u32>i32x4.extract_lane(h, 3)), 96);
}

/** The digests for `counter` to `counter + 4·quads - 1`, 32 octets each. */
export function digests(out: usize, seed: usize, counter: u32, quads: i32): void {
  for (; quads > 0; quads--) {
    prepare(seed, counter);
    let a = constant(INITIAL, 0), b = constant(INITIAL, 1), c = constant(INITIAL, 2), d = constant(INITIAL, 3);
    let e = constant(INITIAL, 4), f = constant(INITIAL, 5), g = constant(INITIAL, 6), h = constant(INITIAL, 7);
    for (let i: usize = 0; i < 64; i++) {
      const s1 = xor3(rotate(e, 6), rotate(e, 11), rotate(e, 25)), choice = v128.bitselect(f, g, e);
      const t1 = i32x4.add(i32x4.add(h, s1), i32x4.add(choice, i32x4.add(constant(ROUND_CONSTANTS, i), v128.load(schedule + 16 * i))));
      const s0 = xor3(rotate(a, 2), rotate(a, 13), rotate(a, 22)), majority = v128.bitselect(c, a, v128.xor(a, b));
      h = g; g = f; f = e; e = i32x4.add(d, t1);
      d = c; c = b; b = a; a = i32x4.add(t1, i32x4.add(s0, majority));
    }
    storeLanes(out, 0, a); storeLanes(out, 1, b); storeLanes(out, 2, c); storeLanes(out, 3, d);
    storeLanes(out, 4, e); storeLanes(out, 5, f); storeLanes(out, 6, g); storeLanes(out, 7, h);
    out += 128; counter += 4;
  }
}

export function heapBase(): usize { return __heap_base; }
