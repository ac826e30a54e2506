/**
 * Flat vectors: group elements or scalars of one fixed width, one after the other in a single `Uint8Array`.
 *
 * Nothing here knows what an item means; arithmetic is the `Group`'s and the `ScalarRing`'s. Vectors are never changed
 * after they were made, so views of the same memory may be shared.
 */

export interface FlatVector<Kind extends string> {
  readonly kind: Kind;
  /** Octets per item. */
  readonly stride: number;
  /** Number of items. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** Elements of the group, in the group's own fixed-width form. */
export type Elements = FlatVector<'elements'>;

/** Integers modulo the group order, big endian, canonical. */
export type Scalars = FlatVector<'scalars'>;

export function vectorOf<K extends string>(kind: K, stride: number, bytes: Uint8Array): FlatVector<K> {
  if (bytes.length % stride !== 0)
    throw new RangeError(`${bytes.length} octets are no vector of stride ${stride}`);
  return { kind, stride, length: bytes.length / stride, bytes };
}

/** Items `from` (inclusive) to `to` (exclusive), sharing memory. */
export function slice<K extends string>(v: FlatVector<K>, from: number, to = v.length): FlatVector<K> {
  if (from < 0 || to > v.length || from > to)
    throw new RangeError(`no items ${from} to ${to} of ${v.length}`);
  return { ...v, length: to - from, bytes: v.bytes.subarray(from * v.stride, to * v.stride) };
}

/** Item `index` as a vector of length one. */
export function item<K extends string>(v: FlatVector<K>, index: number): FlatVector<K> {
  return slice(v, index, index + 1);
}

export function join<K extends string>(
  first: FlatVector<K>,
  ...rest: readonly FlatVector<K>[]
): FlatVector<K> {
  return joinAll([first, ...rest]);
}

/** As many as there are, at least one. */
export function joinAll<K extends string>(all: readonly FlatVector<K>[]): FlatVector<K> {
  const [first] = all;
  if (first === undefined) throw new RangeError('nothing to join');
  const bytes = new Uint8Array(all.reduce((sum, v) => sum + v.bytes.length, 0));
  let at = 0;
  for (const v of all) {
    bytes.set(v.bytes, at);
    at += v.bytes.length;
  }
  return vectorOf(first.kind, first.stride, bytes);
}

/** `out[j] = v[indices[j]]`. */
export function gather<K extends string>(v: FlatVector<K>, indices: ArrayLike<number>): FlatVector<K> {
  const { stride } = v;
  const bytes = new Uint8Array(indices.length * stride);
  if (stride % 4 === 0 && v.bytes.byteOffset % 4 === 0) {
    const words = stride / 4;
    const from = new Uint32Array(v.bytes.buffer, v.bytes.byteOffset, v.bytes.length / 4);
    const to = new Uint32Array(bytes.buffer);
    for (let j = 0, at = 0; j < indices.length; j++) {
      const first = indices[j]! * words;
      if (first >= from.length) throw new RangeError(`no item ${indices[j]} of ${v.length}`);
      for (let k = first; k < first + words; k++) to[at++] = from[k]!;
    }
    return vectorOf(v.kind, stride, bytes);
  }
  for (let j = 0; j < indices.length; j++) {
    const from = indices[j]! * stride;
    bytes.set(v.bytes.subarray(from, from + stride), j * stride);
  }
  return vectorOf(v.kind, stride, bytes);
}

/** `out[pi[i]] = v[i]`, Verificatum's `permute` (VF 9). */
export function permute<K extends string>(v: FlatVector<K>, pi: Uint32Array): FlatVector<K> {
  return gather(v, inverse(pi));
}

export function inverse(pi: Uint32Array): Uint32Array {
  const out = new Uint32Array(pi.length);
  for (let i = 0; i < pi.length; i++) out[pi[i]!] = i;
  return out;
}

/** The items where `keep` is true, in order. */
export function filter<K extends string>(v: FlatVector<K>, keep: readonly boolean[]): FlatVector<K> {
  const indices: number[] = [];
  keep.forEach((kept, index) => {
    if (kept) indices.push(index);
  });
  return gather(v, indices);
}

/** `count` copies of the single item of `v`. */
export function repeat<K extends string>(v: FlatVector<K>, count: number): FlatVector<K> {
  return gather(v, new Uint32Array(count));
}

export function sameVector<K extends string>(a: FlatVector<K>, b: FlatVector<K>): boolean {
  return a.length === b.length && Buffer.compare(a.bytes, b.bytes) === 0;
}
