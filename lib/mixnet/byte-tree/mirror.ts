/**
 * Byte trees as values: for small trees of unknown shape, and for the JSON mirror (`seqjson`: a leaf is a hex string,
 * a node an array; VF 1). Parsing is iterative, bounded in depth and in number of trees.
 */
import { fromHex, hex } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { leaf, node, type Tree } from './tree.ts';

export type ByteTree = Uint8Array | readonly ByteTree[];

export interface ByteTreeLimits {
  readonly depth: number;
  readonly trees: number;
}

export const defaultLimits: ByteTreeLimits = { depth: 64, trees: 1_000_000 };

/** Parses exactly one tree. */
export function parseByteTree(bytes: Uint8Array, limits: ByteTreeLimits = defaultLimits): ByteTree {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const open: { children: ByteTree[]; missing: number }[] = [];
  let at = 0;
  let trees = 0;
  for (;;) {
    if (bytes.length - at < 5) throw new Refusal('byte-tree-truncated', `byte tree ends at octet ${at}`);
    if (++trees > limits.trees) throw new Refusal('byte-tree-too-large', `more than ${limits.trees} trees`);
    const tag = bytes[at];
    const length = view.getInt32(at + 1);
    at += 5;
    if (tag !== 0 && tag !== 1) throw new Refusal('byte-tree-unknown-tag', `tag ${tag} at octet ${at - 5}`);
    if (length < 0) throw new Refusal('byte-tree-too-large', `a length of 2^31 or more at octet ${at - 5}`);
    if ((tag === 0 ? 5 : 1) * length > bytes.length - at) {
      throw new Refusal('byte-tree-truncated', `length ${length} at octet ${at - 5} exceeds what follows`);
    }
    let done: ByteTree;
    if (tag === 1) {
      done = bytes.slice(at, at + length);
      at += length;
    } else {
      if (length > 0) {
        if (open.length >= limits.depth)
          throw new Refusal('byte-tree-too-deep', `deeper than ${limits.depth}`);
        open.push({ children: [], missing: length });
        continue;
      }
      done = [];
    }
    for (;;) {
      const parent = open.at(-1);
      if (parent === undefined) {
        if (at !== bytes.length) {
          throw new Refusal(
            'byte-tree-trailing-bytes',
            `${bytes.length - at} octets follow the end of the tree`,
          );
        }
        return done;
      }
      parent.children.push(done);
      if (--parent.missing > 0) break;
      open.pop();
      done = parent.children;
    }
  }
}

/** The writer of a parsed tree. The depth is that of a parsed tree, hence bounded. */
export function treeOf(value: ByteTree): Tree {
  return value instanceof Uint8Array ? leaf(value) : node(...value.map(treeOf));
}

export type JsonMirror = string | readonly JsonMirror[];

export function toMirror(value: ByteTree): JsonMirror {
  return value instanceof Uint8Array ? hex(value) : value.map(toMirror);
}

/** From parsed JSON of unknown shape. */
export function fromMirror(value: unknown, depth = defaultLimits.depth): ByteTree {
  if (typeof value === 'string') {
    const data = fromHex(value);
    if (data === null) throw new Refusal('json-malformed', 'a byte tree leaf is not a string of hex octets');
    return data;
  }
  if (!Array.isArray(value))
    throw new Refusal('json-malformed', 'a byte tree is neither a string nor an array');
  if (depth === 0) throw new Refusal('byte-tree-too-deep', `deeper than ${defaultLimits.depth}`);
  return value.map((child) => fromMirror(child, depth - 1));
}
