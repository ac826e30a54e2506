/**
 * The quadratic residues modulo a safe prime p = 2q + 1 (Verificatum's `ModPGroup` with encoding 1, VF 3.2).
 *
 * Exponentiation is OpenSSL's, through `node:crypto`'s DiffieHellman: native speed and constant time in the exponent.
 * Products are BigInt. In a vector an element is a big-endian integer of the length of p.
 */
import { createDiffieHellman, type DiffieHellman } from 'node:crypto';
import { integerLeaf, leaf } from '../byte-tree/tree.ts';
import type { PseudoRandomStream } from '../hashing/random-oracle.ts';
import {
  bitLength,
  concatenate,
  fromBigInt,
  shortHex,
  signedWidth,
  toBigInt,
  uint32,
  writeBigInt,
} from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { describe, marshal, modpContent } from './description.ts';
import type { FixedPower, Group } from './group.ts';
import { type GroupOperations, multiPowerOf, pippengerWindow } from './multi-exponentiation.ts';
import { ScalarRing, sameLength } from './scalar-ring.ts';
import { type Elements, item, join, type Scalars, slice, vectorOf } from './vectors.ts';

const elementPattern = /^[1-9][0-9]*$/;

/** Time of one modular BigInt product against one bit of an OpenSSL exponentiation, as measured at 2048 bits. */
const productPerExponentBit = 6;

export class ModpGroup implements Group {
  readonly name: string;
  readonly kind = 'multiplicative';
  readonly description: string;
  readonly marshalled;
  readonly ring: ScalarRing;
  readonly stride: number;
  readonly treeLength: number;
  readonly generator: Elements;
  readonly messageLength: number;
  readonly prime: bigint;
  readonly shortExponentsPay = true;
  readonly #leafWidth: number;
  readonly #operations: GroupOperations<bigint>;
  #power: DiffieHellman | undefined;

  /** `p` must be a safe prime (checked by the caller, see `registry.ts`); `g` is checked here. */
  constructor(p: bigint, g: bigint, ring: ScalarRing = new ScalarRing((p - 1n) / 2n)) {
    const bits = bitLength(p);
    this.prime = p;
    this.name = `modp-${bits}`;
    this.ring = ring;
    this.stride = Math.ceil(bits / 8);
    this.#leafWidth = signedWidth(p);
    this.treeLength = 5 + this.#leafWidth;
    this.messageLength = Math.floor((bits - 2) / 8) - 4;
    this.#operations = { one: 1n, multiply: (x, y) => (x * y) % p, square: (x) => (x * x) % p };
    if (g <= 1n || g >= p || jacobi(g, p) !== 1) {
      throw new Refusal(
        'group-description-invalid',
        'the generator is no quadratic residue between 2 and p - 1',
      );
    }
    this.generator = this.#vector([g]);
    const content = modpContent(
      integerLeaf(p),
      integerLeaf(this.ring.order),
      leaf(fromBigInt(g, this.#leafWidth)),
      uint32(1),
    );
    this.marshalled = marshal('com.verificatum.arithm.ModPGroup', content);
    this.description = describe(
      `ModPGroup(safe-prime modulus=2*order+1. order bit-length = ${this.ring.bits})`,
      this.marshalled,
    );
  }

  identity(count: number): Elements {
    return this.#vector(new Array<bigint>(count).fill(1n));
  }

  isIdentity(v: Elements, index: number): boolean {
    return this.#at(v, index) === 1n;
  }

  multiply(a: Elements, b: Elements): Elements {
    const [x, y] = [this.#values(a), this.#values(b)];
    if (x.length === 1 && y.length !== 1) return this.#vector(y.map((value) => (x[0]! * value) % this.prime));
    if (y.length === 1) return this.#vector(x.map((value) => (value * y[0]!) % this.prime));
    sameLength(x, y);
    return this.#vector(x.map((value, i) => (value * y[i]!) % this.prime));
  }

  /** Montgomery's trick: one inversion for all. */
  invert(v: Elements): Elements {
    const p = this.prime;
    const values = this.#values(v);
    const prefixes: bigint[] = [];
    let product = 1n;
    for (const value of values) {
      prefixes.push(product);
      product = (product * value) % p;
    }
    let inverse = inverseModulo(product, p);
    for (let i = values.length - 1; i >= 0; i--) {
      const value = values[i]!;
      values[i] = (inverse * prefixes[i]!) % p;
      inverse = (inverse * value) % p;
    }
    return this.#vector(values);
  }

  power(bases: Elements, exponents: Scalars): Elements {
    if (exponents.length === 1) return this.powerBySecret(bases, exponents);
    sameLength(bases, exponents);
    const parts: Elements[] = [];
    for (let i = 0; i < bases.length; i++) parts.push(this.powerBySecret(item(bases, i), item(exponents, i)));
    return parts.length === 0 ? bases : join(parts[0]!, ...parts.slice(1));
  }

  powerBySecret(bases: Elements, exponent: Scalars): Elements {
    if (isZero(exponent.bytes)) return this.identity(bases.length);
    this.#power ??= createDiffieHellman(fromBigInt(this.prime, this.stride), 2);
    this.#power.setPrivateKey(withoutLeadingZeros(exponent.bytes));
    const bytes = new Uint8Array(bases.bytes.length);
    for (let i = 0; i < bases.length; i++) {
      const base = item(bases, i).bytes;
      // OpenSSL refuses the base 1.
      if (this.isIdentity(bases, i)) bytes.set(base, i * this.stride);
      else {
        const result = this.#power.computeSecret(base);
        bytes.set(result, (i + 1) * this.stride - result.length);
      }
    }
    return vectorOf('elements', this.stride, bytes);
  }

  /** No table beats OpenSSL at these sizes. */
  powerOfFixed(base: Elements, exponents: Scalars): Elements {
    if (base.length !== 1) throw new RangeError('one base is needed');
    const bytes = new Uint8Array(exponents.length * this.stride);
    for (let i = 0; i < exponents.length; i++) {
      bytes.set(this.powerBySecret(base, item(exponents, i)).bytes, i * this.stride);
    }
    return vectorOf('elements', this.stride, bytes);
  }

  productOfFixed(terms: readonly FixedPower[], factor?: Elements): Elements {
    const powers = terms.map(({ base, exponents }) => this.powerOfFixed(base, exponents));
    const factors = factor === undefined ? powers : [factor, ...powers];
    return factors.reduce((product, next) => this.multiply(product, next));
  }

  multiPower(bases: Elements, exponents: Scalars): Elements {
    sameLength(bases, exponents);
    if (bases.length === 0) return this.identity(1);
    const bits = this.ring.maximalBits(exponents);
    const { cost } = pippengerWindow(bases.length, bits);
    if (cost * productPerExponentBit > bases.length * (bits + 20))
      return this.product(this.power(bases, exponents));
    return this.#vector([
      multiPowerOf(this.#operations, this.#values(bases), exponents.bytes, this.ring.width, bits),
    ]);
  }

  product(v: Elements): Elements {
    return this.#vector([this.#values(v).reduce((product, value) => (product * value) % this.prime, 1n)]);
  }

  encode(v: Elements): Uint8Array {
    const { treeLength } = this;
    const out = new Uint8Array(v.length * treeLength);
    const head = concatenate(Uint8Array.of(1), uint32(this.#leafWidth));
    for (let i = 0; i < v.length; i++) {
      out.set(head, i * treeLength);
      out.set(item(v, i).bytes, (i + 1) * treeLength - this.stride);
    }
    return out;
  }

  decode(trees: Uint8Array, what: string): Elements {
    const { treeLength } = this;
    const count = trees.length / treeLength;
    const head = concatenate(
      Uint8Array.of(1),
      uint32(this.#leafWidth),
      new Uint8Array(this.#leafWidth - this.stride),
    );
    const bytes = new Uint8Array(count * this.stride);
    for (let i = 0; i < count; i++) {
      const tree = trees.subarray(i * treeLength, (i + 1) * treeLength);
      if (!head.every((octet, j) => tree[j] === octet)) {
        throw new Refusal(
          'element-not-canonical',
          `${what}: element ${i} is not a ${this.#leafWidth}-octet leaf below p`,
        );
      }
      bytes.set(tree.subarray(treeLength - this.stride), i * this.stride);
    }
    this.checkElements(bytes, what);
    return vectorOf('elements', this.stride, bytes);
  }

  derive(stream: PseudoRandomStream, count: number, slack: number): Elements {
    const p = this.prime;
    const bits = bitLength(p) + slack;
    return this.#vector(
      Array.from({ length: count }, () => {
        const x = toBigInt(stream.readIntegers(1, bits)) % p;
        return (x * x) % p;
      }),
    );
  }

  encodeMessages(messages: readonly Uint8Array[]): Elements {
    return this.#vector(messages.map((message) => this.#encodeMessage(message)));
  }

  #encodeMessage(message: Uint8Array): bigint {
    if (message.length > this.messageLength) {
      throw new Refusal(
        'message-too-long',
        `${message.length} octets, the group holds ${this.messageLength}`,
      );
    }
    const padded = new Uint8Array(this.messageLength + 4);
    padded.set(uint32(message.length));
    padded.set(message, 4);
    if (message.length === 0) padded[4] = 1;
    const x = toBigInt(padded);
    return jacobi(x, this.prime) === 1 ? x : this.prime - x;
  }

  decodeMessages(v: Elements): Uint8Array[] {
    return this.#values(v).map((value) => {
      const x = value <= this.ring.order ? value : this.prime - value;
      if (bitLength(x) > 8 * (this.messageLength + 4)) return new Uint8Array(0);
      const bytes = fromBigInt(x, this.messageLength + 4);
      const length = new DataView(bytes.buffer).getInt32(0);
      return length < 0 || length > this.messageLength ? new Uint8Array(0) : bytes.slice(4, 4 + length);
    });
  }

  /** `m + 1`, or its negative if that is no quadratic residue: as the ballots of Agora Voting and its heirs. */
  encodeIntegers(values: readonly bigint[]): Elements {
    return this.#vector(
      values.map((value) => {
        const x = value + 1n;
        if (value < 0n || x > this.ring.order)
          throw new Refusal('message-too-long', 'the integer does not fit the group');
        return jacobi(x, this.prime) === 1 ? x : this.prime - x;
      }),
    );
  }

  decodeIntegers(v: Elements): bigint[] {
    return this.#values(v).map((value) => (value <= this.ring.order ? value : this.prime - value) - 1n);
  }

  get jsonDescription(): Readonly<Record<string, string>> {
    return {
      g: this.elementText(this.generator, 0),
      p: this.prime.toString(),
      q: this.ring.order.toString(),
    };
  }

  elementText(v: Elements, index: number): string {
    return this.#at(v, index).toString();
  }

  parseElement(text: string, what: string): Elements {
    if (!elementPattern.test(text) || text.length > 4 * this.stride) {
      throw new Refusal('element-not-canonical', `${what} is not a positive decimal number`);
    }
    const value = BigInt(text);
    this.#check(value, what);
    return this.#vector([value]);
  }

  parseElements(texts: readonly string[], what: (index: number) => string): Elements {
    const values = texts.map((text, i) => {
      const value = elementPattern.test(text) && text.length <= 4 * this.stride ? BigInt(text) : 0n;
      if (value <= 0n || value >= this.prime) this.parseElement(text, what(i));
      return value;
    });
    const elements = this.#vector(values);
    try {
      this.checkElements(elements.bytes, 'element');
    } catch {
      texts.forEach((text, i) => {
        this.parseElement(text, what(i));
      });
    }
    return elements;
  }

  get tracedName(): string {
    const [p, q] = [this.prime.toString(16), this.ring.order.toString(16)];
    return `${p}:${q}:encoding(1)`;
  }

  tracedElement(v: Elements, index: number): string {
    return shortHex(item(v, index).bytes);
  }

  tracedArray(v: Elements): string {
    return `(${Array.from({ length: v.length }, (_, i) => this.tracedElement(v, i)).join(',')})`;
  }

  /** Refuses what is not between 1 and p - 1 or no quadratic residue. */
  protected checkElements(bytes: Uint8Array, what: string): void {
    for (let at = 0; at < bytes.length; at += this.stride) {
      const value = toBigInt(bytes.subarray(at, at + this.stride));
      this.#check(value, `${what}: element ${at / this.stride}`);
    }
  }

  #check(value: bigint, what: string): void {
    if (value <= 0n || value >= this.prime) {
      throw new Refusal('element-not-canonical', `${what} is not between 1 and p - 1`);
    }
    if (jacobi(value, this.prime) !== 1) {
      throw new Refusal('element-not-in-group', `${what} is not a quadratic residue modulo p`);
    }
  }

  #at(v: Elements, index: number): bigint {
    return toBigInt(slice(v, index, index + 1).bytes);
  }

  #values(v: Elements): bigint[] {
    return Array.from({ length: v.length }, (_, i) => this.#at(v, i));
  }

  #vector(values: readonly bigint[]): Elements {
    const bytes = new Uint8Array(values.length * this.stride);
    values.forEach((value, i) => {
      writeBigInt(value, bytes, i * this.stride, this.stride);
    });
    return vectorOf('elements', this.stride, bytes);
  }
}

/** The Jacobi symbol (a / n) for odd n; for a prime n it says whether a is a square. */
export function jacobi(a: bigint, n: bigint): -1 | 0 | 1 {
  let [x, y] = [a % n, n];
  let sign: -1 | 1 = 1;
  while (x !== 0n) {
    let twos = 0n;
    while (((x >> twos) & 1n) === 0n) twos++;
    x >>= twos;
    const residue = Number(y & 7n);
    if ((twos & 1n) === 1n && (residue === 3 || residue === 5)) sign = sign === 1 ? -1 : 1;
    if ((x & 3n) === 3n && (residue & 3) === 3) sign = sign === 1 ? -1 : 1;
    [x, y] = [y % x, x];
  }
  return y === 1n ? sign : 0;
}

function inverseModulo(value: bigint, modulus: bigint): bigint {
  let [a, b] = [value, modulus];
  let [x, y] = [1n, 0n];
  while (a !== 1n) {
    if (a === 0n) throw new RangeError('not invertible');
    const quotient = b / a;
    [a, b] = [b % a, a];
    [x, y] = [y - quotient * x, x];
  }
  return x < 0n ? x + modulus : x;
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((octet) => octet === 0);

function withoutLeadingZeros(bytes: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from++;
  return bytes.subarray(from);
}
