/**
 * One party's shuffle within a proof directory: made by that party, verified by all others before they go on (D46).
 *
 * Making it writes four files and keeps nothing: permutation and randomness never leave this module.
 */
import { type Ciphertexts, gatherCiphertexts, type PublicKey, reencrypt } from '../elgamal/ciphertexts.ts';
import { componentCount } from '../elgamal/shape.ts';
import type { Elements } from '../groups/vectors.ts';
import { type Claim, establish } from '../proofs/equations.ts';
import type { Observer } from '../proofs/observer.ts';
import { randomPermutation } from '../proofs/permutation.ts';
import {
  commitToPermutation,
  proveShuffle,
  readShuffleCommitment,
  readShuffleReply,
  type ShuffleStatement,
  shuffleCommitmentTree,
  shuffleEquations,
  shuffleReplyTree,
} from '../proofs/proof-of-shuffle.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import { fileNames } from './file-names.ts';
import type { ProofFiles } from './proof-files.ts';
import { readElements, readList, readTree, roomFor, writeElements, writeList, writeTree } from './records.ts';

/** Called between the long parts, with what comes next and how much is done, 0 to 1. */
export type Progress = (step: string, done: number) => void;

/** The list that a shuffler or the decryption starts from: the output of party `from`, or the session's input for 0. */
export function listName(from: number): string {
  return from === 0 ? fileNames.ciphertexts : fileNames.output(from);
}

export interface ShuffleParameters {
  readonly key: PublicKey;
  readonly party: number;
  /** The previous shuffler, 0 if there is none. */
  readonly from: number;
  /** The generators `h_0 …`, if the caller has them already. */
  readonly generators?: Elements;
}

/** Permutes, re-encrypts and proves; writes the output list and the proof of `party`. */
export function shuffleList(
  session: MixSession,
  files: ProofFiles,
  { key, party, from, generators }: ShuffleParameters,
  progress?: Progress,
): Ciphertexts {
  const { group } = session;
  const input = readList(session, files, listName(from));
  if (input.length === 0) throw new Refusal('list-length-mismatch', 'an empty list is not shuffled');
  progress?.('shuffling', 0);
  const h = generators ?? session.independentGenerators(input.length);
  const pi = randomPermutation(input.length);
  const s = Array.from({ length: componentCount(session.shape) }, () => group.ring.random(input.length));
  const output = gatherCiphertexts(reencrypt(session.codec, key, input, s), pi);
  progress?.('committing to the permutation', 0.3);
  const r = group.ring.random(input.length);
  const u = commitToPermutation(session, h, pi, r);
  progress?.('proving the shuffle', 0.4);
  const statement = { h, u, lists: { key, input, output } };
  const { commitment, reply } = proveShuffle(session, statement, { pi, r, s });
  progress?.('writing the proof', 0.95);
  writeElements(session, files, fileNames.permutationCommitment(party), u);
  writeTree(files, fileNames.shuffleCommitment(party), shuffleCommitmentTree(session, commitment));
  writeTree(files, fileNames.shuffleReply(party), shuffleReplyTree(session, reply));
  writeList(session, files, fileNames.output(party), output);
  return output;
}

/** Verifies the shuffle of `party` from the list of `from`; refuses it by reason. Returns the output list. */
export function verifyShuffleOf(
  session: MixSession,
  files: ProofFiles,
  { key, party, from, generators }: ShuffleParameters,
  progress?: Progress,
): Ciphertexts {
  progress?.(`reading the shuffle of party ${party}`, 0);
  const input = readList(session, files, listName(from));
  const output = readList(session, files, fileNames.output(party), input.length);
  const h = generators ?? session.independentGenerators(input.length);
  progress?.(`verifying the shuffle of party ${party}`, 0.3);
  for (const claim of shuffleClaims(session, files, party, { key, input, output }, h)) {
    establish(session.group, claim);
  }
  return output;
}

/** Reads the proof and says what must hold; `h` has as many generators as the lists have entries. */
export function shuffleClaims(
  session: MixSession,
  files: ProofFiles,
  party: number,
  lists: Required<ShuffleStatement>['lists'],
  h: Elements,
  observe?: Observer,
): Claim[] {
  const count = lists.input.length;
  const u = readElements(session, files, fileNames.permutationCommitment(party), count);
  const commitmentName = fileNames.shuffleCommitment(party);
  const commitment = readTree(files, commitmentName, roomFor(session, 2, count), (reader) =>
    readShuffleCommitment(session, reader, commitmentName, count, true),
  );
  const reply = readTree(files, fileNames.shuffleReply(party), roomFor(session, 2, count), (reader) =>
    readShuffleReply(session, reader, count, true),
  );
  return [
    {
      equations: shuffleEquations(session, { h, u, lists }, commitment, reply, observe),
      refusal: (failing) =>
        new Refusal(
          'shuffle-proof-invalid',
          `the proof of the shuffle of party ${party} does not hold (equation ${failing.join(', ')})`,
        ),
    },
  ];
}
