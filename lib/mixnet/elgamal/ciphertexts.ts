/**
 * ElGamal over a product group: keys, ciphertexts, re-encryption (VF 3.4). A ciphertext is `(u, v) = (g^r, m y^r)`.
 */
import type { ByteTreeReader } from '../byte-tree/reader.ts';
import { node, type Tree } from '../byte-tree/tree.ts';
import { type Elements, gather, type Scalars, sameVector } from '../groups/vectors.ts';
import { Refusal } from '../refusal.ts';
import { componentCount, keyPart, type ProductCodec } from './shape.ts';

/** `y`: one vector of length one per key part. The first half of the full key is the standard generator. */
export interface PublicKey {
  readonly y: readonly Elements[];
}

/** A list over C: per component the vectors of all first and all second halves. */
export interface Ciphertexts {
  readonly length: number;
  readonly u: readonly Elements[];
  readonly v: readonly Elements[];
}

export function ciphertextsOf(u: readonly Elements[], v: readonly Elements[]): Ciphertexts {
  return { length: u[0]!.length, u, v };
}

/** `y` for each component of a plaintext: the wide key's second half (VF 3.4). */
export function wideKey(codec: ProductCodec, key: PublicKey): Elements[] {
  return Array.from({ length: componentCount(codec.shape) }, (_, c) => key.y[keyPart(codec.shape, c)]!);
}

/** `node(g, y)` in K x K. */
export function publicKeyTree(codec: ProductCodec, key: PublicKey): Tree {
  return node(codec.keyElement(key.y.map(() => codec.group.generator)), codec.keyElement(key.y));
}

/** The wide form that is hashed: `((g, …), (y, …))` in C. */
export function wideKeyTree(codec: ProductCodec, key: PublicKey): Tree {
  const y = wideKey(codec, key);
  return node(codec.plaintext(y.map(() => codec.group.generator)), codec.plaintext(y));
}

/** Refuses a key whose first half is not the standard generator, or whose second half is the identity. */
export function readPublicKey(codec: ProductCodec, reader: ByteTreeReader, what: string): PublicKey {
  reader.node(2);
  const generators = codec.readKeyElement(reader, what);
  const y = codec.readKeyElement(reader, what);
  if (!generators.every((g) => sameVector(g, codec.group.generator))) {
    throw new Refusal('generator-mismatch', `${what}: the first half is not the standard generator`);
  }
  if (y.some((part) => codec.group.isIdentity(part, 0))) {
    throw new Refusal('element-is-identity', `${what}: the key is the identity`);
  }
  return { y };
}

export function ciphertextsTree(codec: ProductCodec, list: Ciphertexts): Tree {
  return node(codec.plaintexts(list.u), codec.plaintexts(list.v));
}

export function ciphertextTree(codec: ProductCodec, list: Ciphertexts, index: number): Tree {
  return node(codec.plaintext(list.u, index), codec.plaintext(list.v, index));
}

export function readCiphertexts(
  codec: ProductCodec,
  reader: ByteTreeReader,
  what: string,
  count?: number,
): Ciphertexts {
  reader.node(2);
  const u = codec.readPlaintexts(reader, what, count);
  const v = codec.readPlaintexts(reader, what, u[0]!.length);
  return ciphertextsOf(u, v);
}

export function readCiphertext(codec: ProductCodec, reader: ByteTreeReader, what: string): Ciphertexts {
  reader.node(2);
  return ciphertextsOf(codec.readPlaintext(reader, what), codec.readPlaintext(reader, what));
}

/** `(g^{r_c}, m_c y_c^{r_c})` per component c. `plaintexts` and `randomness` hold one vector per component. */
export function encrypt(
  codec: ProductCodec,
  key: PublicKey,
  plaintexts: readonly Elements[],
  randomness: readonly Scalars[],
): Ciphertexts {
  const { group } = codec;
  const y = wideKey(codec, key);
  return ciphertextsOf(
    randomness.map((r) => group.powerOfFixed(group.generator, r)),
    randomness.map((r, c) => group.productOfFixed([{ base: y[c]!, exponents: r }], plaintexts[c]!)),
  );
}

/** Each ciphertext times an encryption of one with the given randomness. */
export function reencrypt(
  codec: ProductCodec,
  key: PublicKey,
  list: Ciphertexts,
  randomness: readonly Scalars[],
): Ciphertexts {
  const { group } = codec;
  const y = wideKey(codec, key);
  return ciphertextsOf(
    list.u.map((u, c) => group.productOfFixed([{ base: group.generator, exponents: randomness[c]! }], u)),
    list.v.map((v, c) => group.productOfFixed([{ base: y[c]!, exponents: randomness[c]! }], v)),
  );
}

/** `out[j] = list[indices[j]]`. */
export function gatherCiphertexts(list: Ciphertexts, indices: Uint32Array): Ciphertexts {
  return ciphertextsOf(
    list.u.map((u) => gather(u, indices)),
    list.v.map((v) => gather(v, indices)),
  );
}

export function sameCiphertexts(a: Ciphertexts, b: Ciphertexts): boolean {
  return (
    a.u.length === b.u.length &&
    a.u.every((u, c) => sameVector(u, b.u[c]!)) &&
    a.v.every((v, c) => sameVector(v, b.v[c]!))
  );
}
