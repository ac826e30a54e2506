/**
 * The formats in which keys, ciphertexts and plaintexts enter and leave the mix-net (VF 3.5): raw byte trees, `native`
 * lines of hex, `seqjson` mirrors, and `json`.
 *
 * `json` is Verificatum's for groups modulo a prime; for P-256 it is the same with elements as in ballots (D45).
 */
import { z } from 'zod';
import { fromMirror, parseByteTree, toMirror, treeOf } from '../byteTree/mirror.ts';
import { readWhole } from '../byteTree/reader.ts';
import { node, serialise } from '../byteTree/tree.ts';
import {
  type Ciphertexts,
  ciphertextsOf,
  ciphertextsTree,
  ciphertextTree,
  type PublicKey,
  publicKeyTree,
  readCiphertext,
  readCiphertexts,
  readPublicKey,
} from '../elgamal/ciphertexts.ts';
import { componentCount, ProductCodec, type Shape } from '../elgamal/shape.ts';
import type { Group } from '../groups/group.ts';
import { readGroup } from '../groups/registry.ts';
import { type Elements, join } from '../groups/vectors.ts';
import { equalOctets, fromHex, hex, utf8 } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { publicKeyFromJson, publicKeyToJson } from './publicKeyJson.ts';

export const externalFormats = ['raw', 'native', 'seqjson', 'json'] as const;
export type ExternalFormat = (typeof externalFormats)[number];

const element = z.string().max(1300);
const pair = z.strictObject({ alpha: element, beta: element });
const jsonCiphertext = z.union([pair, z.array(pair)]);

const noLines = (): never => {
  throw new Refusal('json-malformed', 'the text is not of the form of its format');
};

// --- public keys: node(marshal(K), node(g, y)), of key width one ------------------------------------------------

export function writePublicKey(group: Group, key: PublicKey, format: ExternalFormat): Uint8Array {
  if (format === 'json') {
    const encoding = group.kind === 'multiplicative' ? { encoding: '1' } : {};
    return utf8(JSON.stringify({ ...publicKeyToJson(group, key), ...encoding }));
  }
  const codec = new ProductCodec(group, { width: 1, keyWidth: 1 });
  const raw = serialise(node(group.marshalled, publicKeyTree(codec, key)));
  if (format === 'raw') return raw;
  return utf8(format === 'native' ? hex(raw) : mirrorText(raw));
}

export function parsePublicKey(bytes: Uint8Array, format: ExternalFormat): { group: Group; key: PublicKey } {
  if (format === 'json') return publicKeyFromJson(parseJson(text(bytes)));
  const raw = toRaw(bytes, format);
  const found = readWhole(raw, 'public key', (reader) => {
    reader.node(2);
    const group = readGroup(reader);
    const codec = new ProductCodec(group, { width: 1, keyWidth: 1 });
    return { group, key: readPublicKey(codec, reader, 'public key') };
  });
  if (!equalOctets(raw, writePublicKey(found.group, found.key, 'raw'))) {
    throw new Refusal('group-description-invalid', 'the group description is not in canonical form');
  }
  return found;
}

// --- ciphertexts --------------------------------------------------------------------------------------------------

export function writeCiphertexts(codec: ProductCodec, list: Ciphertexts, format: ExternalFormat): Uint8Array {
  if (format === 'raw') return serialise(ciphertextsTree(codec, list));
  const trees = Array.from({ length: list.length }, (_, i) => i);
  if (format === 'native') {
    return utf8(trees.map((i) => `${hex(serialise(ciphertextTree(codec, list, i)))}\n`).join(''));
  }
  if (format === 'json') return utf8(trees.map((i) => `${ciphertextJson(codec.group, list, i)}\n`).join(''));
  const mirrors = trees.map((i) => toMirror(parseByteTree(serialise(ciphertextTree(codec, list, i)))));
  return utf8(JSON.stringify(mirrors, null, 2));
}

export function parseCiphertexts(
  codec: ProductCodec,
  bytes: Uint8Array,
  format: ExternalFormat,
): Ciphertexts {
  if (format === 'raw') {
    return readWhole(bytes, 'ciphertexts', (reader) => readCiphertexts(codec, reader, 'ciphertexts'));
  }
  if (format === 'json')
    return joinLists(lines(text(bytes)).map((line, i) => parseJsonCiphertext(codec, line, i)));
  const trees = format === 'native' ? lines(text(bytes)).map(hexOctets) : mirrorArray(text(bytes));
  return joinLists(
    trees.map((tree, i) =>
      readWhole(tree, `ciphertext ${i}`, (reader) => readCiphertext(codec, reader, `ciphertext ${i}`)),
    ),
  );
}

/** One ciphertext as `{"alpha", "beta"}`, a wide one as an array of these. */
function ciphertextJson(group: Group, list: Ciphertexts, index: number): string {
  const pairs = list.u.map((u, c) => ({
    alpha: group.elementText(u, index),
    beta: group.elementText(list.v[c]!, index),
  }));
  return JSON.stringify(pairs.length === 1 ? pairs[0] : pairs);
}

function parseJsonCiphertext(codec: ProductCodec, line: string, index: number): Ciphertexts {
  const parsed = jsonCiphertext.safeParse(parseJson(line));
  if (!parsed.success) return noLines();
  const pairs = Array.isArray(parsed.data) ? parsed.data : [parsed.data];
  const components = componentCount(codec.shape);
  if (pairs.length !== components || Array.isArray(parsed.data) !== components > 1) {
    throw new Refusal(
      'width-mismatch',
      `ciphertext ${index} has ${pairs.length} parts, expected ${components}`,
    );
  }
  return ciphertextsOf(
    pairs.map(({ alpha }) => codec.group.parseElement(alpha, `alpha of ciphertext ${index}`)),
    pairs.map(({ beta }) => codec.group.parseElement(beta, `beta of ciphertext ${index}`)),
  );
}

/** Lists, usually of one ciphertext each, one after the other. */
export function joinLists(lists: readonly Ciphertexts[]): Ciphertexts {
  const [first] = lists;
  if (first === undefined) throw new Refusal('list-length-mismatch', 'the list of ciphertexts is empty');
  const rest = lists.slice(1);
  return ciphertextsOf(
    first.u.map((u, c) => join(u, ...rest.map((list) => list.u[c]!))),
    first.v.map((v, c) => join(v, ...rest.map((list) => list.v[c]!))),
  );
}

// --- plaintexts ---------------------------------------------------------------------------------------------------

/**
 * `native`: the decoded message of a line, its parts one after the other, without line ends, not reversible in general.
 * `json`: the elements themselves, not decoded, one `"…"` or array of these per line.
 */
export function writePlaintexts(
  codec: ProductCodec,
  plaintexts: readonly Elements[],
  format: Exclude<ExternalFormat, 'seqjson'>,
): Uint8Array {
  if (format === 'raw') return serialise(codec.plaintexts(plaintexts));
  const { group } = codec;
  const length = plaintexts[0]!.length;
  if (format === 'native') {
    const messages = plaintexts.map((v) => group.decodeMessages(v));
    const line = (i: number): string =>
      messages
        .map((part) => new TextDecoder().decode(part[i]!))
        .join('')
        .replace(/[\r\n]/g, '');
    return utf8(Array.from({ length }, (_, i) => `${line(i)}\n`).join(''));
  }
  const jsonLine = (i: number): string => {
    const parts = plaintexts.map((v) => group.elementText(v, i));
    return JSON.stringify(parts.length === 1 ? parts[0] : parts);
  };
  return utf8(Array.from({ length }, (_, i) => `${jsonLine(i)}\n`).join(''));
}

/** From `raw` or `json`. */
export function parsePlaintexts(codec: ProductCodec, bytes: Uint8Array, format: 'raw' | 'json'): Elements[] {
  if (format === 'raw') {
    return readWhole(bytes, 'plaintexts', (reader) => codec.readPlaintexts(reader, 'plaintexts'));
  }
  const components = componentCount(codec.shape);
  const rows = lines(text(bytes)).map((line) => {
    const parsed = z.union([element.transform((one) => [one]), z.array(element)]).safeParse(parseJson(line));
    return parsed.success && parsed.data.length === components ? parsed.data : noLines();
  });
  return Array.from({ length: components }, (_, c) => {
    const parts = rows.map((row, i) => codec.group.parseElement(row[c]!, `plaintext ${i}`));
    return join(codec.group.identity(0), ...parts);
  });
}

/** Decoded messages per entry, the parts of a wide plaintext one after the other. */
export function decodePlaintexts(group: Group, plaintexts: readonly Elements[]): Uint8Array[][] {
  const parts = plaintexts.map((v) => group.decodeMessages(v));
  return Array.from({ length: plaintexts[0]!.length }, (_, i) => parts.map((part) => part[i]!));
}

// --- texts --------------------------------------------------------------------------------------------------------

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return noLines();
  }
}

function lines(source: string): string[] {
  const found = source.split('\n');
  if (found.at(-1) === '') found.pop();
  return found;
}

const hexOctets = (line: string): Uint8Array => fromHex(line) ?? noLines();

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return noLines();
  }
}

function toRaw(bytes: Uint8Array, format: 'raw' | 'native' | 'seqjson'): Uint8Array {
  if (format === 'raw') return bytes;
  if (format === 'native') return hexOctets(text(bytes).trimEnd());
  return serialise(treeOf(fromMirror(parseJson(text(bytes)))));
}

const mirrorText = (raw: Uint8Array): string => JSON.stringify(toMirror(parseByteTree(raw)), null, 2);

function mirrorArray(source: string): Uint8Array[] {
  const parsed = parseJson(source);
  if (!Array.isArray(parsed)) return noLines();
  return parsed.map((value) => serialise(treeOf(fromMirror(value))));
}

/** The codec of lists of one width under a key of width one. */
export function narrowCodec(group: Group, width = 1): ProductCodec {
  const shape: Shape = { width, keyWidth: 1 };
  return new ProductCodec(group, shape);
}
