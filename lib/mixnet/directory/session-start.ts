/** The beginning of a proof directory: what is fixed before the first party acts (VF 8). */
import type { Ciphertexts, PublicKey } from '../elgamal/ciphertexts.ts';
import { sameVector } from '../groups/vectors.ts';
import { jointKey, type PolynomialInExponent } from '../keys/polynomial-in-exponent.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import { fileNames, type SessionType } from './file-names.ts';
import type { ProofFiles } from './proof-files.ts';
import { readList, writeKeyFile, writeList, writePolynomialFile, writeText } from './records.ts';

export interface SessionStart {
  readonly type: SessionType;
  readonly key: PublicKey;
  /** Left out only in a shuffling session with a key from elsewhere. */
  readonly polynomial?: PolynomialInExponent;
  readonly list: Ciphertexts;
}

/** Writes the files that every party has before the first shuffle or decryption. */
export function beginSession(session: MixSession, files: ProofFiles, start: SessionStart): void {
  const { type, key, polynomial, list } = start;
  if (polynomial === undefined) {
    if (type !== 'shuffling') throw new RangeError(`a ${type} session needs the polynomial in the exponent`);
  } else if (!jointKey(polynomial).y.every((y, j) => sameVector(y, key.y[j]!))) {
    throw new Refusal('public-key-mismatch', 'the public key is not the constant term of the polynomial');
  }
  if (list.length === 0) throw new Refusal('list-length-mismatch', 'the list of ciphertexts is empty');
  writeText(files, fileNames.version, session.info.version);
  writeText(files, fileNames.type, type);
  writeText(files, fileNames.auxsid, session.auxsid);
  writeText(files, fileNames.width, session.shape.width);
  writeKeyFile(session, files, key);
  if (polynomial !== undefined) writePolynomialFile(session, files, polynomial);
  writeList(session, files, fileNames.ciphertexts, list);
}

/** Ends a shuffling session whose last shuffler was `last`. */
export function finishShuffling(session: MixSession, files: ProofFiles, last: number): void {
  writeList(session, files, fileNames.shuffledCiphertexts, readList(session, files, fileNames.output(last)));
  writeText(files, fileNames.activeThreshold, last);
}
