// 32 big-endian octets to and from nine limbs of 29 bits. No reduction: the value may be anything below 2^256.

export function readOctets(o: usize, octets: usize): void {
  const w0 = bswap<u64>(load<u64>(octets, 24)),
    w1 = bswap<u64>(load<u64>(octets, 16));
  const w2 = bswap<u64>(load<u64>(octets, 8)),
    w3 = bswap<u64>(load<u64>(octets));
  const M: u64 = 0x1fffffff;
  store<u32>(o, <u32>(w0 & M), 0);
  store<u32>(o, <u32>((w0 >> 29) & M), 4);
  store<u32>(o, <u32>(((w0 >> 58) | (w1 << 6)) & M), 8);
  store<u32>(o, <u32>((w1 >> 23) & M), 12);
  store<u32>(o, <u32>(((w1 >> 52) | (w2 << 12)) & M), 16);
  store<u32>(o, <u32>((w2 >> 17) & M), 20);
  store<u32>(o, <u32>(((w2 >> 46) | (w3 << 18)) & M), 24);
  store<u32>(o, <u32>((w3 >> 11) & M), 28);
  store<u32>(o, <u32>(w3 >> 40), 32);
}

/** The limbs must be canonical: each in [0, 2^29), the value below 2^256. */
export function writeOctets(octets: usize, a: usize): void {
  const l0 = <u64>load<u32>(a, 0),
    l1 = <u64>load<u32>(a, 4),
    l2 = <u64>load<u32>(a, 8);
  const l3 = <u64>load<u32>(a, 12),
    l4 = <u64>load<u32>(a, 16),
    l5 = <u64>load<u32>(a, 20);
  const l6 = <u64>load<u32>(a, 24),
    l7 = <u64>load<u32>(a, 28),
    l8 = <u64>load<u32>(a, 32);
  store<u64>(octets, bswap<u64>(l0 | (l1 << 29) | (l2 << 58)), 24);
  store<u64>(octets, bswap<u64>((l2 >> 6) | (l3 << 23) | (l4 << 52)), 16);
  store<u64>(octets, bswap<u64>((l4 >> 12) | (l5 << 17) | (l6 << 46)), 8);
  store<u64>(octets, bswap<u64>((l6 >> 18) | (l7 << 11) | (l8 << 40)), 0);
}
