/** Slow and obvious P-256 on @noble/curves, and flat arrays from and to what it speaks. */
import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';

export const Point = p256.Point;
export type Point = InstanceType<typeof p256.Point>;
export const ORDER = Point.Fn.ORDER;
export const PRIME = Point.Fp.ORDER;

export function randomScalar(modulus = ORDER): bigint {
  return (
    BigInt(`0x${randomBytes(Math.ceil(modulus.toString(16).length / 2) + 16).toString('hex')}`) % modulus
  );
}

export function randomPoint(): Point {
  return Point.BASE.multiply(1n + randomScalar(ORDER - 1n));
}

export function list<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** Any exponent, any point. */
export function times(point: Point, scalar: bigint): Point {
  const k = scalar % ORDER;
  return k === 0n || point.is0() ? Point.ZERO : point.multiplyUnsafe(k);
}

export function sumOf(points: readonly Point[]): Point {
  return points.reduce((sum, point) => sum.add(point), Point.ZERO);
}

export function pointOctets(...points: readonly Point[]): Uint8Array {
  const out = new Uint8Array(64 * points.length);
  points.forEach((point, i) => {
    if (!point.is0()) out.set(point.toBytes(false).subarray(1), 64 * i);
  });
  return out;
}

export function integerOctets(values: readonly bigint[], width = 32): Uint8Array {
  return new Uint8Array(
    Buffer.concat(values.map((value) => Buffer.from(value.toString(16).padStart(2 * width, '0'), 'hex'))),
  );
}

export function integers(octets: Uint8Array, width = 32): bigint[] {
  return list(octets.length / width, (i) => {
    const text = Buffer.from(octets.subarray(i * width, (i + 1) * width)).toString('hex');
    return BigInt(`0x${text}`);
  });
}

/** One line of hex for each element, so that a failed comparison says which one differs. */
export function lines(octets: Uint8Array, width = 64): string[] {
  return list(octets.length / width, (i) =>
    Buffer.from(octets.subarray(i * width, (i + 1) * width)).toString('hex'),
  );
}
