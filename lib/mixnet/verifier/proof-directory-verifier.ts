/**
 * The strict verifier of a proof directory (VF 8 to 13), for mixing, shuffling and decryption sessions.
 *
 * It checks everything that Verificatum's own verifier checks, and what that one lets pass: at least t valid shuffles by
 * distinct parties, every party's decryption proof, no missing and no superfluous file, no octet after a tree, every
 * encoding canonical. A malformed object is refused, never replaced. What lies outside the directory (where the ballots
 * came from, how plaintexts decode) is not its business, but the caller may say what input and output must be.
 */

import { readWhole } from '../byte-tree/reader.ts';
import {
  expectedFiles,
  fileNames,
  type SessionType,
  sessionTypes,
  shufflersOf,
} from '../directory/file-names.ts';
import { precomputedClaims } from '../directory/precomputed-step.ts';
import type { ProofFiles } from '../directory/proof-files.ts';
import {
  readKeyFile,
  readList,
  readNumber,
  readPolynomialFile,
  readText,
  roomFor,
} from '../directory/records.ts';
import { shuffleClaims } from '../directory/shuffle-step.ts';
import {
  type Ciphertexts,
  type PublicKey,
  readCiphertexts,
  sameCiphertexts,
} from '../elgamal/ciphertexts.ts';
import type { Elements } from '../groups/vectors.ts';
import { sameVector } from '../groups/vectors.ts';
import { jointKey, type PolynomialInExponent } from '../keys/polynomial-in-exponent.ts';
import { equalOctets } from '../octets.ts';
import type { Observer } from '../proofs/observer.ts';
import { Refusal } from '../refusal.ts';
import { type ProtocolInfo, verificatumVersion } from '../session/protocol-info.ts';
import { auxsidPattern, MixSession } from '../session/session.ts';
import { verifyDecryption } from './decryption-verifier.ts';
import {
  observeCommitment,
  observeGenerators,
  observeList,
  observeParameters,
} from './parameter-observer.ts';
import { VerificationReport, type VerificationStep } from './report.ts';

/** What the caller knows from elsewhere. Lists and keys are raw byte trees (VF 3.5). */
export interface Expectations {
  readonly type?: SessionType;
  readonly auxsid?: string;
  readonly width?: number;
  /** `node(g, y)`. */
  readonly publicKey?: Uint8Array;
  readonly ciphertexts?: Uint8Array;
  /** The last list of a shuffling session. */
  readonly shuffledCiphertexts?: Uint8Array;
  readonly plaintexts?: Uint8Array;
}

export interface VerifierOptions {
  readonly expect?: Expectations;
  readonly onStep?: (step: VerificationStep) => void;
  /** Receives every intermediate value under Verificatum's name. */
  readonly observe?: Observer;
}

export interface VerificationResult {
  readonly ok: boolean;
  readonly steps: readonly VerificationStep[];
  /** Known as far as the verification came. */
  readonly type?: SessionType;
  readonly auxsid?: string;
  readonly width?: number;
  readonly length?: number;
  readonly shufflers?: readonly number[];
  /** Parties whose decryption proofs are valid. */
  readonly decryptors?: readonly number[];
}

interface Facts {
  type?: SessionType;
  auxsid?: string;
  width?: number;
  length?: number;
  shufflers?: readonly number[];
  decryptors?: readonly number[];
}

export function verifyProofDirectory(
  files: ProofFiles,
  info: ProtocolInfo,
  options: VerifierOptions = {},
): VerificationResult {
  const report = new VerificationReport(options.onStep);
  const facts: Facts = {};
  report.run(() => verifyAll(files, info, options, report, facts));
  return { ok: report.ok, steps: report.steps, ...facts };
}

function verifyAll(
  files: ProofFiles,
  info: ProtocolInfo,
  { expect = {}, observe }: VerifierOptions,
  report: VerificationReport,
  facts: Facts,
): void {
  const type = report.require('type', 'Version and type of the proof', () => readType(files, expect));
  facts.type = type;
  const session = report.require('session', 'Session parameters', () => readSession(files, info, expect));
  facts.auxsid = session.auxsid;
  facts.width = session.shape.width;
  const shufflers = shufflersOf(files.list());
  facts.shufflers = shufflers;
  const precomputed = files.has(fileNames.maxciph);
  report.require('shufflers', 'Enough shuffles by distinct parties', () =>
    checkShufflers(session, type, shufflers, precomputed),
  );
  report.require('files', 'Exactly the files of such a proof', () =>
    checkFiles(files.list(), { type, parties: session.parties, shufflers, precomputed }),
  );
  report.require('active-threshold', 'Last active party', () =>
    checkActiveThreshold(session, files, type, shufflers),
  );
  const { key, polynomial } = report.require('keys', 'Public keys', () => readKeys(session, files, expect));
  const input = report.require('ciphertexts', 'List of ciphertexts', () =>
    checkedList(session, files, fileNames.ciphertexts, expect.ciphertexts, 'input-mismatch'),
  );
  facts.length = input.length;
  if (observe) observeParameters(session, key, polynomial, observe);
  observeList(session, 0, input, observe);
  const last = verifyShuffles(
    { session, files, type, shufflers, precomputed, key, expect, observe, report },
    input,
  );
  if (type === 'shuffling' || polynomial === undefined) return;
  facts.decryptors = verifyDecryption(session, files, polynomial, last, expect.plaintexts, report, observe);
}

function readType(files: ProofFiles, expect: Expectations): SessionType {
  if (readText(files, fileNames.version, /^[0-9.]{1,32}$/) !== verificatumVersion) {
    throw new Refusal('version-mismatch', `the proof is not of version ${verificatumVersion}`);
  }
  const text = readText(files, fileNames.type, /^[a-z]{1,32}$/);
  const type = sessionTypes.find((known) => known === text);
  if (type === undefined) throw new Refusal('type-mismatch', `no proof is of type "${text}"`);
  if (expect.type !== undefined && expect.type !== type) {
    throw new Refusal('type-mismatch', `the proof is of type ${type}, expected is ${expect.type}`);
  }
  return type;
}

function readSession(files: ProofFiles, info: ProtocolInfo, expect: Expectations): MixSession {
  const auxsid = readText(files, fileNames.auxsid, auxsidPattern);
  if (expect.auxsid !== undefined && auxsid !== expect.auxsid) {
    throw new Refusal('auxsid-mismatch', `the proof is of session ${auxsid}, expected is ${expect.auxsid}`);
  }
  const width = readNumber(files, fileNames.width);
  if (width > 10_000 || (expect.width !== undefined && width !== expect.width)) {
    throw new Refusal(
      'width-mismatch',
      `the proof is of width ${width}, expected is ${expect.width ?? 'less'}`,
    );
  }
  return new MixSession(info, { auxsid, width });
}

function checkShufflers(
  session: MixSession,
  type: SessionType,
  shufflers: readonly number[],
  precomputed: boolean,
): void {
  const stranger = shufflers.find((party) => party < 1 || party > session.parties);
  if (stranger !== undefined) throw new Refusal('shuffle-party-invalid', `there is no party ${stranger}`);
  if (type === 'decryption') {
    if (shufflers.length > 0 || precomputed) {
      throw new Refusal('file-superfluous', 'a decryption session has no files of a shuffle');
    }
  } else if (shufflers.length < session.threshold) {
    throw new Refusal(
      'too-few-shuffles',
      `${shufflers.length} parties shuffled, at least ${session.threshold} must`,
    );
  }
}

function checkFiles(names: readonly string[], content: Parameters<typeof expectedFiles>[0]): void {
  const { required, optional } = expectedFiles(content);
  const missing = [...required].filter((name) => !names.includes(name));
  if (missing.length > 0) throw new Refusal('file-missing', `missing: ${missing.slice(0, 10).join(', ')}`);
  const foreign = names.filter((name) => !required.has(name) && !optional.has(name));
  if (foreign.length > 0) {
    const shown = foreign.slice(0, 10).map((name) => JSON.stringify(name.slice(0, 100)));
    throw new Refusal('file-superfluous', `not part of such a proof: ${shown.join(', ')}`);
  }
}

function checkActiveThreshold(
  session: MixSession,
  files: ProofFiles,
  type: SessionType,
  shufflers: readonly number[],
): void {
  const last = readNumber(files, fileNames.activeThreshold);
  const fits =
    type === 'decryption' ? last >= session.threshold && last <= session.parties : last === shufflers.at(-1);
  if (!fits)
    throw new Refusal('active-threshold-invalid', `activethreshold ${last} is not the last active party`);
}

function readKeys(
  session: MixSession,
  files: ProofFiles,
  expect: Expectations,
): { key: PublicKey; polynomial: PolynomialInExponent | undefined } {
  const key = readKeyFile(session, files);
  if (
    expect.publicKey !== undefined &&
    !equalOctets(files.read(fileNames.publicKey, roomFor(session, 0, 0)), expect.publicKey)
  ) {
    throw new Refusal('public-key-mismatch', 'the public key is not the expected one');
  }
  if (!files.has(fileNames.polynomial)) return { key, polynomial: undefined };
  const polynomial = readPolynomialFile(session, files);
  if (!jointKey(polynomial).y.every((y, j) => sameVector(y, key.y[j]!))) {
    throw new Refusal('public-key-mismatch', 'the public key is not the constant term of the polynomial');
  }
  return { key, polynomial };
}

/** A list that must not be empty and, if the caller knows it, must be the expected one. */
function checkedList(
  session: MixSession,
  files: ProofFiles,
  name: string,
  expected: Uint8Array | undefined,
  reason: 'input-mismatch' | 'output-mismatch',
  count?: number,
): Ciphertexts {
  const list = readList(session, files, name, count);
  if (list.length === 0) throw new Refusal('list-length-mismatch', `${name} is empty`);
  if (expected === undefined) return list;
  const wanted = readWhole(expected, 'expected list', (reader) =>
    readCiphertexts(session.codec, reader, 'expected list'),
  );
  if (!sameCiphertexts(list, wanted)) throw new Refusal(reason, `${name} is not the expected list`);
  return list;
}

/** Longer lists are verified shuffle by shuffle: equations of several would cost memory and save nothing. */
const lengthWorthJoining = 100_000;

interface ShuffleChain {
  readonly session: MixSession;
  readonly files: ProofFiles;
  readonly type: SessionType;
  readonly shufflers: readonly number[];
  readonly precomputed: boolean;
  readonly key: PublicKey;
  readonly expect: Expectations;
  readonly observe: Observer | undefined;
  readonly report: VerificationReport;
}

/** Every shuffle from the output of the one before (VF 8.1). Returns the last list. */
function verifyShuffles(chain: ShuffleChain, input: Ciphertexts): Ciphertexts {
  const { session, files, type, shufflers, precomputed, key, expect, observe, report } = chain;
  if (shufflers.length === 0) return input;
  const h = report.require('generators', 'Independent generators', () => generators(chain, input.length));
  observeGenerators(session, h, precomputed, observe);
  const read = precomputed ? precomputedClaims : shuffleClaims;
  let list = input;
  for (const party of shufflers) {
    const isLast = party === shufflers.at(-1);
    const name = type === 'shuffling' && isLast ? fileNames.shuffledCiphertexts : fileNames.output(party);
    const step = { id: `shuffle-${party}`, title: `Shuffle of party ${party}`, decisive: true };
    list = report.claim(session.group, step, () => {
      const output = checkedList(session, files, name, undefined, 'output-mismatch', list.length);
      observeCommitment(session, files, party, h.length, output, observe);
      const lists = { key, input: list, output };
      return { value: output, claims: read(session, files, party, lists, h, observe) };
    });
    if (list.length > lengthWorthJoining) report.settle();
  }
  if (type === 'shuffling') {
    report.require('output', 'Output list', () =>
      checkOutput(session, files, shufflers.at(-1)!, list, expect),
    );
  }
  return list;
}

function generators({ session, files, precomputed }: ShuffleChain, length: number): Elements {
  if (!precomputed) return session.independentGenerators(length);
  const places = readNumber(files, fileNames.maxciph);
  const octets = shufflersOf(files.list()).map((party) => files.size(fileNames.keepList(party)));
  if (places < length || octets.some((size) => size !== places + 5)) {
    throw new Refusal('maxciph-invalid', `maxciph ${places} does not fit the list or the keep lists`);
  }
  return session.independentGenerators(places);
}

function checkOutput(
  session: MixSession,
  files: ProofFiles,
  last: number,
  list: Ciphertexts,
  expect: Expectations,
): void {
  const name = fileNames.output(last);
  if (files.has(name) && !sameCiphertexts(readList(session, files, name, list.length), list)) {
    throw new Refusal('output-mismatch', `${name} differs from ${fileNames.shuffledCiphertexts}`);
  }
  checkedList(
    session,
    files,
    fileNames.shuffledCiphertexts,
    expect.shuffledCiphertexts,
    'output-mismatch',
    list.length,
  );
}
