/**
 * The objects of a proof directory, read and written: each function knows one file and its exact form (VF 8), and
 * refuses what follows the end of the tree.
 */
import { type ByteTreeReader, readWhole } from '../byte-tree/reader.ts';
import { booleansLeaf, type Tree } from '../byte-tree/tree.ts';
import {
  type Ciphertexts,
  ciphertextsTree,
  type PublicKey,
  publicKeyTree,
  readCiphertexts,
  readPublicKey,
} from '../elgamal/ciphertexts.ts';
import { componentCount } from '../elgamal/shape.ts';
import { elementArrayTree, readElementArray } from '../groups/tree-codec.ts';
import type { Elements } from '../groups/vectors.ts';
import { type PolynomialInExponent, polynomialTree, readPolynomial } from '../keys/polynomial-in-exponent.ts';
import { utf8 } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import { fileNames } from './file-names.ts';
import { maximalFileLength, type ProofFiles } from './proof-files.ts';

/** `limit`: no file of this name in this session is longer, so a longer one is not even read. */
export function readTree<T>(
  files: ProofFiles,
  name: string,
  limit: number,
  read: (reader: ByteTreeReader) => T,
): T {
  return readWhole(files.read(name, limit), name, read);
}

/** Room for `vectors` lists of `count` items each and for a few single items of every component, generously. */
export function roomFor(session: MixSession, vectors: number, count: number): number {
  const { group, shape } = session;
  const single = 64 + 8 * componentCount(shape) + session.threshold * shape.keyWidth;
  return (vectors * count + single) * (group.treeLength + group.ring.leafWidth + 16);
}

export function writeTree(files: ProofFiles, name: string, tree: Tree): void {
  files.write(name, tree);
}

/** A text file without a newline at its end. */
export function readText(files: ProofFiles, name: string, pattern: RegExp): string {
  const text = Buffer.from(files.read(name, 2048)).toString('latin1');
  if (!pattern.test(text) || text.endsWith('\n')) {
    throw new Refusal('text-file-malformed', `${name} does not hold what it should, to the octet`);
  }
  return text;
}

/** A positive decimal number in a file of its own. */
export function readNumber(files: ProofFiles, name: string): number {
  return Number(readText(files, name, /^[1-9][0-9]{0,8}$/));
}

export function writeText(files: ProofFiles, name: string, text: string | number): void {
  files.write(name, utf8(String(text)));
}

export function readKeyFile(session: MixSession, files: ProofFiles): PublicKey {
  return readTree(files, fileNames.publicKey, roomFor(session, 0, 0), (reader) =>
    readPublicKey(session.codec, reader, fileNames.publicKey),
  );
}

export function writeKeyFile(session: MixSession, files: ProofFiles, key: PublicKey): void {
  writeTree(files, fileNames.publicKey, publicKeyTree(session.codec, key));
}

export function readPolynomialFile(session: MixSession, files: ProofFiles): PolynomialInExponent {
  return readTree(files, fileNames.polynomial, roomFor(session, 0, 0), (reader) =>
    readPolynomial(session.codec, reader, session.threshold, fileNames.polynomial),
  );
}

export function writePolynomialFile(
  session: MixSession,
  files: ProofFiles,
  polynomial: PolynomialInExponent,
): void {
  writeTree(files, fileNames.polynomial, polynomialTree(session.codec, polynomial));
}

/** A list over C; its length must be `count` if given. */
export function readList(session: MixSession, files: ProofFiles, name: string, count?: number): Ciphertexts {
  const components = 2 * componentCount(session.shape);
  const limit = count === undefined ? maximalFileLength : roomFor(session, components, count);
  return readTree(files, name, limit, (reader) => {
    try {
      return readCiphertexts(session.codec, reader, name, count);
    } catch (error) {
      throw error instanceof Refusal ? new Refusal(error.reason, nameFile(name, error.message)) : error;
    }
  });
}

const nameFile = (name: string, message: string): string =>
  message.startsWith(name) ? message : `${name}: ${message}`;

export function writeList(session: MixSession, files: ProofFiles, name: string, list: Ciphertexts): void {
  writeTree(files, name, ciphertextsTree(session.codec, list));
}

export function readPlaintextsFile(session: MixSession, files: ProofFiles, count: number): Elements[] {
  const limit = roomFor(session, componentCount(session.shape), count);
  return readTree(files, fileNames.plaintexts, limit, (reader) =>
    session.codec.readPlaintexts(reader, fileNames.plaintexts, count),
  );
}

export function readElements(session: MixSession, files: ProofFiles, name: string, count: number): Elements {
  return readTree(files, name, roomFor(session, 1, count), (reader) =>
    readElementArray(session.group, reader, name, count),
  );
}

export function writeElements(session: MixSession, files: ProofFiles, name: string, v: Elements): void {
  writeTree(files, name, elementArrayTree(session.group, v));
}

export function readBooleans(files: ProofFiles, name: string, count: number): boolean[] {
  return readTree(files, name, count + 64, (reader) => reader.booleans(count));
}

export function writeBooleans(files: ProofFiles, name: string, values: readonly boolean[]): void {
  writeTree(files, name, booleansLeaf(values));
}
