/**
 * A shuffle in two halves (VF 10): before the ballots are known a party commits to a permutation of `maxciph` places
 * and proves it; later it shrinks the commitment to the ballots that came and shuffles consistently.
 *
 * The witness in between is secret state of the party: whoever has it knows the permutation.
 */

import { readWhole } from '../byte-tree/reader.ts';
import { leaf, node, serialise } from '../byte-tree/tree.ts';
import { type Ciphertexts, gatherCiphertexts, type PublicKey, reencrypt } from '../elgamal/ciphertexts.ts';
import { componentCount } from '../elgamal/shape.ts';
import type { Elements, Scalars } from '../groups/vectors.ts';
import { hashOctets } from '../hashing/random-oracle.ts';
import { hex } from '../octets.ts';
import {
  consistencyCommitmentTree,
  consistencyEquations,
  consistencyReplyTree,
  keepList,
  proveConsistency,
  readConsistencyCommitment,
  readConsistencyReply,
  shrinkCommitment,
  shrinkWitness,
} from '../proofs/consistent-shuffle.ts';
import { type Claim, establish } from '../proofs/equations.ts';
import type { Observer } from '../proofs/observer.ts';
import { randomPermutation } from '../proofs/permutation.ts';
import {
  commitToPermutation,
  proveShuffle,
  readShuffleCommitment,
  readShuffleReply,
  type ShuffledLists,
  shuffleCommitmentTree,
  shuffleEquations,
  shuffleReplyTree,
} from '../proofs/proof-of-shuffle.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import { fileNames } from './file-names.ts';
import type { ProofFiles } from './proof-files.ts';
import {
  readBooleans,
  readElements,
  readList,
  readNumber,
  readTree,
  roomFor,
  writeBooleans,
  writeElements,
  writeList,
  writeText,
  writeTree,
} from './records.ts';
import { listName } from './shuffle-step.ts';

/**
 * Commits to a permutation of `count` places and proves it. The secret witness goes to `store`, which must have put it on
 * disk when it returns, before any file of the proof is written.
 */
export function precompute(
  session: MixSession,
  files: ProofFiles,
  party: number,
  count: number,
  store: (secret: Uint8Array) => void,
): void {
  if (count < 1 || count > largestPrecomputation) {
    throw new Refusal('maxciph-invalid', `${count} places; 1 to ${largestPrecomputation} are possible`);
  }
  const { group } = session;
  const h = session.independentGenerators(count);
  const pi = randomPermutation(count);
  const r = group.ring.random(count);
  const u = commitToPermutation(session, h, pi, r);
  const { commitment, reply } = proveShuffle(session, { h, u }, { pi, r });
  store(writeWitness(session, pi, r));
  writeText(files, fileNames.maxciph, count);
  writeElements(session, files, fileNames.permutationCommitment(party), u);
  writeTree(files, fileNames.commitmentProofCommitment(party), shuffleCommitmentTree(session, commitment));
  writeTree(files, fileNames.commitmentProofReply(party), shuffleReplyTree(session, reply));
}

function writeWitness(session: MixSession, pi: Uint32Array, r: Scalars): Uint8Array {
  const places = new Uint8Array(4 * pi.length);
  const view = new DataView(places.buffer);
  pi.forEach((place, i) => {
    view.setUint32(4 * i, place);
  });
  return serialise(node(leaf(places), session.group.ring.arrayTree(r)));
}

function readWitness(session: MixSession, secret: Uint8Array): { pi: Uint32Array; r: Scalars } {
  return readWhole(secret, 'precomputed witness', (reader) => {
    reader.node(2);
    const places = reader.leaf();
    const view = new DataView(places.buffer, places.byteOffset, places.byteLength);
    const pi = Uint32Array.from({ length: places.length / 4 }, (_, i) => view.getUint32(4 * i));
    return { pi, r: session.group.ring.readArray(reader, pi.length) };
  });
}

/** As many as protInfo.xml can name. */
const largestPrecomputation = 100_000_000;

export interface PrecomputedParameters {
  readonly key: PublicKey;
  readonly party: number;
  readonly from: number;
  /** What `precompute` returned. */
  readonly secret: Uint8Array;
}

/** Shuffles by a precomputed permutation; writes the keep list, the output and the proof of consistency. */
export function shufflePrecomputed(
  session: MixSession,
  files: ProofFiles,
  { key, party, from, secret }: PrecomputedParameters,
): Ciphertexts {
  const { group } = session;
  const whole = readWitness(session, secret);
  const input = readList(session, files, listName(from));
  if (input.length === 0 || input.length > whole.pi.length) {
    throw new Refusal('maxciph-invalid', `${input.length} ciphertexts, precomputed for ${whole.pi.length}`);
  }
  const keep = keepList(whole.pi, input.length);
  const { pi, r } = shrinkWitness(whole, input.length);
  const u = readElements(session, files, fileNames.permutationCommitment(party), whole.pi.length);
  const shrunk = shrinkCommitment(session.independentGenerators(whole.pi.length), u, keep, input.length);
  const s = Array.from({ length: componentCount(session.shape) }, () => group.ring.random(input.length));
  const output = gatherCiphertexts(reencrypt(session.codec, key, input, s), pi);
  const statement = { ...shrunk, lists: { key, input, output } };
  const { commitment, reply } = proveConsistency(session, statement, { pi, r, s });
  writeBooleans(files, fileNames.keepList(party), keep);
  writeTree(files, fileNames.consistencyCommitment(party), consistencyCommitmentTree(session, commitment));
  writeTree(files, fileNames.consistencyReply(party), consistencyReplyTree(session, reply));
  writeList(session, files, fileNames.output(party), output);
  return output;
}

/** Verifies the permutation commitment of `party` and its proof: what can be done before any ballot is known. */
export function verifyPrecomputation(session: MixSession, files: ProofFiles, party: number): void {
  const h = session.independentGenerators(readNumber(files, fileNames.maxciph));
  establish(session.group, precomputationClaim(session, files, party, h).claim);
}

/**
 * Verifies the shuffle of `party` from the list of `from`. The proof of the commitment is verified as well, unless the
 * caller says that the commitment with this hash passed `verifyPrecomputation`.
 */
export function verifyPrecomputedShuffle(
  session: MixSession,
  files: ProofFiles,
  { key, party, from }: Pick<PrecomputedParameters, 'key' | 'party' | 'from'>,
  provenCommitment?: string,
): void {
  const input = readList(session, files, listName(from));
  const output = readList(session, files, fileNames.output(party), input.length);
  const h = session.independentGenerators(readNumber(files, fileNames.maxciph));
  const lists = { key, input, output };
  const proven = provenCommitment !== undefined && commitmentHash(files, party) === provenCommitment;
  const claims = proven
    ? [consistencyClaim(session, files, party, readCommitmentOf(session, files, party, h), lists, h)]
    : precomputedClaims(session, files, party, lists, h);
  for (const claim of claims) establish(session.group, claim);
}

/** SHA-256 of the file with the commitment of `party`, in hex. */
export function commitmentHash(files: ProofFiles, party: number): string {
  return hex(hashOctets('SHA-256', files.read(fileNames.permutationCommitment(party))));
}

function readCommitmentOf(session: MixSession, files: ProofFiles, party: number, h: Elements): Elements {
  return readElements(session, files, fileNames.permutationCommitment(party), h.length);
}

/** Reads the commitment's proof and that of the consistent shuffle. `h` has `maxciph` generators. */
export function precomputedClaims(
  session: MixSession,
  files: ProofFiles,
  party: number,
  lists: ShuffledLists,
  h: Elements,
  observe?: Observer,
): Claim[] {
  const { u, claim } = precomputationClaim(session, files, party, h, observe);
  return [claim, consistencyClaim(session, files, party, u, lists, h, observe)];
}

/** The claim that the lists were shuffled by the permutation that `u` commits to. */
function consistencyClaim(
  session: MixSession,
  files: ProofFiles,
  party: number,
  u: Elements,
  lists: ShuffledLists,
  h: Elements,
  observe?: Observer,
): Claim {
  const count = lists.input.length;
  const keep = readBooleans(files, fileNames.keepList(party), h.length);
  const statement = { ...shrinkCommitment(h, u, keep, count), lists };
  const name = fileNames.consistencyCommitment(party);
  const commitment = readTree(files, name, roomFor(session, 0, 0), (reader) =>
    readConsistencyCommitment(session, reader, name),
  );
  const reply = readTree(files, fileNames.consistencyReply(party), roomFor(session, 1, count), (reader) =>
    readConsistencyReply(session, reader, count),
  );
  return {
    equations: consistencyEquations(session, statement, commitment, reply, observe),
    refusal: (failing) =>
      new Refusal(
        'consistency-proof-invalid',
        `the consistent shuffle of party ${party} does not hold (equation ${failing.join(', ')})`,
      ),
  };
}

/** The permutation commitment, and the claim of its proof. */
export function precomputationClaim(
  session: MixSession,
  files: ProofFiles,
  party: number,
  h: Elements,
  observe?: Observer,
): { u: Elements; claim: Claim } {
  const u = readCommitmentOf(session, files, party, h);
  const name = fileNames.commitmentProofCommitment(party);
  const commitment = readTree(files, name, roomFor(session, 2, h.length), (reader) =>
    readShuffleCommitment(session, reader, name, h.length, false),
  );
  const reply = readTree(
    files,
    fileNames.commitmentProofReply(party),
    roomFor(session, 2, h.length),
    (reader) => readShuffleReply(session, reader, h.length, false),
  );
  const claim: Claim = {
    equations: shuffleEquations(session, { h, u }, commitment, reply, observe),
    refusal: (failing) =>
      new Refusal(
        'commitment-proof-invalid',
        `the proof of the permutation commitment of party ${party} does not hold (equation ${failing.join(', ')})`,
      ),
  };
  return { u, claim };
}
