/**
 * The Terelius–Wikström proof of a shuffle, non-interactive (VF 9), and its part about the permutation commitment
 * alone, the proof of a shuffle of commitments (PoSC, VF 10).
 *
 * Names are those of the formulas: u permutation commitment, w and w' input and output lists, e batching vector.
 * The prover never writes its witness; the verifier never repairs what it reads.
 */
import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { leaf, node, type Tree } from '../byte-tree/tree.ts';
import {
  type Ciphertexts,
  ciphertextsTree,
  type PublicKey,
  wideKey,
  wideKeyTree,
} from '../elgamal/ciphertexts.ts';
import { elementArrayTree, elementTree, readElement, readElementArray } from '../groups/tree-codec.ts';
import { type Elements, gather, item, join, permute, type Scalars, slice } from '../groups/vectors.ts';
import type { MixSession } from '../session/session.ts';
import type { Equation } from './equations.ts';
import {
  arrayText,
  ciphertextText,
  elementText,
  type Observer,
  octetsText,
  randomnessText,
  scalarArrayText,
  scalarText,
} from './observer.ts';

/** The lists of ciphertexts in a proof of a shuffle; a PoSC has none. */
export interface ShuffledLists {
  readonly key: PublicKey;
  readonly input: Ciphertexts;
  readonly output: Ciphertexts;
}

export interface ShuffleStatement {
  readonly h: Elements;
  readonly u: Elements;
  readonly lists?: ShuffledLists;
}

/** `u_{pi(i)} = g^{r_i} h_i` and `w'_j = w_{pi(j)} pk^{s_{pi(j)}}`. */
export interface ShuffleWitness {
  readonly pi: Uint32Array;
  readonly r: Scalars;
  /** One vector per component; absent in a PoSC. */
  readonly s?: readonly Scalars[];
}

/** An element of C: one vector of length one per component and half. */
export interface CiphertextProduct {
  readonly u: readonly Elements[];
  readonly v: readonly Elements[];
}

export interface ShuffleCommitment {
  readonly B: Elements;
  readonly Ap: Elements;
  readonly Bp: Elements;
  readonly Cp: Elements;
  readonly Dp: Elements;
  readonly Fp?: CiphertextProduct;
}

export interface ShuffleReply {
  readonly kA: Scalars;
  readonly kB: Scalars;
  readonly kC: Scalars;
  readonly kD: Scalars;
  readonly kE: Scalars;
  readonly kF?: readonly Scalars[];
}

/** `u_{pi(i)} = g^{r_i} h_i`. */
export function commitToPermutation(session: MixSession, h: Elements, pi: Uint32Array, r: Scalars): Elements {
  const { group } = session;
  return permute(group.productOfFixed([{ base: group.generator, exponents: r }], h), pi);
}

export function shuffleSeed(session: MixSession, statement: ShuffleStatement): Uint8Array {
  const { group, codec } = session;
  const basics = [
    elementTree(group, group.generator),
    elementArrayTree(group, statement.h),
    elementArrayTree(group, statement.u),
  ];
  const { lists } = statement;
  if (lists === undefined) return session.seed(node(...basics));
  return session.seed(
    node(
      ...basics,
      wideKeyTree(codec, lists.key),
      ciphertextsTree(codec, lists.input),
      ciphertextsTree(codec, lists.output),
    ),
  );
}

export function proveShuffle(
  session: MixSession,
  statement: ShuffleStatement,
  witness: ShuffleWitness,
): { commitment: ShuffleCommitment; reply: ShuffleReply } {
  const { group } = session;
  const { ring } = group;
  const count = statement.h.length;
  const seed = shuffleSeed(session, statement);
  const e = session.batchingVector(seed, count);
  const ep = gather(e, witness.pi);

  const [alpha, gamma, delta] = [ring.random(1), ring.random(1), ring.random(1)];
  const [b, beta, eps] = [ring.random(count), ring.random(count), session.randomNonces(count)];
  const x = ring.recurrence(b, ep);
  const y = ring.cumulativeProduct(ep);
  const xBefore = join(ring.of(0n), slice(x, 0, count - 1));
  const yBefore = join(ring.of(1n), slice(y, 0, count - 1));
  const { generator: g } = group;
  const h0 = item(statement.h, 0);
  const commitment: ShuffleCommitment = {
    B: group.productOfFixed([
      { base: g, exponents: x },
      { base: h0, exponents: y },
    ]),
    Ap: group.multiply(group.powerOfFixed(g, alpha), group.multiPower(statement.h, eps)),
    Bp: group.productOfFixed([
      { base: g, exponents: ring.multiplyAdd(xBefore, eps, beta) },
      { base: h0, exponents: ring.multiply(yBefore, eps) },
    ]),
    Cp: group.powerOfFixed(g, gamma),
    Dp: group.powerOfFixed(g, delta),
  };
  const phi = witness.s?.map(() => ring.random(1));
  const Fp = phi && statement.lists ? blindedProduct(session, statement.lists, phi, eps) : undefined;
  const full = Fp === undefined ? commitment : { ...commitment, Fp };

  const v = session.challengeScalar(shuffleChallenge(session, seed, full));
  const blind = (value: Scalars, nonce: Scalars): Scalars => ring.multiplyAdd(value, v, nonce);
  const reply: ShuffleReply = {
    kA: blind(ring.innerProduct(witness.r, ep), alpha),
    kB: blind(b, beta),
    kC: blind(ring.sum(witness.r), gamma),
    kD: blind(item(x, count - 1), delta),
    kE: blind(ep, eps),
  };
  if (phi === undefined || witness.s === undefined) return { commitment: full, reply };
  const kF = witness.s.map((s, c) => blind(ring.innerProduct(s, e), phi[c]!));
  return { commitment: full, reply: { ...reply, kF } };
}

/** `F' = pk^{-phi} prod w'_i^{eps_i}`; also `B'` of a commitment-consistent proof. */
export function blindedProduct(
  session: MixSession,
  lists: ShuffledLists,
  phi: readonly Scalars[],
  eps: Scalars,
): CiphertextProduct {
  const { group } = session;
  const y = wideKey(session.codec, lists.key);
  const part = (base: Elements, bases: Elements, c: number): Elements =>
    group.multiply(group.powerOfFixed(base, group.ring.negate(phi[c]!)), group.multiPower(bases, eps));
  return {
    u: lists.output.u.map((u, c) => part(group.generator, u, c)),
    v: lists.output.v.map((v, c) => part(y[c]!, v, c)),
  };
}

export function shuffleChallenge(
  session: MixSession,
  seed: Uint8Array,
  commitment: ShuffleCommitment,
): Uint8Array {
  return session.challenge(node(leaf(seed), shuffleCommitmentTree(session, commitment)));
}

/**
 * The equations that hold for a valid proof. Elements and scalars are canonical and in the group, as the readers below
 * guarantee. `observe` receives the intermediate values under `<prefix>.…`.
 */
export function shuffleEquations(
  session: MixSession,
  statement: ShuffleStatement,
  commitment: ShuffleCommitment,
  reply: ShuffleReply,
  observe?: Observer,
): Equation[] {
  const seed = shuffleSeed(session, statement);
  const e = session.batchingVector(seed, statement.h.length);
  const challenge = shuffleChallenge(session, seed, commitment);
  if (observe) observeShuffle(session, statement, commitment, reply, { seed, e, challenge }, observe);
  const v = session.challengeScalar(challenge);
  return [
    ...permutationEquations(session, statement, commitment, reply, e, v),
    ...(statement.lists && commitment.Fp && reply.kF
      ? ciphertextEquations(session, statement.lists, commitment.Fp, reply.kE, reply.kF, e, v, 'F')
      : []),
  ];
}

/** The equations A to D of VF 9 step 5. */
function permutationEquations(
  session: MixSession,
  { h, u }: ShuffleStatement,
  { B, Ap, Bp, Cp, Dp }: ShuffleCommitment,
  reply: ShuffleReply,
  e: Scalars,
  v: Scalars,
): Equation[] {
  const { generator: g, ring } = session.group;
  const last = h.length - 1;
  const h0 = item(h, 0);
  return [
    batchedCommitmentEquation(session, { h, u }, Ap, reply.kA, reply.kE, e, v),
    {
      name: 'B',
      addTo(product) {
        const t = product.weights(h.length);
        const kEt = ring.multiply(reply.kE, t);
        product.raise(B, t, v);
        product.raise(Bp, t);
        product.lower(g, ring.innerProduct(reply.kB, t));
        product.lower(h0, item(kEt, 0));
        product.lower(B, join(slice(kEt, 1), ring.of(0n)));
      },
    },
    {
      name: 'C',
      addTo(product) {
        const t = product.weights();
        const vt = ring.multiply(v, t);
        product.raise(u, vt);
        product.lower(h, vt);
        product.raise(Cp, t);
        product.lower(g, reply.kC, t);
      },
    },
    {
      name: 'D',
      addTo(product) {
        const t = product.weights();
        const vt = ring.multiply(v, t);
        product.raise(item(B, last), vt);
        product.lower(h0, ring.product(e), vt);
        product.raise(Dp, t);
        product.lower(g, reply.kD, t);
      },
    },
  ];
}

/** Equation A: `(prod u_i^{e_i})^v A' = g^{k_A} prod h_i^{k_{E,i}}`. */
export function batchedCommitmentEquation(
  { group }: MixSession,
  { h, u }: Pick<ShuffleStatement, 'h' | 'u'>,
  Ap: Elements,
  kA: Scalars,
  kE: Scalars,
  e: Scalars,
  v: Scalars,
): Equation {
  const { ring } = group;
  return {
    name: 'A',
    addTo(product) {
      const t = product.weights();
      product.raise(u, e, ring.multiply(v, t));
      product.raise(Ap, t);
      product.lower(group.generator, kA, t);
      product.lower(h, kE, t);
    },
  };
}

/** Equations F (or B of a CCPoS): `(prod w_i^{e_i})^v F' = pk^{-k_F} prod w'_i^{k_{E,i}}` in every component. */
export function ciphertextEquations(
  session: MixSession,
  { key, input, output }: ShuffledLists,
  Fp: CiphertextProduct,
  kE: Scalars,
  kF: readonly Scalars[],
  e: Scalars,
  v: Scalars,
  name: string,
): Equation[] {
  const { group } = session;
  const { ring } = group;
  const y = wideKey(session.codec, key);
  const equation = (w: Elements, wp: Elements, Fc: Elements, base: Elements, k: Scalars): Equation => ({
    name,
    addTo(product) {
      const t = product.weights();
      product.raise(w, e, ring.multiply(v, t));
      product.raise(Fc, t);
      product.raise(base, k, t);
      product.lower(wp, kE, t);
    },
  });
  return kF.flatMap((k, c) => [
    equation(input.u[c]!, output.u[c]!, Fp.u[c]!, group.generator, k),
    equation(input.v[c]!, output.v[c]!, Fp.v[c]!, y[c]!, k),
  ]);
}

function observeShuffle(
  session: MixSession,
  { h, u, lists }: ShuffleStatement,
  commitment: ShuffleCommitment,
  reply: ShuffleReply,
  { seed, e, challenge }: { seed: Uint8Array; e: Scalars; challenge: Uint8Array },
  observe: Observer,
): void {
  const { group, codec, shape } = session;
  const { ring } = group;
  const name = lists === undefined ? 'PoSC' : 'PoS';
  observe(`${name}.s`, octetsText(seed));
  observe(`${name}.A`, elementText(group, group.multiPower(u, e)));
  if (lists) {
    const F = {
      u: lists.input.u.map((w) => group.multiPower(w, e)),
      v: lists.input.v.map((w) => group.multiPower(w, e)),
    };
    observe(`${name}.F`, ciphertextText(codec, F));
  }
  observe(`${name}.B`, arrayText(group, commitment.B));
  observe(`${name}.Ap`, elementText(group, commitment.Ap));
  observe(`${name}.Bp`, arrayText(group, commitment.Bp));
  observe(`${name}.Cp`, elementText(group, commitment.Cp));
  observe(`${name}.Dp`, elementText(group, commitment.Dp));
  if (commitment.Fp) observe(`${name}.Fp`, ciphertextText(codec, commitment.Fp));
  observe(`${name}.v`, octetsText(challenge));
  observe(`${name}.C`, elementText(group, group.multiply(group.product(u), group.invert(group.product(h)))));
  const exponent = ring.negate(ring.product(e));
  const D = group.multiply(item(commitment.B, h.length - 1), group.power(item(h, 0), exponent));
  observe(`${name}.D`, elementText(group, D));
  observe(`${name}.k_A`, scalarText(reply.kA));
  observe(`${name}.k_B`, scalarArrayText(reply.kB));
  observe(`${name}.k_C`, scalarText(reply.kC));
  observe(`${name}.k_D`, scalarText(reply.kD));
  observe(`${name}.k_E`, scalarArrayText(reply.kE));
  if (reply.kF) observe(`${name}.k_F`, randomnessText(shape, reply.kF));
}

export function shuffleCommitmentTree(session: MixSession, commitment: ShuffleCommitment): Tree {
  const { group, codec } = session;
  const { B, Ap, Bp, Cp, Dp, Fp } = commitment;
  const parts = [
    elementArrayTree(group, B),
    elementTree(group, Ap),
    elementArrayTree(group, Bp),
    elementTree(group, Cp),
    elementTree(group, Dp),
  ];
  return node(...parts, ...(Fp ? [node(codec.plaintext(Fp.u), codec.plaintext(Fp.v))] : []));
}

/** `withLists`: a proof of a shuffle; otherwise a PoSC. `count` is the number of generators. */
export function readShuffleCommitment(
  session: MixSession,
  reader: ByteTreeReader,
  what: string,
  count: number,
  withLists: boolean,
): ShuffleCommitment {
  const { group, codec } = session;
  reader.node(withLists ? 6 : 5);
  const B = readElementArray(group, reader, what, count);
  const Ap = readElement(group, reader, what);
  const Bp = readElementArray(group, reader, what, count);
  const Cp = readElement(group, reader, what);
  const Dp = readElement(group, reader, what);
  if (!withLists) return { B, Ap, Bp, Cp, Dp };
  reader.node(2);
  const Fp = { u: codec.readPlaintext(reader, what), v: codec.readPlaintext(reader, what) };
  return { B, Ap, Bp, Cp, Dp, Fp };
}

export function shuffleReplyTree(session: MixSession, reply: ShuffleReply): Tree {
  const { ring } = session.group;
  return node(
    ring.scalarTree(reply.kA),
    ring.arrayTree(reply.kB),
    ring.scalarTree(reply.kC),
    ring.scalarTree(reply.kD),
    ring.arrayTree(reply.kE),
    ...(reply.kF ? [session.codec.randomness(reply.kF)] : []),
  );
}

export function readShuffleReply(
  session: MixSession,
  reader: ByteTreeReader,
  count: number,
  withLists: boolean,
): ShuffleReply {
  const { ring } = session.group;
  reader.node(withLists ? 6 : 5);
  const reply = {
    kA: ring.readScalar(reader),
    kB: ring.readArray(reader, count),
    kC: ring.readScalar(reader),
    kD: ring.readScalar(reader),
    kE: ring.readArray(reader, count),
  };
  return withLists ? { ...reply, kF: session.codec.readRandomness(reader) } : reply;
}
