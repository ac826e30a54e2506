/**
 * The interface of a group of prime order, in batches over flat vectors.
 *
 * The protocol code sees only this; which group it is, and whether JavaScript or WebAssembly computes, is known in
 * `groups/` alone (D41). Elements in a vector were checked for membership when they were read, so no operation checks
 * again. The identity is an element like any other.
 */

import type { Tree } from '../byte-tree/tree.ts';
import type { PseudoRandomStream } from '../hashing/random-oracle.ts';
import type { ScalarRing } from './scalar-ring.ts';
import type { Elements, Scalars } from './vectors.ts';

/** A base for whose powers a table is worth making. */
export interface FixedPower {
  readonly base: Elements;
  readonly exponents: Scalars;
}

export interface Group {
  /** Short name for messages and JSON: `P-256`, `modp-2048`, … */
  readonly name: string;
  /** Elements of a multiplicative group are integers; some customs of older ballots hold only there (EO-42). */
  readonly kind: 'curve' | 'multiplicative';
  /** Verificatum's group string, as written to `pgroup` (VF 3.1). */
  readonly description: string;
  /** `marshal(group)` (VF 3.1). */
  readonly marshalled: Tree;
  readonly ring: ScalarRing;
  /** Octets of an element in a vector. */
  readonly stride: number;
  readonly generator: Elements;

  identity(count: number): Elements;
  isIdentity(v: Elements, index: number): boolean;

  /** Item by item; a vector of length one goes with every item of the other. */
  multiply(a: Elements, b: Elements): Elements;
  invert(a: Elements): Elements;
  /** `bases[i]^exponents[i]`, public exponents; one exponent may serve all bases. */
  power(bases: Elements, exponents: Scalars): Elements;
  /** `bases[i]^exponent` for one secret exponent, on the path that leaks least (docs/mix-net.md). */
  powerBySecret(bases: Elements, exponent: Scalars): Elements;
  /** `base^exponents[i]` with a table for the base. */
  powerOfFixed(base: Elements, exponents: Scalars): Elements;
  /** `factor[i]` times all `base^exponents[i]` of the terms, in one pass; without `factor` it is one. */
  productOfFixed(terms: readonly FixedPower[], factor?: Elements): Elements;
  /** The product of all `bases[i]^exponents[i]`; its cost falls with the largest exponent. */
  multiPower(bases: Elements, exponents: Scalars): Elements;
  product(a: Elements): Elements;
  /** Is a power so much cheaper for a short exponent that inverting the base beats negating the exponent? */
  readonly shortExponentsPay: boolean;

  /** Octets of the byte tree of one element. */
  readonly treeLength: number;
  /** The byte trees of all elements, one after the other (VF 3.2, 3.3). */
  encode(v: Elements): Uint8Array;
  /** The reverse; refuses what is not canonical or not in the group. `what` names the input in the refusal. */
  decode(trees: Uint8Array, what: string): Elements;

  /** Independent generators drawn from the stream (VF 7); `slack` is `n_r`. */
  derive(stream: PseudoRandomStream, count: number, slack: number): Elements;

  /** Longest message that fits one element, in octets. */
  readonly messageLength: number;
  /** One element per message (VF 3.2, 3.3). */
  encodeMessages(messages: readonly Uint8Array[]): Elements;
  decodeMessages(v: Elements): Uint8Array[];
  /** Non-negative integers as plaintexts, in the form that ballots of the group use (docs/mix-net.md). */
  encodeIntegers(values: readonly bigint[]): Elements;
  /** `null` for an element that encodes no integer. */
  decodeIntegers(v: Elements): (bigint | null)[];
  /** What a public key in JSON says of the group: `{g, p, q}` or `{group, g}` (D45). */
  readonly jsonDescription: Readonly<Record<string, string>>;

  /** Text form in ballots and public keys: SEC 1 hex or a decimal number (D45). */
  elementText(v: Elements, index: number): string;
  parseElement(text: string, what: string): Elements;
  /** Many at once; `what` names the one that is refused. */
  parseElements(texts: readonly string[], what: (index: number) => string): Elements;
  /** As `vmnv -t` prints the group, an element and an array. */
  readonly tracedName: string;
  tracedElement(v: Elements, index: number): string;
  tracedArray(v: Elements): string;
}
