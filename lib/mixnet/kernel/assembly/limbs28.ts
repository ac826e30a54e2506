// Big-endian octets to and from unsigned limbs of 28 bits, least significant first.

export function readLimbs(o: usize, limbs: i32, octets: usize, width: usize): void {
  let bits: u64 = 0, have: u32 = 0, at = octets + width;
  const end = o + 4 * <usize>limbs;
  for (; o < end; o += 4) {
    while (have < 28 && at > octets) {
      bits |= <u64>load<u8>(--at) << have;
      have += 8;
    }
    store<u32>(o, <u32>(bits & 0xfffffff));
    bits >>= 28;
    have = have < 28 ? 0 : have - 28;
  }
}

export function writeLimbs(octets: usize, width: usize, a: usize): void {
  let bits: u64 = 0, have: u32 = 0, at = octets + width;
  while (at > octets) {
    if (have < 8) {
      bits |= <u64>load<u32>(a) << have;
      have += 28;
      a += 4;
    }
    store<u8>(--at, <u8>bits);
    bits >>= 8;
    have -= 8;
  }
}
