/**
 * Writes the AssemblyScript source of the arithmetic modulo the order of P-256: one Montgomery product, nine unsigned
 * limbs of 29 bits, R = 2^261, and the constants that `assembly/ring.ts` asks of a modulus.
 *
 * Bound: limbs of `a` below 2^30, of `b` below 2^29, a·b < q·R; then every column sum is below
 * 9·(2^59 + 2^58) + 2^35 < 2^63 and the result is below 2q with limbs below 2^29.
 */
import { LIMB_BITS, LIMBS, limbsOf, P256_ORDER } from './p256-field.ts';

const R = 2n ** BigInt(LIMBS * LIMB_BITS);

/** -1/q mod 2^29 by Newton's iteration. */
function negatedInverse(): bigint {
  const word = 1n << BigInt(LIMB_BITS);
  let inverse = 1n;
  for (let bits = 1; bits < LIMB_BITS; bits *= 2) inverse = (inverse * (2n - P256_ORDER * inverse)) % word;
  return (((-inverse % word) + word) % word) as bigint;
}

function product(): string {
  const q = limbsOf(P256_ORDER);
  const lines = ['export function montgomery(o: usize, a: usize, b: usize): void {'];
  for (let i = 0; i < LIMBS; i++) {
    lines.push(`  const a${i}: u64 = load<u32>(a, ${4 * i}), b${i}: u64 = load<u32>(b, ${4 * i});`);
  }
  lines.push('  let t: u64 = 0, c: u64 = 0;');
  for (let column = 0; column <= 2 * LIMBS - 2; column++) {
    const terms = ['c'];
    for (let i = Math.max(0, column - LIMBS + 1); i <= Math.min(LIMBS - 1, column); i++) {
      terms.push(`a${i} * b${column - i}`);
      if (i < column) terms.push(`m${i} * ${q[column - i]}`);
    }
    lines.push(`  t = ${terms.join(' + ')};`);
    if (column < LIMBS) {
      lines.push(`  const m${column}: u64 = (t * ${negatedInverse()}) & 0x1fffffff;`);
      lines.push(`  c = (t + m${column} * ${q[0]}) >> ${LIMB_BITS};`);
    } else {
      lines.push(`  store<u32>(o, <u32>(t & 0x1fffffff), ${4 * (column - LIMBS)}); c = t >> ${LIMB_BITS};`);
    }
  }
  lines.push(`  store<u32>(o, <u32>c, ${4 * (LIMBS - 1)});`, '}');
  return lines.join('\n');
}

function constant(name: string, value: bigint): string {
  return `export const ${name}: usize = memory.data<u32>([${limbsOf(value).join(', ')}], 16);`;
}

/** The module `modulus` as the P-256 kernel has it; `assembly/generic/modulus.ts` has the same names. */
export function p256OrderSource(): string {
  return [
    '// Written by build/p256-order.ts.',
    'import { readOctets, writeOctets } from "./p256/octets";',
    'export const LIMBS: i32 = 9;',
    'export const LIMB_BITS: i32 = 29;',
    'export const OCTETS: usize = 32;',
    constant('MODULUS', P256_ORDER),
    constant('MULTIPLE', 2n * P256_ORDER),
    constant('ONE', R % P256_ORDER),
    constant('R2', (R * R) % P256_ORDER),
    constant('SHIFT', (2n ** 256n * R) % P256_ORDER),
    constant('EXPONENT', P256_ORDER - 2n),
    'export const EXPONENT_BITS: i32 = 256;',
    'export function readScalar(o: usize, octets: usize): void { readOctets(o, octets); }',
    'export function writeScalar(octets: usize, a: usize): void { writeOctets(octets, a); }',
    product(),
    '',
  ].join('\n');
}
