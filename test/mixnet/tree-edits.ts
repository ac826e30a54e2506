/** Changes to one place of a serialised byte tree, for manipulated proofs. */
import { type ByteTree, parseByteTree, treeOf } from '../../lib/mixnet/byte-tree/mirror.ts';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { fromBigInt, fromHex, toBigInt } from '../../lib/mixnet/octets.ts';

export type TreePath = readonly number[];
export type Edit = (tree: ByteTree) => ByteTree;

const isLeaf = (tree: ByteTree): tree is Uint8Array => tree instanceof Uint8Array;

/** The file with the subtree at `path` edited. */
export function edited(octets: Uint8Array, path: TreePath, edit: Edit): Uint8Array {
  return serialise(treeOf(editAt(parseByteTree(octets), path, edit)));
}

function editAt(tree: ByteTree, [first, ...rest]: TreePath, edit: Edit): ByteTree {
  if (first === undefined) return edit(tree);
  if (isLeaf(tree) || tree[first] === undefined) throw new Error(`no child ${first}`);
  return tree.map((child, i) => (i === first ? editAt(child, rest, edit) : child));
}

function leafOf(tree: ByteTree): Uint8Array {
  if (!isLeaf(tree)) throw new Error('not a leaf');
  return tree;
}

const prime = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const generator = [
  '006b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296',
  '004fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
].map((text) => fromHex(text)!);

function coordinate(tree: ByteTree, change: (value: bigint) => bigint): ByteTree {
  if (isLeaf(tree)) throw new Error('not a point');
  const [x, y] = tree as readonly [ByteTree, ByteTree];
  return [x, fromBigInt(change(toBigInt(leafOf(y))), 33)];
}

/** What can be done to a point of P-256, and what it then is. */
export const pointEdits = {
  /** Of the group, but another. */
  another: () => [...generator],
  opposite: (tree) => coordinate(tree, (y) => prime - y),
  infinity: () => [new Uint8Array(33).fill(0xff), new Uint8Array(33).fill(0xff)],
  offCurve: (tree) => coordinate(tree, (y) => (y + 1n) % prime),
  aboveRange: (tree) => coordinate(tree, (y) => y + prime),
  longer: (tree) => coordinateLength(tree, 34),
  shorter: (tree) => coordinateLength(tree, 32),
  leaf: () => new Uint8Array(71),
  third: (tree) => [...(tree as readonly ByteTree[]), new Uint8Array(0)],
} as const satisfies Record<string, Edit>;

function coordinateLength(tree: ByteTree, length: number): ByteTree {
  const [x, y] = tree as readonly [ByteTree, ByteTree];
  return [x, fromBigInt(toBigInt(leafOf(y)) % 2n ** 248n, length)];
}

/** What can be done to a scalar modulo the order of P-256. */
export const scalarEdits = (order: bigint) =>
  ({
    another: (tree) => fromBigInt((toBigInt(leafOf(tree)) + 1n) % order, 33),
    opposite: (tree) => fromBigInt(order - toBigInt(leafOf(tree)), 33),
    aboveRange: (tree) => fromBigInt(toBigInt(leafOf(tree)) + order, 33),
    order: () => fromBigInt(order, 33),
    negative: () => new Uint8Array(33).fill(0xff),
    longer: (tree) => fromBigInt(toBigInt(leafOf(tree)), 34),
    /** Of as many octets as the leaf. */
    node: () => [new Uint8Array(28)],
  }) as const satisfies Record<string, Edit>;
