/** The steps of a proof directory as operations of a worker. */

import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import {
  assembleDecryption,
  checkCommitment,
  checkFactors,
  commitToFactors,
  type DecryptionParameters,
  failingDecryptors,
  replyToCommitments,
  writeFactors,
} from '../directory/decryption-step.ts';
import { fileNames, type SessionType } from '../directory/file-names.ts';
import { readKeyFile, readList, readPlaintextsFile } from '../directory/records.ts';
import { beginSession, finishShuffling } from '../directory/session-start.ts';
import { listName, shuffleList, verifyShuffleOf } from '../directory/shuffle-step.ts';
import { type ExternalFormat, parseCiphertexts, writePlaintexts } from '../formats/external.ts';
import type { PublicKeyJson } from '../formats/public-key-json.ts';
import type { Scalars } from '../groups/vectors.ts';
import { loadShare, type StoredShare } from '../keys/joint-key.ts';
import { fromHex, hex } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import {
  type Expectations,
  type VerificationResult,
  verifyProofDirectory,
} from '../verifier/proof-directory-verifier.ts';
import { type DirectoryParameters, keyOf, openDirectory, polynomialFrom, readOctets } from './parameters.ts';

type Progress = (step: string, done: number) => void;

/** `from`: the shuffler whose output is taken, 0 for the input list. */
export interface ShuffleStepParameters extends DirectoryParameters {
  readonly party: number;
  readonly from: number;
}

export interface DecryptionStepParameters extends DirectoryParameters, DecryptionParameters {}

export const mixOperations = {
  /** Writes the files before the first step from a list in a file. The hash is that of Ciphertexts.bt. */
  beginSession(
    parameters: DirectoryParameters & {
      type: SessionType;
      publicKey: PublicKeyJson;
      /** Byte tree in hex. */
      polynomial?: string;
      ciphertexts: { path: string; format: ExternalFormat };
    },
  ): { length: number; listHash: string } {
    const { session, files } = openDirectory(parameters);
    const { type, publicKey, polynomial, ciphertexts } = parameters;
    const list = parseCiphertexts(session.codec, readOctets(ciphertexts.path), ciphertexts.format);
    beginSession(session, files, {
      type,
      key: keyOf(session, publicKey),
      list,
      ...(polynomial === undefined ? {} : { polynomial: polynomialFrom(session, polynomial) }),
    });
    return { length: list.length, listHash: sha256(files.read(fileNames.ciphertexts)) };
  },

  shuffle(parameters: ShuffleStepParameters, progress: Progress): { outputHash: string } {
    const { session, files } = openDirectory(parameters);
    const { party, from } = parameters;
    shuffleList(session, files, { key: readKeyFile(session, files), party, from }, progress);
    return { outputHash: sha256(files.read(listName(party))) };
  },

  /** Throws a `Refusal` for an invalid shuffle. */
  verifyShuffle(parameters: ShuffleStepParameters, progress: Progress): { outputHash: string } {
    const { session, files } = openDirectory(parameters);
    const { party, from } = parameters;
    verifyShuffleOf(session, files, { key: readKeyFile(session, files), party, from }, progress);
    return { outputHash: sha256(files.read(listName(party))) };
  },

  finishShuffling(parameters: DirectoryParameters & { last: number }): Record<string, never> {
    const { session, files } = openDirectory(parameters);
    finishShuffling(session, files, parameters.last);
    return {};
  },

  /** Decryption, round 1. */
  writeFactors(
    parameters: ShuffleStepParameters & { share: StoredShare },
    progress: Progress,
  ): { file: string } {
    const { session, files } = openDirectory(parameters);
    const { party, from } = parameters;
    progress('computing decryption factors', 0);
    writeFactors(session, files, party, from, [shareOf(session, party, parameters.share)]);
    return { file: fileNames.factors(party) };
  },

  /** Throws a `Refusal` for malformed factors of `party`. */
  checkFactors(parameters: ShuffleStepParameters): Record<string, never> {
    const { session, files } = openDirectory(parameters);
    checkFactors(session, files, parameters.party, parameters.from);
    return {};
  },

  /** Throws a `Refusal` for a malformed commitment of `party`. */
  checkCommitment(parameters: DirectoryParameters & { party: number }): Record<string, never> {
    const { session, files } = openDirectory(parameters);
    checkCommitment(session, files, parameters.party);
    return {};
  },

  /** Decryption, round 2. Store `secret` before `commitment` is written to `file` or sent; both in hex. */
  commitToFactors(parameters: DecryptionStepParameters & { party: number }): {
    secret: string;
    commitment: string;
    file: string;
  } {
    const { session, files } = openDirectory(parameters);
    const { secret, commitment } = commitToFactors(session, files, parameters.party, parameters);
    return {
      secret: hex(secret),
      commitment: hex(commitment),
      file: fileNames.decryptionCommitment(parameters.party),
    };
  },

  /** Decryption, round 3. Store the new `secret` before `reply` is written to `file` or sent; both in hex. */
  replyToCommitments(
    parameters: DecryptionStepParameters & { party: number; share: StoredShare; secret: string },
  ): { secret: string; reply: string; file: string } {
    const { session, files } = openDirectory(parameters);
    const { party } = parameters;
    const state = fromHex(parameters.secret);
    if (state === null) throw new Refusal('secret-state-invalid', 'the stored decryption state is damaged');
    const share = [shareOf(session, party, parameters.share)];
    const { secret, reply } = replyToCommitments(session, files, parameters, share, state);
    return { secret: hex(secret), reply: hex(reply), file: fileNames.decryptionReply(party) };
  },

  /** The active parties whose decryption is wrong. */
  failingDecryptors(parameters: DecryptionStepParameters): { failing: number[] } {
    const { session, files } = openDirectory(parameters);
    return { failing: failingDecryptors(session, files, parameters) };
  },

  /** Completes the directory. `correct` are the active parties without the failing ones. */
  assembleDecryption(parameters: DecryptionStepParameters & { correct: readonly number[] }): {
    length: number;
    plaintextsHash: string;
  } {
    const { session, files } = openDirectory(parameters);
    const plaintexts = assembleDecryption(session, files, parameters, parameters.correct);
    return { length: plaintexts[0]!.length, plaintextsHash: sha256(files.read(fileNames.plaintexts)) };
  },

  /**
   * Writes the plaintexts to `path`: `raw`, `native`, `json` (elements), or `integers`, one decoded integer in quotes per
   * line, `null` where an element encodes none.
   */
  exportPlaintexts(
    parameters: DirectoryParameters & {
      from: number;
      path: string;
      format: 'raw' | 'native' | 'json' | 'integers';
    },
  ): { length: number } {
    const { session, files } = openDirectory(parameters);
    const { length } = readList(session, files, listName(parameters.from));
    const plaintexts = readPlaintextsFile(session, files, length);
    if (parameters.format !== 'integers') {
      writeFileSync(parameters.path, writePlaintexts(session.codec, plaintexts, parameters.format));
      return { length };
    }
    const columns = plaintexts.map((v) => session.group.decodeIntegers(v));
    const rows = Array.from({ length }, (_, i) => {
      const parts = columns.map((column) => column[i]?.toString() ?? null);
      return `${JSON.stringify(parts.length === 1 ? parts[0] : parts)}\n`;
    });
    writeFileSync(parameters.path, rows.join(''));
    return { length };
  },

  /** The strict verifier over a whole directory. */
  verifyProofDirectory(
    parameters: { protInfo: string; directory: string; expect?: Expectations },
    progress: Progress,
  ): VerificationResult {
    const { info, files } = openDirectory(parameters);
    let steps = 0;
    return verifyProofDirectory(files, info, {
      ...(parameters.expect === undefined ? {} : { expect: parameters.expect }),
      onStep: (step) => progress(step.title, ++steps / (8 + 6 * info.nopart)),
    });
  },

  /** The same with every intermediate value, by name, in the notation of `vmnv -t`. */
  traceProofDirectory(parameters: { protInfo: string; directory: string }): VerificationResult & {
    readonly trace: readonly (readonly [name: string, value: string])[];
  } {
    const { info, files } = openDirectory(parameters);
    const trace: [string, string][] = [];
    const result = verifyProofDirectory(files, info, { observe: (name, value) => trace.push([name, value]) });
    return { ...result, trace };
  },
};

function shareOf(session: MixSession, party: number, stored: StoredShare): Scalars {
  const loaded = loadShare(session, stored);
  if (loaded.party !== party) {
    throw new Refusal(
      'secret-state-invalid',
      `the stored key share is of party ${loaded.party}, not ${party}`,
    );
  }
  return loaded.share;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
