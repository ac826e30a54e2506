/**
 * Byte trees, written (VF 1): `leaf = 01 len data`, `node = 00 count child…`.
 *
 * A `Tree` is a function that writes itself into a sink, so a list of a hundred thousand group elements is hashed or
 * stored straight from its flat array without an object per element.
 */
import { concatenate, fromBigInt, signedWidth, uint32, utf8 } from '../octets.ts';

/** Receives octets; must copy what it keeps, since the writer may reuse the array. */
export interface TreeSink {
  write(bytes: Uint8Array): void;
}

export type Tree = (sink: TreeSink) => void;

export function leaf(data: Uint8Array): Tree {
  return (sink) => {
    sink.write(concatenate(Uint8Array.of(1), uint32(data.length)));
    sink.write(data);
  };
}

export function node(...children: readonly Tree[]): Tree {
  return (sink) => {
    sink.write(nodeHeader(children.length));
    for (const child of children) child(sink);
  };
}

export function nodeHeader(count: number): Uint8Array {
  return concatenate(Uint8Array.of(0), uint32(count));
}

export const textLeaf = (text: string): Tree => leaf(utf8(text));
export const intLeaf = (value: number): Tree => leaf(uint32(value));

/** A non-negative integer as `BigInteger.toByteArray()` writes it. */
export const integerLeaf = (value: bigint): Tree => leaf(fromBigInt(value, signedWidth(value)));

/** `bool[]`: one leaf, one octet 00 or 01 per entry. */
export const booleansLeaf = (values: readonly boolean[]): Tree =>
  leaf(Uint8Array.from(values, (value) => (value ? 1 : 0)));

/** The octets of a tree. */
export function serialise(tree: Tree): Uint8Array {
  let length = 0;
  let out = new Uint8Array(256);
  tree({
    write(bytes) {
      if (length + bytes.length > out.length) {
        const larger = new Uint8Array(Math.max(2 * out.length, length + bytes.length));
        larger.set(out.subarray(0, length));
        out = larger;
      }
      out.set(bytes, length);
      length += bytes.length;
    },
  });
  return out.slice(0, length);
}
