/** Group operations, slow and obvious: square and multiply on one element at a time, affine formulas on the curve. */
import type { Group } from '../../lib/mixnet/groups/group.ts';
import { type Elements, item } from '../../lib/mixnet/groups/vectors.ts';

const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;

export interface Oracle<T> {
  readonly one: T;
  multiply(a: T, b: T): T;
  parse(text: string): T;
  format(value: T): string;
}

export function modulo(value: bigint, modulus: bigint): bigint {
  return ((value % modulus) + modulus) % modulus;
}

export function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = (result * base) % modulus;
  }
  return result;
}

type Point = { x: bigint; y: bigint } | null;

/** The textbook addition on P-256; `null` is infinity. */
export const curveOracle: Oracle<Point> = {
  one: null,
  multiply(a, b) {
    if (a === null) return b;
    if (b === null) return a;
    if (a.x === b.x && modulo(a.y + b.y, p) === 0n) return null;
    const slope =
      a.x === b.x
        ? (3n * a.x * a.x - 3n) * power(modulo(2n * a.y, p), p - 2n, p)
        : (b.y - a.y) * power(modulo(b.x - a.x, p), p - 2n, p);
    const x = modulo(slope * slope - a.x - b.x, p);
    return { x, y: modulo(slope * (a.x - x) - a.y, p) };
  },
  parse: (text) =>
    text === '00' ? null : { x: BigInt(`0x${text.slice(2, 66)}`), y: BigInt(`0x${text.slice(66)}`) },
  format: (point) =>
    point === null
      ? '00'
      : `04${point.x.toString(16).padStart(64, '0')}${point.y.toString(16).padStart(64, '0')}`,
};

export const modpOracle = (prime: bigint): Oracle<bigint> => ({
  one: 1n,
  multiply: (a, b) => (a * b) % prime,
  parse: BigInt,
  format: String,
});

export function powerBy<T>(oracle: Oracle<T>, base: T, exponent: bigint): T {
  let result = oracle.one;
  for (const bit of exponent.toString(2)) {
    result = oracle.multiply(result, result);
    if (bit === '1') result = oracle.multiply(result, base);
  }
  return result;
}

export const texts = (group: Group, v: Elements): string[] =>
  Array.from({ length: v.length }, (_, i) => group.elementText(item(v, i), 0));
