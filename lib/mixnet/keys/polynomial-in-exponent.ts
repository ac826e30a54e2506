/**
 * The joint polynomial in the exponent, `Y_0 … Y_d` with `Y_i = g^{P_i}`, and what follows from it: the joint key
 * `y = Y_0`, the parties' public keys `y_l = prod Y_i^{l^i}` and the modified Lagrange coefficients (VF 11).
 */
import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { node, type Tree } from '../byte-tree/tree.ts';
import type { PublicKey } from '../elgamal/ciphertexts.ts';
import type { ProductCodec } from '../elgamal/shape.ts';
import type { Group } from '../groups/group.ts';
import { type Elements, join, type Scalars } from '../groups/vectors.ts';
import { Refusal } from '../refusal.ts';

/** One vector of coefficients per key part, all of the same length, the last coefficient not the identity. */
export interface PolynomialInExponent {
  readonly coefficients: readonly Elements[];
}

/** Removes identities at the end, of which a sum of polynomials may have some. */
export function polynomialOf(group: Group, coefficients: readonly Elements[]): PolynomialInExponent {
  let length = coefficients[0]!.length;
  while (length > 1 && coefficients.every((v) => group.isIdentity(v, length - 1))) length--;
  return {
    coefficients: coefficients.map((v) => ({
      ...v,
      length,
      bytes: v.bytes.subarray(0, length * v.stride),
    })),
  };
}

export function polynomialTree(codec: ProductCodec, { coefficients }: PolynomialInExponent): Tree {
  const count = coefficients[0]!.length;
  return node(...Array.from({ length: count }, (_, i) => codec.keyElement(coefficients, i)));
}

/** At most `threshold` coefficients; identities at the end are not canonical. */
export function readPolynomial(
  codec: ProductCodec,
  reader: ByteTreeReader,
  threshold: number,
  what: string,
): PolynomialInExponent {
  const count = reader.node();
  if (count < 1 || count > threshold) {
    throw new Refusal(
      'polynomial-degree-too-large',
      `${what}: ${count} coefficients, the threshold ${threshold} allows 1 to ${threshold}`,
    );
  }
  const items = Array.from({ length: count }, () => codec.readKeyElement(reader, what));
  const coefficients = items[0]!.map((first, j) => join(first, ...items.slice(1).map((parts) => parts[j]!)));
  const polynomial = polynomialOf(codec.group, coefficients);
  if (polynomial.coefficients[0]!.length !== count) {
    throw new Refusal('polynomial-not-canonical', `${what}: the last coefficient is the identity`);
  }
  return polynomial;
}

/** `y = Y_0`. */
export function jointKey({ coefficients }: PolynomialInExponent): PublicKey {
  return { y: coefficients.map((v) => ({ ...v, length: 1, bytes: v.bytes.subarray(0, v.stride) })) };
}

/** `y_l`, one vector of length one per key part; l from 1. */
export function partyKey(group: Group, { coefficients }: PolynomialInExponent, party: number): Elements[] {
  return coefficients.map((v) =>
    group.multiPower(
      v,
      group.ring.ofAll(Array.from({ length: v.length }, (_, i) => BigInt(party) ** BigInt(i))),
    ),
  );
}

/** `F = lcm(1 … k)^2`. */
export function lagrangeFactor(parties: number): bigint {
  let lcm = 1n;
  for (let i = 2n; i <= BigInt(parties); i++) lcm = (lcm / greatestCommonDivisor(lcm, i)) * i;
  return lcm * lcm;
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestCommonDivisor(b, a % b);
}

/** `1 / F` modulo q. */
export function inverseLagrangeFactor(group: Group, parties: number): Scalars {
  return group.ring.of(group.ring.inverseOf(lagrangeFactor(parties)));
}

/** `lambda_l = F prod j / (j - l)` over the other indices j, as a small integer. */
export function lagrangeCoefficient(parties: number, indices: readonly number[], party: number): bigint {
  let [numerator, denominator] = [lagrangeFactor(parties), 1n];
  for (const j of indices) {
    if (j === party) continue;
    numerator *= BigInt(j);
    denominator *= BigInt(j - party);
  }
  if (numerator % denominator !== 0n) throw new RangeError('the modified Lagrange coefficient is no integer');
  return numerator / denominator;
}
