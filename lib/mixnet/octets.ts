/**
 * Octet strings: the few conversions that all of the mix-net shares. Integers are big endian throughout (VF, notation).
 */
import { timingSafeEqual } from 'node:crypto';

export function uint32(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0x7fffffff) {
    throw new RangeError(`not a non-negative 31-bit integer: ${value}`);
  }
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

export function concatenate(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A view of the same memory; `Buffer` only for its fast conversions. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function hex(bytes: Uint8Array): string {
  return buffer(bytes).toString('hex');
}

/** Lower- or upper-case hex of whole octets; `null` for anything else. */
export function fromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export function toBigInt(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${hex(bytes)}`);
}

/** `value >= 0` in exactly `width` octets. */
export function fromBigInt(value: bigint, width: number): Uint8Array {
  const out = new Uint8Array(width);
  writeBigInt(value, out, 0, width);
  return out;
}

export function writeBigInt(value: bigint, out: Uint8Array, at: number, width: number): void {
  const text = value === 0n ? '0'.repeat(2 * width) : value.toString(16).padStart(2 * width, '0');
  if (value < 0n || text.length > 2 * width) throw new RangeError(`integer does not fit ${width} octets`);
  buffer(out).write(text, at, width, 'hex');
}

export function bitLength(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

/** Length of `java.math.BigInteger.toByteArray()` of a non-negative number: room for a sign bit (VF 1). */
export function signedWidth(value: bigint): number {
  return Math.floor(bitLength(value) / 8) + 1;
}

export function equalOctets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Hex of whole octets without leading zero octets, as `vmnv -t` prints. */
export function shortHex(bytes: Uint8Array): string {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from++;
  return hex(bytes.subarray(from));
}
