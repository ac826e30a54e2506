/**
 * The formats in which keys, ciphertexts and plaintexts enter and leave the mix-net (VF 3.5): raw byte trees, `native`
 * lines of hex, `seqjson` mirrors, and `json`.
 *
 * `json` is Verificatum's for groups modulo a prime; for P-256 it is the same with elements as in ballots (D45).
 */
import { z } from 'zod';
import { fromMirror, parseByteTree, toMirror, treeOf } from '../byte-tree/mirror.ts';
import { readWhole } from '../byte-tree/reader.ts';
import { node, serialise } from '../byte-tree/tree.ts';
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
import { componentCount, ProductCodec } from '../elgamal/shape.ts';
import type { Group } from '../groups/group.ts';
import { readGroup } from '../groups/registry.ts';
import { type Elements, joinAll } from '../groups/vectors.ts';
import { concatenate, equalOctets, fromHex, hex, utf8 } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { publicKeyFromJson, publicKeyToJson } from './public-key-json.ts';

export const externalFormats = ['raw', 'native', 'seqjson', 'json'] as const;
export type ExternalFormat = (typeof externalFormats)[number];

const element = z.string().max(1300);
const pair = z.strictObject({ alpha: element, beta: element });
const jsonCiphertext = z.union([pair, z.array(pair)]);
const jsonPlaintext = z.union([element.transform((one) => [one]), z.array(element)]);

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
  if (format === 'native') {
    return textOfLines(list.length, (i) => hex(serialise(ciphertextTree(codec, list, i))));
  }
  if (format === 'json') return textOfLines(list.length, (i) => ciphertextJson(codec.group, list, i));
  const trees = Array.from({ length: list.length }, (_, i) => i);
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
  if (format === 'json') {
    return joinLists(inChunks(lines(bytes), (rows, first) => parseJsonCiphertexts(codec, rows, first)));
  }
  const trees = format === 'native' ? lines(bytes) : mirrorArray(text(bytes));
  return joinLists(
    inChunks<string | Uint8Array, Ciphertexts>(trees, (some, first) =>
      joinLists(
        some.map((tree, i) => {
          const what = `ciphertext ${first + i}`;
          const octets = typeof tree === 'string' ? hexOctets(tree) : tree;
          return readWhole(octets, what, (reader) => readCiphertext(codec, reader, what));
        }),
      ),
    ),
  );
}

/** Lines are decoded and parsed so many at a time: there is never an object for every ciphertext of a long list. */
const chunk = 4096;

function inChunks<T, R>(items: Iterable<T>, work: (some: readonly T[], first: number) => R): R[] {
  const done: R[] = [];
  let some: T[] = [];
  let first = 0;
  for (const item of items) {
    some.push(item);
    if (some.length < chunk) continue;
    done.push(work(some, first));
    first += some.length;
    some = [];
  }
  if (some.length > 0) done.push(work(some, first));
  return done;
}

/** One ciphertext as `{"alpha", "beta"}`, a wide one as an array of these. */
function ciphertextJson(group: Group, list: Ciphertexts, index: number): string {
  const pairs = list.u.map((u, c) => ({
    alpha: group.elementText(u, index),
    beta: group.elementText(list.v[c]!, index),
  }));
  return JSON.stringify(pairs.length === 1 ? pairs[0] : pairs);
}

function parseJsonCiphertexts(codec: ProductCodec, rows: readonly string[], first: number): Ciphertexts {
  const components = componentCount(codec.shape);
  const pairs = rows.map((line, i) => {
    const parsed = jsonCiphertext.safeParse(parseJson(line));
    if (!parsed.success) return noLines();
    const parts = Array.isArray(parsed.data) ? parsed.data : [parsed.data];
    if (parts.length !== components || Array.isArray(parsed.data) !== components > 1) {
      throw new Refusal(
        'width-mismatch',
        `ciphertext ${first + i} has ${parts.length} parts, expected ${components}`,
      );
    }
    return parts;
  });
  const half = (name: 'alpha' | 'beta'): Elements[] =>
    Array.from({ length: components }, (_, c) =>
      codec.group.parseElements(
        pairs.map((parts) => parts[c]![name]),
        (i) => `${name} of ciphertext ${first + i}`,
      ),
    );
  return ciphertextsOf(half('alpha'), half('beta'));
}

/** Lists one after the other. */
function joinLists(lists: readonly Ciphertexts[]): Ciphertexts {
  const [first] = lists;
  if (first === undefined) throw new Refusal('list-length-mismatch', 'the list of ciphertexts is empty');
  return ciphertextsOf(
    first.u.map((_, c) => joinAll(lists.map((list) => list.u[c]!))),
    first.v.map((_, c) => joinAll(lists.map((list) => list.v[c]!))),
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
    return textOfLines(length, line);
  }
  const jsonLine = (i: number): string => {
    const parts = plaintexts.map((v) => group.elementText(v, i));
    return JSON.stringify(parts.length === 1 ? parts[0] : parts);
  };
  return textOfLines(length, jsonLine);
}

/** From `raw` or `json`. */
export function parsePlaintexts(codec: ProductCodec, bytes: Uint8Array, format: 'raw' | 'json'): Elements[] {
  if (format === 'raw') {
    return readWhole(bytes, 'plaintexts', (reader) => codec.readPlaintexts(reader, 'plaintexts'));
  }
  const components = componentCount(codec.shape);
  const chunks = inChunks(lines(bytes), (some, first) => {
    const rows = some.map((line) => {
      const parsed = jsonPlaintext.safeParse(parseJson(line));
      return parsed.success && parsed.data.length === components ? parsed.data : noLines();
    });
    return Array.from({ length: components }, (_, c) =>
      codec.group.parseElements(
        rows.map((row) => row[c]!),
        (i) => `plaintext ${first + i}`,
      ),
    );
  });
  return Array.from({ length: components }, (_, c) =>
    joinAll([codec.group.identity(0), ...chunks.map((parts) => parts[c]!)]),
  );
}

// --- texts --------------------------------------------------------------------------------------------------------

function textOfLines(count: number, line: (index: number) => string): Uint8Array {
  const pieces = inChunks(
    (function* () {
      for (let i = 0; i < count; i++) yield line(i);
    })(),
    (some) => utf8(`${some.join('\n')}\n`),
  );
  return concatenate(...pieces);
}

function text(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return noLines();
  }
}

/** The lines of a text in UTF-8, one after the other. */
function* lines(bytes: Uint8Array): Generator<string> {
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0x0a, from);
    const to = end === -1 ? bytes.length : end;
    yield text(bytes.subarray(from, to));
    from = to + 1;
  }
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
