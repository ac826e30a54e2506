/**
 * Product groups and rings (VF 3.4): how many components keys, plaintexts and ciphertexts have, and how their byte
 * trees nest.
 *
 * In memory a list over a product group is a plain array of components, each a vector of one item per list entry
 * (struct of arrays, as in the byte tree). Component `i * keyWidth + j` belongs to plaintext part i and key part j.
 */

import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { node, type Tree } from '../byte-tree/tree.ts';
import type { Group } from '../groups/group.ts';
import { elementArrayTree, elementTree, readElement, readElementArray } from '../groups/tree-codec.ts';
import type { Elements, Scalars } from '../groups/vectors.ts';

export interface Shape {
  /** Plaintext parts per ciphertext, w. */
  readonly width: number;
  /** Keys side by side, kw. */
  readonly keyWidth: number;
}

export const componentCount = (shape: Shape): number => shape.width * shape.keyWidth;

/** Key part of a component. */
export const keyPart = (shape: Shape, component: number): number => component % shape.keyWidth;

/** Nesting of M, outermost first; a factor of one leaves no node. */
const plaintextNesting = (shape: Shape): number[] => [shape.width, shape.keyWidth].filter((n) => n > 1);
const keyNesting = (shape: Shape): number[] => [shape.keyWidth].filter((n) => n > 1);

function nest(parts: readonly Tree[], dimensions: readonly number[]): Tree {
  const [outer, ...inner] = dimensions;
  if (outer === undefined) return parts[0]!;
  const size = parts.length / outer;
  return node(...Array.from({ length: outer }, (_, i) => nest(parts.slice(i * size, (i + 1) * size), inner)));
}

function readNested<T>(reader: ByteTreeReader, dimensions: readonly number[], read: () => T): T[] {
  const [outer, ...inner] = dimensions;
  if (outer === undefined) return [read()];
  reader.node(outer);
  return Array.from({ length: outer }, () => readNested(reader, inner, read)).flat();
}

/** Trees of elements and scalars of the product structures over one group. */
export class ProductCodec {
  readonly group: Group;
  readonly shape: Shape;

  constructor(group: Group, shape: Shape) {
    this.group = group;
    this.shape = shape;
  }

  /** An element of K; one vector per key part, item `index` of each. */
  keyElement(parts: readonly Elements[], index = 0): Tree {
    return nest(
      parts.map((v) => elementTree(this.group, v, index)),
      keyNesting(this.shape),
    );
  }

  readKeyElement(reader: ByteTreeReader, what: string): Elements[] {
    return readNested(reader, keyNesting(this.shape), () => readElement(this.group, reader, what));
  }

  /** An element of M. */
  plaintext(parts: readonly Elements[], index = 0): Tree {
    return nest(
      parts.map((v) => elementTree(this.group, v, index)),
      plaintextNesting(this.shape),
    );
  }

  readPlaintext(reader: ByteTreeReader, what: string): Elements[] {
    return readNested(reader, plaintextNesting(this.shape), () => readElement(this.group, reader, what));
  }

  /** An array over M. */
  plaintexts(parts: readonly Elements[]): Tree {
    return nest(
      parts.map((v) => elementArrayTree(this.group, v)),
      plaintextNesting(this.shape),
    );
  }

  /** An array over M; all components have the same length, `count` if given. */
  readPlaintexts(reader: ByteTreeReader, what: string, count?: number): Elements[] {
    let length = count;
    return readNested(reader, plaintextNesting(this.shape), () => {
      const v = readElementArray(this.group, reader, what, length);
      length = v.length;
      return v;
    });
  }

  /** An element of the randomness space of M. */
  randomness(parts: readonly Scalars[]): Tree {
    return nest(
      parts.map((v) => this.group.ring.scalarTree(v)),
      plaintextNesting(this.shape),
    );
  }

  readRandomness(reader: ByteTreeReader): Scalars[] {
    return readNested(reader, plaintextNesting(this.shape), () => this.group.ring.readScalar(reader));
  }

  /** An element of the randomness space of K. */
  keyScalar(parts: readonly Scalars[]): Tree {
    return nest(
      parts.map((v) => this.group.ring.scalarTree(v)),
      keyNesting(this.shape),
    );
  }

  readKeyScalar(reader: ByteTreeReader): Scalars[] {
    return readNested(reader, keyNesting(this.shape), () => this.group.ring.readScalar(reader));
  }
}
