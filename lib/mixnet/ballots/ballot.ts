/**
 * Ballots: one ElGamal ciphertext per question, each with a proof that its maker knows the randomness (D45).
 *
 * The proof is Schnorr's: `commitment = g^k`, `response = k + challenge r`, checked by
 * `g^response = commitment alpha^challenge`. Our challenge hashes the election, the session, the group, the key and the
 * whole ciphertext, so that a proof cannot be moved to another election or another `beta`. The original's challenge
 * binds only `alpha` (EO-42); it is accepted beside ours for multiplicative groups, and only where a caller says so.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { node, serialise, textLeaf } from '../byte-tree/tree.ts';
import type { PublicKey } from '../elgamal/ciphertexts.ts';
import type { Group } from '../groups/group.ts';
import { elementTree } from '../groups/tree-codec.ts';
import { type Elements, join, type Scalars } from '../groups/vectors.ts';
import { toBigInt } from '../octets.ts';
import { type Equation, failingEquations } from '../proofs/equations.ts';
import { Refusal, type RefusalReason } from '../refusal.ts';

/** What a question's ciphertexts belong to. */
export interface BallotSession {
  readonly electionId: string;
  readonly sessionId: string;
  readonly group: Group;
  /** Of width one. */
  readonly key: PublicKey;
}

export interface BallotRules {
  /** Accept the original's challenge, SHA-256 of `<alpha>/<commitment>`, in multiplicative groups. */
  readonly acceptOriginalChallenge?: boolean;
}

const elementSchema = z.string().min(1).max(1300);
const scalarSchema = z.string().regex(/^(0|[1-9][0-9]{0,1299})$/);
const ballotSchema = z.strictObject({
  choices: z.array(z.strictObject({ alpha: elementSchema, beta: elementSchema })).max(1000),
  proofs: z
    .array(z.strictObject({ commitment: elementSchema, challenge: scalarSchema, response: scalarSchema }))
    .max(1000),
});

export type Ballot = z.infer<typeof ballotSchema>;

/** A choice whose proof was checked: two vectors of length one. */
export interface Choice {
  readonly alpha: Elements;
  readonly beta: Elements;
}

interface Claim extends Choice {
  readonly commitment: Elements;
  readonly challenge: Scalars;
  readonly response: Scalars;
}

/** `plaintexts[i]` is the element (a vector of length one) for question i. */
export function encryptBallot(sessions: readonly BallotSession[], plaintexts: readonly Elements[]): Ballot {
  if (plaintexts.length !== sessions.length) throw new RangeError('one plaintext per question is needed');
  const parts = sessions.map((session, i) => encryptChoice(session, plaintexts[i]!));
  return { choices: parts.map((part) => part.choice), proofs: parts.map((part) => part.proof) };
}

function encryptChoice(
  session: BallotSession,
  plaintext: Elements,
): { choice: Ballot['choices'][number]; proof: Ballot['proofs'][number] } {
  const { group } = session;
  const { ring } = group;
  const y = keyOf(session);
  const [r, k] = [ring.random(1), ring.random(1)];
  const alpha = group.powerOfFixed(group.generator, r);
  const beta = group.multiply(plaintext, group.powerOfFixed(y, r));
  const commitment = group.powerOfFixed(group.generator, k);
  const challenge = ring.of(ballotChallenge(session, { alpha, beta }, commitment));
  const response = ring.add(k, ring.multiply(challenge, r));
  return {
    choice: { alpha: group.elementText(alpha, 0), beta: group.elementText(beta, 0) },
    proof: {
      commitment: group.elementText(commitment, 0),
      challenge: ring.at(challenge, 0).toString(),
      response: ring.at(response, 0).toString(),
    },
  };
}

/** Our challenge, reduced modulo the group order. */
export function ballotChallenge(session: BallotSession, choice: Choice, commitment: Elements): bigint {
  const { group } = session;
  const statement = node(
    textLeaf('conclave ballot: knowledge of encryption randomness, version 1'),
    textLeaf(session.electionId),
    textLeaf(session.sessionId),
    group.marshalled,
    elementTree(group, keyOf(session)),
    elementTree(group, choice.alpha),
    elementTree(group, choice.beta),
    elementTree(group, commitment),
  );
  return group.ring.reduce(toBigInt(createHash('sha256').update(serialise(statement)).digest()));
}

/** The original's challenge (EO-42). */
export function originalChallenge(alpha: string, commitment: string): bigint {
  return toBigInt(createHash('sha256').update(`${alpha}/${commitment}`).digest());
}

/** The choices of a valid ballot; a `Refusal` otherwise. */
export function verifyBallot(
  sessions: readonly BallotSession[],
  value: unknown,
  rules: BallotRules = {},
): Choice[] {
  const [outcome] = verifyBallots(sessions, [value], rules);
  if (outcome!.ok) return outcome!.choices;
  throw new Refusal(outcome!.reason, outcome!.detail);
}

export type BallotOutcome =
  | { readonly ok: true; readonly choices: Choice[] }
  | { readonly ok: false; readonly reason: RefusalReason; readonly detail: string };

/** Many ballots of the same questions at once: all proofs in one product, single ones only if that fails. */
export function verifyBallots(
  sessions: readonly BallotSession[],
  values: readonly unknown[],
  rules: BallotRules = {},
  onProgress?: (done: number) => void,
): BallotOutcome[] {
  const read = values.map((value, i) => {
    if (i % 100 === 0) onProgress?.(i);
    return attempt(() => readClaims(sessions, value, rules));
  });
  const invalid = new Set<number>();
  sessions.forEach((session, question) => {
    const equations = read.flatMap((outcome, ballot) =>
      outcome.ok ? [proofEquation(session.group, outcome.value[question]!, String(ballot))] : [],
    );
    for (const name of failingEquations(session.group, equations)) invalid.add(Number(name));
  });
  return read.map((outcome, ballot): BallotOutcome => {
    if (!outcome.ok)
      return { ok: false, reason: outcome.reason, detail: `ballot ${ballot}: ${outcome.detail}` };
    if (!invalid.has(ballot))
      return { ok: true, choices: outcome.value.map(({ alpha, beta }) => ({ alpha, beta })) };
    return {
      ok: false,
      reason: 'plaintext-proof-invalid',
      detail: `ballot ${ballot}: a proof of plaintext knowledge does not hold`,
    };
  });
}

function proofEquation(group: Group, claim: Claim, name: string): Equation {
  const { ring } = group;
  return {
    name,
    addTo(product) {
      const t = product.weights();
      product.raise(claim.commitment, t);
      product.raise(claim.alpha, ring.multiply(claim.challenge, t));
      product.lower(group.generator, ring.multiply(claim.response, t));
    },
  };
}

function readClaims(sessions: readonly BallotSession[], value: unknown, rules: BallotRules): Claim[] {
  const parsed = ballotSchema.safeParse(value);
  if (!parsed.success) throw new Refusal('ballot-malformed', 'not of the form {choices, proofs}');
  const { choices, proofs } = parsed.data;
  if (choices.length !== sessions.length || proofs.length !== sessions.length) {
    throw new Refusal('ballot-malformed', `${choices.length} choices for ${sessions.length} questions`);
  }
  return sessions.map((session, i) => readClaim(session, choices[i]!, proofs[i]!, rules));
}

function readClaim(
  session: BallotSession,
  choice: Ballot['choices'][number],
  proof: Ballot['proofs'][number],
  rules: BallotRules,
): Claim {
  const { group } = session;
  const { ring } = group;
  const alpha = group.parseElement(choice.alpha, 'alpha');
  const beta = group.parseElement(choice.beta, 'beta');
  const commitment = group.parseElement(proof.commitment, 'commitment');
  if (group.isIdentity(alpha, 0)) throw new Refusal('element-is-identity', 'alpha is the identity');
  const [challenge, response] = [BigInt(proof.challenge), BigInt(proof.response)];
  if (response >= ring.order || challenge >= ring.order) {
    throw new Refusal('scalar-not-canonical', 'challenge or response is not less than the group order');
  }
  const original = rules.acceptOriginalChallenge === true && group.kind === 'multiplicative';
  const expected = ballotChallenge(session, { alpha, beta }, commitment);
  if (
    challenge !== expected &&
    !(original && challenge === originalChallenge(choice.alpha, proof.commitment))
  ) {
    throw new Refusal('challenge-mismatch', 'the challenge is not that of this ciphertext in this session');
  }
  return { alpha, beta, commitment, challenge: ring.of(challenge), response: ring.of(response) };
}

function keyOf(session: BallotSession): Elements {
  const [y] = session.key.y;
  if (y === undefined || session.key.y.length !== 1) throw new RangeError('ballots need a key of width one');
  return y;
}

type Attempt<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: RefusalReason; readonly detail: string };

function attempt<T>(work: () => T): Attempt<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ok: false, reason: error.reason, detail: error.message };
  }
}

/** The verified choices of one question as the list that is mixed. */
export function ciphertextList(
  group: Group,
  choices: readonly Choice[],
): {
  readonly length: number;
  readonly u: readonly Elements[];
  readonly v: readonly Elements[];
} {
  return {
    length: choices.length,
    u: [join(group.identity(0), ...choices.map((choice) => choice.alpha))],
    v: [join(group.identity(0), ...choices.map((choice) => choice.beta))],
  };
}

/** Pairs of indices whose ciphertexts have the same first half: one of the two was copied. */
export function duplicates(list: { readonly u: readonly Elements[] }): [number, number][] {
  const seen = new Map<string, number>();
  const found: [number, number][] = [];
  const [u] = list.u;
  for (let i = 0; u !== undefined && i < u.length; i++) {
    const key = Buffer.from(u.bytes.subarray(i * u.stride, (i + 1) * u.stride)).toString('latin1');
    const first = seen.get(key);
    if (first === undefined) seen.set(key, i);
    else found.push([first, i]);
  }
  return found;
}
