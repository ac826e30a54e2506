/**
 * Exponents modulo any prime of up to 4,096 bits: sets the generic module's constants up (BigInt, once for a modulus).
 */

import type { RingExports } from './ring-exports.ts';
import { RingKernel } from './ring-kernel.ts';
import { Arena, loadModule } from './wasm-module.ts';

const LIMB_BITS = 28;
const MAX_BITS = 4096;

type GenericExports = RingExports &
  Readonly<{
    memory: WebAssembly.Memory;
    heapBase(): number;
    setModulus(limbs: number, octets: number, exponentBits: number, negatedInverse: number): void;
    constantAddress(which: number): number;
  }>;

/** @param q an odd prime, as one big-endian octet string; elements have as many octets as q without leading zeros, at least 4 */
export function genericRing(q: Uint8Array): RingKernel {
  const modulus = BigInt(`0x${Buffer.from(q).toString('hex')}`);
  const bits = modulus.toString(2).length;
  if (bits < 3 || bits > MAX_BITS || modulus % 2n === 0n) {
    throw new RangeError(`the modulus must be odd, of 3 to ${MAX_BITS} bits`);
  }
  const octets = Math.max(4, Math.ceil(bits / 8));
  // room for a sum of two elements of full octets, and two bits for what Montgomery products leave above q
  const limbs = Math.ceil((8 * octets + 3) / LIMB_BITS);
  const exports = new WebAssembly.Instance(loadModule('generic')).exports as unknown as GenericExports;
  const r = 1n << BigInt(LIMB_BITS * limbs);
  const full = 1n << BigInt(8 * octets);
  const constants = [
    modulus,
    ((full + modulus - 1n) / modulus) * modulus,
    r % modulus,
    (r * r) % modulus,
    (full * r) % modulus,
    modulus - 2n,
  ];
  constants.forEach((value, which) => {
    const words = new Uint32Array(exports.memory.buffer, exports.constantAddress(which), limbs);
    for (let i = 0; i < limbs; i++) words[i] = Number((value >> BigInt(LIMB_BITS * i)) & 0xfffffffn);
  });
  exports.setModulus(limbs, octets, bits, negatedInverse(modulus));
  return new RingKernel(exports, new Arena(exports.memory, exports.heapBase()), octets, limbs);
}

/** -1/q mod 2^28, by Newton's iteration. */
function negatedInverse(q: bigint): number {
  const word = 1n << BigInt(LIMB_BITS);
  let inverse = 1n;
  for (let exact = 1; exact < LIMB_BITS; exact *= 2) inverse = (inverse * (2n - q * inverse)) % word;
  return Number(((-inverse % word) + word) % word);
}
