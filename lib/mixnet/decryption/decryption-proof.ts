/**
 * Threshold decryption with one joint batched proof (VF 11): decryption factors, commitments, challenge, replies,
 * individual verification and the combination.
 *
 * The factors of party l are `f_l = u^{-x_l / F}`. A party that takes no part is written as all ones; it is still part
 * of what is hashed.
 */

import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { leaf, node, type Tree } from '../byte-tree/tree.ts';
import { type Ciphertexts, ciphertextsTree } from '../elgamal/ciphertexts.ts';
import { componentCount, keyPart } from '../elgamal/shape.ts';
import type { Group } from '../groups/group.ts';
import type { Elements, Scalars } from '../groups/vectors.ts';
import {
  inverseLagrangeFactor,
  lagrangeCoefficient,
  type PolynomialInExponent,
  partyKey,
  polynomialTree,
} from '../keys/polynomial-in-exponent.ts';
import { hex } from '../octets.ts';
import { type Equation, failingEquations } from '../proofs/equations.ts';
import { Refusal } from '../refusal.ts';
import { Recent } from '../session/recent.ts';
import type { MixSession } from '../session/session.ts';

/** One vector per component. */
export type DecryptionFactors = readonly Elements[];

export interface DecryptionCommitment {
  /** `y'_l`, per key part. */
  readonly yp: readonly Elements[];
  /** `B'_l`, per component. */
  readonly Bp: readonly Elements[];
}

/** `k_l`, per key part. */
export type DecryptionReply = readonly Scalars[];

/** What the factors of all parties are about. `factors[l - 1]` belongs to party l. */
export interface DecryptionStatement {
  readonly list: Ciphertexts;
  readonly polynomial: PolynomialInExponent;
  readonly factors: readonly DecryptionFactors[];
}

/** `f_l`. `share` is `x_l`, one scalar per key part. */
export function decryptionFactors(
  session: MixSession,
  list: Ciphertexts,
  share: readonly Scalars[],
): DecryptionFactors {
  const { group, parties } = session;
  const inverseFactor = inverseLagrangeFactor(group, parties);
  return list.u.map((u, c) => {
    const x = share[keyPart(session.shape, c)]!;
    return group.powerBySecret(u, group.ring.negate(group.ring.multiply(x, inverseFactor)));
  });
}

/** The factors of a party that takes no part. */
export function trivialFactors(session: MixSession, length: number): DecryptionFactors {
  return Array.from({ length: componentCount(session.shape) }, () => session.group.identity(length));
}

export function trivialCommitment(session: MixSession): DecryptionCommitment {
  const one = session.group.identity(1);
  return {
    yp: Array.from({ length: session.shape.keyWidth }, () => one),
    Bp: Array.from({ length: componentCount(session.shape) }, () => one),
  };
}

export function trivialReply(session: MixSession): DecryptionReply {
  return Array.from({ length: session.shape.keyWidth }, () => session.group.ring.of(0n));
}

/** Seed of the batching vector, over the list and the factors of all parties. */
export function decryptionSeed(session: MixSession, statement: DecryptionStatement): Uint8Array {
  const { codec, group } = session;
  const generators = Array.from({ length: session.shape.keyWidth }, () => group.generator);
  return session.seed(
    node(
      node(codec.keyElement(generators), ciphertextsTree(codec, statement.list)),
      node(
        polynomialTree(codec, statement.polynomial),
        node(...statement.factors.map((factors) => codec.plaintexts(factors))),
      ),
    ),
  );
}

export function decryptionChallenge(
  session: MixSession,
  seed: Uint8Array,
  commitments: readonly DecryptionCommitment[],
): Uint8Array {
  const trees = commitments.map((commitment) => decryptionCommitmentTree(session, commitment));
  return session.challenge(node(leaf(seed), node(...trees)));
}

/** By seed, which the list and all factors determine. */
const recentInputs = new Recent<readonly Elements[]>(4);

/** `A = prod u_i^{e_i}`, per component. */
export function batchedInput(
  session: MixSession,
  list: Ciphertexts,
  seed: Uint8Array,
  e: Scalars,
): readonly Elements[] {
  const A = list.u.map((u) => session.group.multiPower(u, e));
  return recentInputs.put(hex(seed), A);
}

/** `y'_l = g^rho`, `B'_l = A^rho`; `rho` per key part. */
export function commitToDecryption(
  session: MixSession,
  A: readonly Elements[],
  rho: readonly Scalars[],
): DecryptionCommitment {
  const { group } = session;
  return {
    yp: rho.map((value) => group.powerOfFixed(group.generator, value)),
    Bp: A.map((base, c) => group.powerBySecret(base, rho[keyPart(session.shape, c)]!)),
  };
}

/** `k_l = -x_l v / F + rho_l`. */
export function replyToChallenge(
  session: MixSession,
  share: readonly Scalars[],
  rho: readonly Scalars[],
  challenge: Uint8Array,
): DecryptionReply {
  const { ring } = session.group;
  const v = session.challengeScalar(challenge);
  const inverseFactor = inverseLagrangeFactor(session.group, session.parties);
  return share.map((x, j) => ring.subtract(rho[j]!, ring.multiply(ring.multiply(x, inverseFactor), v)));
}

/** What the equations of all parties have in common. */
export interface DecryptionChallenge {
  readonly e: Scalars;
  readonly v: Scalars;
  readonly seed: Uint8Array;
}

/** Batching vector and challenge of a statement, with the octets they come from. */
export function challengeOf(
  session: MixSession,
  statement: DecryptionStatement,
  commitments: readonly DecryptionCommitment[],
): DecryptionChallenge & { readonly challenge: Uint8Array } {
  const seed = decryptionSeed(session, statement);
  const challenge = decryptionChallenge(session, seed, commitments);
  return {
    seed,
    challenge,
    e: session.batchingVector(seed, statement.list.length),
    v: session.challengeScalar(challenge),
  };
}

/** The parties, among `active`, whose proofs fail. */
export function partiesFailingDecryption(
  session: MixSession,
  statement: DecryptionStatement,
  commitments: readonly DecryptionCommitment[],
  replies: readonly DecryptionReply[],
  active: readonly number[],
): number[] {
  const { group } = session;
  if (active.length === 0) return [];
  const challenge = challengeOf(session, statement, commitments);
  const equations = active.flatMap((party) =>
    decryptionEquations(
      session,
      statement,
      party,
      { commitment: commitments[party - 1]!, reply: replies[party - 1]! },
      challenge,
    ),
  );
  const failing = new Set(failingEquations(group, equations).map(Number));
  return active.filter((party) => failing.has(party));
}

/**
 * The equations of one party: `y_l^{-v/F} y'_l = g^{k_l}` and `(prod f_{l,i}^{e_i})^v B'_l = A^{k_l}`. Unless this
 * thread knows A, its power goes into the product that the caller evaluates.
 */
export function decryptionEquations(
  session: MixSession,
  statement: DecryptionStatement,
  party: number,
  { commitment, reply }: { commitment: DecryptionCommitment; reply: DecryptionReply },
  { e, v, seed }: DecryptionChallenge,
): Equation[] {
  const { group } = session;
  const { ring } = group;
  const name = String(party);
  const A = recentInputs.get(hex(seed));
  const keys = partyKey(group, statement.polynomial, party);
  const scaled = ring.multiply(v, inverseLagrangeFactor(group, session.parties));
  const keyEquations = keys.map(
    (y, j): Equation => ({
      name,
      addTo(product) {
        const t = product.weights();
        product.lower(y, scaled, t);
        product.raise(commitment.yp[j]!, t);
        product.lower(group.generator, reply[j]!, t);
      },
    }),
  );
  const factorEquations = statement.factors[party - 1]!.map(
    (factors, c): Equation => ({
      name,
      addTo(product) {
        const t = product.weights();
        product.raise(factors, e, ring.multiply(v, t));
        product.raise(commitment.Bp[c]!, t);
        const weighted = ring.multiply(reply[keyPart(session.shape, c)]!, t);
        if (A === undefined) product.lower(statement.list.u[c]!, e, weighted);
        else product.lower(A[c]!, weighted);
      },
    }),
  );
  return [...keyEquations, ...factorEquations];
}

/** The first t parties whose factors are correct: those that are combined. */
export function combiningParties(session: MixSession, correct: readonly number[]): number[] {
  const chosen = [...correct].sort((a, b) => a - b).slice(0, session.threshold);
  if (chosen.length < session.threshold) {
    throw new Refusal(
      'too-few-decryptors',
      `${chosen.length} parties decrypted correctly, ${session.threshold} are needed`,
    );
  }
  return chosen;
}

/** `m_i = v_i prod f_{l,i}^{lambda_l}`. */
export function combinePlaintexts(
  session: MixSession,
  list: Ciphertexts,
  factors: readonly DecryptionFactors[],
  correct: readonly number[],
): Elements[] {
  const { group, parties } = session;
  const chosen = combiningParties(session, correct);
  return list.v.map((v, c) => {
    let plaintexts = v;
    for (const party of chosen) {
      const lambda = lagrangeCoefficient(parties, chosen, party);
      const base = lambda < 0n ? group.invert(factors[party - 1]![c]!) : factors[party - 1]![c]!;
      plaintexts = group.multiply(plaintexts, smallPower(group, base, lambda < 0n ? -lambda : lambda));
    }
    return plaintexts;
  });
}

/** `bases^exponent` for a positive exponent of few bits: products of whole vectors are cheaper than powers. */
function smallPower(group: Group, bases: Elements, exponent: bigint): Elements {
  let result = bases;
  for (const bit of exponent.toString(2).slice(1)) {
    result = group.multiply(result, result);
    if (bit === '1') result = group.multiply(result, bases);
  }
  return result;
}

/** Every plaintext follows from the factors: the same equation, for all at once. */
export function plaintextEquations(
  session: MixSession,
  list: Ciphertexts,
  factors: readonly DecryptionFactors[],
  correct: readonly number[],
  plaintexts: readonly Elements[],
): Equation[] {
  const { group, parties } = session;
  const { ring } = group;
  const chosen = combiningParties(session, correct);
  return plaintexts.map(
    (m, c): Equation => ({
      name: 'plaintexts',
      addTo(product) {
        const t = product.weights(m.length);
        product.raise(list.v[c]!, t);
        product.lower(m, t);
        for (const party of chosen) {
          const lambda = lagrangeCoefficient(parties, chosen, party);
          const size = ring.of(lambda < 0n ? -lambda : lambda);
          if (lambda < 0n) product.lower(factors[party - 1]![c]!, t, size);
          else product.raise(factors[party - 1]![c]!, t, size);
        }
      },
    }),
  );
}

export function decryptionCommitmentTree(session: MixSession, { yp, Bp }: DecryptionCommitment): Tree {
  return node(session.codec.keyElement(yp), session.codec.plaintext(Bp));
}

export function readDecryptionCommitment(
  session: MixSession,
  reader: ByteTreeReader,
  what: string,
): DecryptionCommitment {
  reader.node(2);
  return {
    yp: session.codec.readKeyElement(reader, what),
    Bp: session.codec.readPlaintext(reader, what),
  };
}
