/**
 * The decryption of a proof directory in three rounds of every active party (VF 11): factors; commitment; reply. Then
 * anyone checks each party, and assembles the plaintexts of the first t that are correct.
 *
 * Commitment and reply are returned, not written: the caller stores the secret state first (D42).
 */
import { serialise } from '../byte-tree/tree.ts';
import {
  batchedInput,
  combinePlaintexts,
  combiningParties,
  commitToDecryption,
  type DecryptionCommitment,
  type DecryptionFactors,
  type DecryptionReply,
  type DecryptionStatement,
  decryptionChallenge,
  decryptionCommitmentTree,
  decryptionFactors,
  decryptionSeed,
  partiesFailingDecryption,
  readDecryptionCommitment,
  replyToChallenge,
  trivialCommitment,
  trivialFactors,
  trivialReply,
} from '../decryption/decryption-proof.ts';
import { answering, readDecryptionSecret, writeDecryptionSecret } from '../decryption/decryption-secret.ts';
import type { Ciphertexts } from '../elgamal/ciphertexts.ts';
import { componentCount } from '../elgamal/shape.ts';
import { type Elements, type Scalars, sameVector } from '../groups/vectors.ts';
import { equalOctets } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import { fileNames } from './file-names.ts';
import type { ProofFiles } from './proof-files.ts';
import {
  readList,
  readPolynomialFile,
  readTree,
  roomFor,
  writeBooleans,
  writeText,
  writeTree,
} from './records.ts';
import { listName } from './shuffle-step.ts';

/** Who decrypts what. */
export interface DecryptionParameters {
  /** The last shuffler, 0 if the input list is decrypted as it is. */
  readonly from: number;
  /** The parties in the joint proof, at least t; all others count as ones. */
  readonly active: readonly number[];
}

/** Round 1: computes and writes the factors of `party`. */
export function writeFactors(
  session: MixSession,
  files: ProofFiles,
  party: number,
  from: number,
  share: readonly Scalars[],
): void {
  const list = readList(session, files, listName(from));
  writeTree(
    files,
    fileNames.factors(party),
    session.codec.plaintexts(decryptionFactors(session, list, share)),
  );
}

/** Refuses malformed factors of `party`; called on receipt, so that their sender can be named. */
export function checkFactors(session: MixSession, files: ProofFiles, party: number, from: number): void {
  readFactors(session, files, party, readList(session, files, listName(from)).length);
}

/** Refuses a malformed commitment of `party`; called on receipt, before anyone replies. */
export function checkCommitment(session: MixSession, files: ProofFiles, party: number): void {
  readCommitment(session, files, party);
}

/** Round 2: a commitment to a fresh nonce. `secret` must be stored before `commitment` is written or sent. */
export function commitToFactors(
  session: MixSession,
  files: ProofFiles,
  party: number,
  parameters: DecryptionParameters,
): { secret: Uint8Array; commitment: Uint8Array } {
  const statement = readStatement(session, files, parameters);
  const seed = decryptionSeed(session, statement);
  const e = session.batchingVector(seed, statement.list.length);
  const rho = Array.from({ length: session.shape.keyWidth }, () => session.group.ring.random(1));
  const commitment = commitToDecryption(session, batchedInput(session, statement.list, seed, e), rho);
  return {
    secret: writeDecryptionSecret(session, { party, seed, rho, challenge: new Uint8Array(0) }),
    commitment: serialise(decryptionCommitmentTree(session, commitment)),
  };
}

/**
 * Round 3: the reply to the challenge that follows from all commitments. `secret` must replace the stored state before
 * `reply` is written or sent. Asked again with the same commitments it gives the same reply; with others it refuses.
 */
export function replyToCommitments(
  session: MixSession,
  files: ProofFiles,
  parameters: DecryptionParameters,
  share: readonly Scalars[],
  secret: Uint8Array,
): { secret: Uint8Array; reply: Uint8Array } {
  const state = readDecryptionSecret(session, secret);
  const seed = decryptionSeed(session, readStatement(session, files, parameters));
  if (!equalOctets(seed, state.seed)) {
    throw new Refusal(
      'second-challenge-refused',
      'the factors or the active parties changed since the commitment',
    );
  }
  const own = readCommitment(session, files, state.party);
  const challenge = decryptionChallenge(session, seed, readCommitments(session, files, parameters.active));
  checkOwnCommitment(session, own, state.rho);
  const next = answering(state, challenge);
  const reply = replyToChallenge(session, share, next.rho, challenge);
  return {
    secret: writeDecryptionSecret(session, next),
    reply: serialise(session.codec.keyScalar(reply)),
  };
}

/** The commitment in the directory must be that of our nonce, or the reply would prove nothing. */
function checkOwnCommitment(session: MixSession, own: DecryptionCommitment, rho: readonly Scalars[]): void {
  const expected = commitToDecryption(session, [], rho).yp;
  if (!expected.every((y, j) => sameVector(y, own.yp[j]!))) {
    throw new Refusal(
      'secret-state-invalid',
      'the commitment in the directory is not that of the stored state',
    );
  }
}

/** The active parties whose decryption proof fails, or whose commitment or reply is malformed. */
export function failingDecryptors(
  session: MixSession,
  files: ProofFiles,
  parameters: DecryptionParameters,
): number[] {
  const statement = readStatement(session, files, parameters);
  const commitments = readCommitments(session, files, parameters.active);
  const malformed: number[] = [];
  const replies = allParties(session).map((party) => {
    if (!parameters.active.includes(party)) return trivialReply(session);
    try {
      return readReply(session, files, party);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      malformed.push(party);
      return trivialReply(session);
    }
  });
  const judged = parameters.active.filter((party) => !malformed.includes(party));
  const failing = partiesFailingDecryption(session, statement, commitments, replies, judged);
  return [...malformed, ...failing].sort((a, b) => a - b);
}

/**
 * Completes the directory: ones for the parties that are not active, the correct indices, the plaintexts and the active
 * threshold. `correct` are the active parties without those that failed. Returns the plaintexts, not decoded.
 */
export function assembleDecryption(
  session: MixSession,
  files: ProofFiles,
  parameters: DecryptionParameters,
  correct: readonly number[],
): Elements[] {
  const { active, from } = parameters;
  const statement = readStatement(session, files, parameters);
  const { list, factors } = statement;
  const plaintexts = combinePlaintexts(session, list, factors, correct);
  for (const party of allParties(session)) {
    if (active.includes(party)) continue;
    const trivial = session.codec.plaintexts(trivialFactors(session, list.length));
    writeTree(files, fileNames.factors(party), trivial);
    const commitment = decryptionCommitmentTree(session, trivialCommitment(session));
    writeTree(files, fileNames.decryptionCommitment(party), commitment);
    writeTree(files, fileNames.decryptionReply(party), session.codec.keyScalar(trivialReply(session)));
  }
  const indices = [true, ...allParties(session).map((party) => correct.includes(party))];
  writeBooleans(files, fileNames.correctIndices, indices);
  writeTree(files, fileNames.plaintexts, session.codec.plaintexts(plaintexts));
  writeText(files, fileNames.activeThreshold, from === 0 ? combiningParties(session, correct).at(-1)! : from);
  return plaintexts;
}

function readStatement(
  session: MixSession,
  files: ProofFiles,
  { from, active }: DecryptionParameters,
): DecryptionStatement {
  checkActive(session, active);
  const list: Ciphertexts = readList(session, files, listName(from));
  return {
    list,
    polynomial: readPolynomialFile(session, files),
    factors: allParties(session).map((party) =>
      active.includes(party)
        ? readFactors(session, files, party, list.length)
        : trivialFactors(session, list.length),
    ),
  };
}

function checkActive(session: MixSession, active: readonly number[]): void {
  const distinct = new Set(active);
  if (distinct.size !== active.length || active.some((party) => !allParties(session).includes(party))) {
    throw new RangeError(`no set of parties: ${active.join(', ')}`);
  }
  if (active.length < session.threshold) {
    throw new Refusal(
      'too-few-decryptors',
      `${active.length} active parties, ${session.threshold} are needed`,
    );
  }
}

export function allParties(session: MixSession): number[] {
  return Array.from({ length: session.parties }, (_, i) => i + 1);
}

export function readFactors(
  session: MixSession,
  files: ProofFiles,
  party: number,
  count: number,
): DecryptionFactors {
  const name = fileNames.factors(party);
  const limit = roomFor(session, componentCount(session.shape), count);
  return readTree(files, name, limit, (reader) => session.codec.readPlaintexts(reader, name, count));
}

export function readCommitment(session: MixSession, files: ProofFiles, party: number): DecryptionCommitment {
  const name = fileNames.decryptionCommitment(party);
  return readTree(files, name, roomFor(session, 0, 0), (reader) =>
    readDecryptionCommitment(session, reader, name),
  );
}

function readCommitments(
  session: MixSession,
  files: ProofFiles,
  active: readonly number[],
): DecryptionCommitment[] {
  return allParties(session).map((party) =>
    active.includes(party) ? readCommitment(session, files, party) : trivialCommitment(session),
  );
}

export function readReply(session: MixSession, files: ProofFiles, party: number): DecryptionReply {
  return readTree(files, fileNames.decryptionReply(party), roomFor(session, 0, 0), (reader) =>
    session.codec.readKeyScalar(reader),
  );
}
