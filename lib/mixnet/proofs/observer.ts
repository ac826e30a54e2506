/** Intermediate values under the names and in the notation of `vmnv -t` (VF 12), for whoever compares two verifiers. */
import type { Ciphertexts } from '../elgamal/ciphertexts.ts';
import type { ProductCodec, Shape } from '../elgamal/shape.ts';
import type { Group } from '../groups/group.ts';
import type { Elements, Scalars } from '../groups/vectors.ts';
import { shortHex } from '../octets.ts';

/** Receives a value; the text is made only if somebody listens. */
export type Observer = (name: string, value: string) => void;

export const octetsText = (bytes: Uint8Array): string => shortHex(bytes);

export function elementText(group: Group, v: Elements): string {
  return group.tracedElement(v, 0);
}

export function arrayText(group: Group, v: Elements): string {
  return group.tracedArray(v);
}

export function scalarText(v: Scalars, index = 0): string {
  return shortHex(v.bytes.subarray(index * v.stride, (index + 1) * v.stride));
}

export function scalarArrayText(v: Scalars): string {
  return `(${Array.from({ length: v.length }, (_, i) => scalarText(v, i)).join(',')})`;
}

function nestText(parts: readonly string[], shape: Shape): string {
  const keys = Array.from({ length: shape.width }, (_, i) =>
    bracket(parts.slice(i * shape.keyWidth, (i + 1) * shape.keyWidth)),
  );
  return bracket(keys);
}

const bracket = (parts: readonly string[]): string =>
  parts.length === 1 ? parts[0]! : `(${parts.join(',')})`;

/** An element of M, or an array over M if the vectors are longer. */
export function plaintextText(codec: ProductCodec, parts: readonly Elements[], array = false): string {
  const one = array ? arrayText : elementText;
  return nestText(
    parts.map((v) => one(codec.group, v)),
    codec.shape,
  );
}

export function randomnessText(shape: Shape, parts: readonly Scalars[]): string {
  return nestText(
    parts.map((v) => scalarText(v)),
    shape,
  );
}

/** An element of C, or an array over C. */
export function ciphertextText(
  codec: ProductCodec,
  list: Pick<Ciphertexts, 'u' | 'v'>,
  array = false,
): string {
  return `(${plaintextText(codec, list.u, array)},${plaintextText(codec, list.v, array)})`;
}

/** An element of K. */
export function keyText(group: Group, parts: readonly Elements[]): string {
  return bracket(parts.map((v) => elementText(group, v)));
}
