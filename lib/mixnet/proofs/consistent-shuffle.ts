/**
 * The commitment-consistent proof of a shuffle (CCPoS, VF 10): the lists were shuffled by the permutation that u~
 * commits to, u~ being the part of an earlier, proven commitment that a keep list selects.
 */
import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { leaf, node, type Tree } from '../byte-tree/tree.ts';
import { elementTree, readElement } from '../groups/tree-codec.ts';
import { type Elements, filter, gather, type Scalars, slice } from '../groups/vectors.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import type { Equation } from './equations.ts';
import { type Observer, octetsText } from './observer.ts';
import {
  batchedCommitmentEquation,
  blindedProduct,
  type CiphertextProduct,
  ciphertextEquations,
  type ShuffledLists,
  type ShuffleStatement,
  type ShuffleWitness,
  shuffleSeed,
} from './proof-of-shuffle.ts';

export interface ConsistencyCommitment {
  readonly Ap: Elements;
  readonly Bp: CiphertextProduct;
}

export interface ConsistencyReply {
  readonly kA: Scalars;
  readonly kB: readonly Scalars[];
  readonly kE: Scalars;
}

export interface ConsistencyStatement extends ShuffleStatement {
  readonly lists: ShuffledLists;
}

/** Where a precomputed permutation of `pi.length` places sends the first `count` of them. */
export function keepList(pi: Uint32Array, count: number): boolean[] {
  const keep = new Array<boolean>(pi.length).fill(false);
  for (let i = 0; i < count; i++) keep[pi[i]!] = true;
  return keep;
}

/** The witness for the first `count` ciphertexts: ranks of the kept places. */
export function shrinkWitness(witness: ShuffleWitness, count: number): { pi: Uint32Array; r: Scalars } {
  const rank = new Uint32Array(witness.pi.length);
  let next = 0;
  keepList(witness.pi, count).forEach((kept, place) => {
    if (kept) rank[place] = next++;
  });
  return { pi: witness.pi.slice(0, count).map((place) => rank[place]!), r: slice(witness.r, 0, count) };
}

/** `(h~, u~)` of a commitment of `keep.length` places; refuses a keep list that does not keep `count` of them. */
export function shrinkCommitment(
  h: Elements,
  u: Elements,
  keep: readonly boolean[],
  count: number,
): { h: Elements; u: Elements } {
  const kept = keep.filter(Boolean).length;
  if (keep.length !== u.length || kept !== count) {
    throw new Refusal(
      'keep-list-invalid',
      `the keep list keeps ${kept} of ${keep.length} places, ${count} of ${u.length} are needed`,
    );
  }
  return { h: slice(h, 0, count), u: filter(u, keep) };
}

export function proveConsistency(
  session: MixSession,
  statement: ConsistencyStatement,
  witness: Required<ShuffleWitness>,
): { commitment: ConsistencyCommitment; reply: ConsistencyReply } {
  const { group } = session;
  const { ring } = group;
  const count = statement.h.length;
  const seed = shuffleSeed(session, statement);
  const e = session.batchingVector(seed, count);
  const ep = gather(e, witness.pi);
  const alpha = ring.random(1);
  const beta = witness.s.map(() => ring.random(1));
  const eps = session.randomNonces(count);
  const commitment = {
    Ap: group.multiply(group.powerOfFixed(group.generator, alpha), group.multiPower(statement.h, eps)),
    Bp: blindedProduct(session, statement.lists, beta, eps),
  };
  const v = session.challengeScalar(consistencyChallenge(session, seed, commitment));
  const blind = (value: Scalars, nonce: Scalars): Scalars => ring.multiplyAdd(value, v, nonce);
  return {
    commitment,
    reply: {
      kA: blind(ring.innerProduct(witness.r, ep), alpha),
      kB: witness.s.map((s, c) => blind(ring.innerProduct(s, e), beta[c]!)),
      kE: blind(ep, eps),
    },
  };
}

function consistencyChallenge(
  session: MixSession,
  seed: Uint8Array,
  commitment: ConsistencyCommitment,
): Uint8Array {
  return session.challenge(node(leaf(seed), consistencyCommitmentTree(session, commitment)));
}

/** The equations that hold for a valid proof. */
export function consistencyEquations(
  session: MixSession,
  statement: ConsistencyStatement,
  commitment: ConsistencyCommitment,
  reply: ConsistencyReply,
  observe?: Observer,
): Equation[] {
  const seed = shuffleSeed(session, statement);
  const e = session.batchingVector(seed, statement.h.length);
  const challenge = consistencyChallenge(session, seed, commitment);
  observe?.('CCPoS.s', octetsText(seed));
  observe?.('CCPoS.v', octetsText(challenge));
  const v = session.challengeScalar(challenge);
  return [
    batchedCommitmentEquation(session, statement, commitment.Ap, reply.kA, reply.kE, e, v),
    ...ciphertextEquations(session, statement.lists, commitment.Bp, reply.kE, reply.kB, e, v, 'B'),
  ];
}

export function consistencyCommitmentTree(session: MixSession, { Ap, Bp }: ConsistencyCommitment): Tree {
  const { codec } = session;
  return node(elementTree(session.group, Ap), node(codec.plaintext(Bp.u), codec.plaintext(Bp.v)));
}

export function readConsistencyCommitment(
  session: MixSession,
  reader: ByteTreeReader,
  what: string,
): ConsistencyCommitment {
  const { codec } = session;
  reader.node(2);
  const Ap = readElement(session.group, reader, what);
  reader.node(2);
  return { Ap, Bp: { u: codec.readPlaintext(reader, what), v: codec.readPlaintext(reader, what) } };
}

export function consistencyReplyTree(session: MixSession, { kA, kB, kE }: ConsistencyReply): Tree {
  const { ring } = session.group;
  return node(ring.scalarTree(kA), session.codec.randomness(kB), ring.arrayTree(kE));
}

export function readConsistencyReply(
  session: MixSession,
  reader: ByteTreeReader,
  count: number,
): ConsistencyReply {
  const { ring } = session.group;
  reader.node(3);
  return {
    kA: ring.readScalar(reader),
    kB: session.codec.readRandomness(reader),
    kE: ring.readArray(reader, count),
  };
}
