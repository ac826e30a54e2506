/** Group elements as byte trees: a single one, or an array of a basic group (VF 3.4), in chunks. */
import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { nodeHeader, type Tree } from '../byte-tree/tree.ts';
import type { Group } from './group.ts';
import { type Elements, item, slice, vectorOf } from './vectors.ts';

const chunk = 16_384;

export function elementTree(group: Group, v: Elements, index = 0): Tree {
  return (sink) => sink.write(group.encode(item(v, index)));
}

export function elementArrayTree(group: Group, v: Elements): Tree {
  return (sink) => {
    sink.write(nodeHeader(v.length));
    for (let at = 0; at < v.length; at += chunk) {
      sink.write(group.encode(slice(v, at, Math.min(v.length, at + chunk))));
    }
  };
}

export function readElement(group: Group, reader: ByteTreeReader, what: string): Elements {
  return group.decode(reader.raw(group.treeLength), what);
}

/** `count` undefined: any number of elements. */
export function readElementArray(
  group: Group,
  reader: ByteTreeReader,
  what: string,
  count?: number,
): Elements {
  const length = reader.node(count);
  const trees = reader.raw(length * group.treeLength);
  if (length <= chunk) return group.decode(trees, what);
  const bytes = new Uint8Array(length * group.stride);
  for (let at = 0; at < length; at += chunk) {
    const to = Math.min(length, at + chunk);
    const part = group.decode(trees.subarray(at * group.treeLength, to * group.treeLength), what);
    bytes.set(part.bytes, at * group.stride);
  }
  return vectorOf('elements', group.stride, bytes);
}
