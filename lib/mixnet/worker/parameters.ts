/** What the operations of a worker take: plain data that crosses between threads, made into the mix-net's objects. */
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import type { BallotSession } from '../ballots/ballot.ts';
import { readWhole } from '../byte-tree/reader.ts';
import { DirectoryProofFiles, type ProofFiles } from '../directory/proof-files.ts';
import type { PublicKey } from '../elgamal/ciphertexts.ts';
import { type PublicKeyJson, publicKeyFromJson } from '../formats/public-key-json.ts';
import { groupByName } from '../groups/registry.ts';
import { sameVector } from '../groups/vectors.ts';
import { type KeyContext, keyContext } from '../keys/key-context.ts';
import type { PartyKey } from '../keys/party-key.ts';
import { type PolynomialInExponent, readPolynomial } from '../keys/polynomial-in-exponent.ts';
import { fromHex } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { type ProtocolInfo, readProtocolInfo } from '../session/protocol-info.ts';
import { MixSession } from '../session/session.ts';

/** Key generation of one session of one election. */
export interface KeyContextParameters {
  readonly electionId: string;
  readonly sessionId: string;
  /** Name of the group, e.g. `P-256`. */
  readonly group: string;
  readonly threshold: number;
  /** In the order of the party indices. */
  readonly partyKeys: readonly PartyKey[];
}

export function contextOf(parameters: KeyContextParameters): KeyContext {
  const { electionId, sessionId, group, threshold, partyKeys } = parameters;
  return keyContext(electionId, sessionId, groupByName(group), threshold, partyKeys);
}

export interface BallotSessionParameters {
  readonly electionId: string;
  readonly sessionId: string;
  readonly publicKey: PublicKeyJson;
}

export function ballotSessionOf({
  electionId,
  sessionId,
  publicKey,
}: BallotSessionParameters): BallotSession {
  return { electionId, sessionId, ...publicKeyFromJson(publicKey) };
}

/** A proof directory and the session it belongs to. */
export interface DirectoryParameters {
  /** Text of protInfo.xml. */
  readonly protInfo: string;
  readonly auxsid?: string;
  readonly width?: number;
  /** Path of the proof directory. */
  readonly directory: string;
}

export interface OpenDirectory {
  readonly info: ProtocolInfo;
  readonly session: MixSession;
  readonly files: ProofFiles;
}

export function openDirectory({ protInfo, auxsid, width, directory }: DirectoryParameters): OpenDirectory {
  const info = readProtocolInfo(protInfo);
  const session = new MixSession(info, {
    ...(auxsid === undefined ? {} : { auxsid }),
    ...(width === undefined ? {} : { width }),
  });
  return { info, session, files: new DirectoryProofFiles(directory) };
}

/** The key of a session, checked against its group. */
export function keyOf(session: MixSession, json: PublicKeyJson): PublicKey {
  const { group, key } = publicKeyFromJson(json);
  if (group.name !== session.group.name || !sameVector(group.generator, session.group.generator)) {
    throw new Refusal(
      'public-key-mismatch',
      `the public key is of ${group.name}, the session of ${session.group.name}`,
    );
  }
  return key;
}

export function polynomialFrom(session: MixSession, octets: string): PolynomialInExponent {
  const bytes = fromHex(octets);
  if (bytes === null) throw new Refusal('json-malformed', 'the polynomial is not in hex');
  return readWhole(bytes, 'polynomial', (reader) =>
    readPolynomial(session.codec, reader, session.threshold, 'polynomial'),
  );
}

/** A new file of mode 0600, on disk and whole when this returns; an error if there is one already. */
export function createSecretFile(path: string, octets: Uint8Array): void {
  const partial = `${path}.partial`;
  const file = openSync(partial, 'w', 0o600);
  try {
    for (let at = 0; at < octets.length; ) at += writeSync(file, octets, at, octets.length - at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    linkSync(partial, path);
  } finally {
    rmSync(partial);
  }
}

export const readOctets = (path: string): Uint8Array => new Uint8Array(readFileSync(path));
