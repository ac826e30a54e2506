/**
 * The curve P-256 in JavaScript, on @noble/curves (Verificatum's `ECqPGroup(P-256)`, VF 3.3).
 *
 * In a vector a point is `x || y`, 32 octets each, and the point at infinity is 64 zero octets, which no point is since
 * (0, 0) is not on the curve. In a byte tree the infinity is x = y = -1.
 */
import { normalizeZ } from '@noble/curves/abstract/curve.js';
import { p256 } from '@noble/curves/nist.js';
import { textLeaf } from '../byte-tree/tree.ts';
import type { PseudoRandomStream } from '../hashing/random-oracle.ts';
import {
  bitLength,
  buffer,
  concatenate,
  fromBigInt,
  fromHex,
  hex,
  shortHex,
  toBigInt,
  uint32,
  writeBigInt,
} from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { describe, marshal } from './description.ts';
import type { FixedPower, Group } from './group.ts';
import {
  FixedBaseTable,
  fixedBaseWindow,
  type GroupOperations,
  multiPowerOf,
} from './multi-exponentiation.ts';
import { ScalarRing, sameLength } from './scalar-ring.ts';
import { TableCache } from './table-cache.ts';
import { type Elements, item, type Scalars, vectorOf } from './vectors.ts';

const Point = p256.Point;
type Point = InstanceType<typeof p256.Point>;

const p = Point.Fp.ORDER;
export const p256Order = Point.Fn.ORDER;
const { a, b } = Point.CURVE();
const coordinate = 32;
const stride = 64;
const leafWidth = 33;
const curveName = 'P-256';
/** Octets of a message in one point (VF 3.3). */
const messageLength = Math.floor((256 - 1) / 8) - 3;

/** SEC 1, 2.3.3, uncompressed. */
const pointText = /^04[0-9a-f]{128}$/;

const operations: GroupOperations<Point> = {
  one: Point.ZERO,
  multiply: (left, right) => left.add(right),
  square: (point) => point.double(),
};

const marshalled = marshal('com.verificatum.arithm.ECqPGroup', textLeaf(curveName));

/** `x^3 + a x + b`. */
const curveEquation = (x: bigint): bigint => ((((x * x + a) * x + b) % p) + p) % p;

/** A square root modulo p = 3 (mod 4), or null. */
function squareRoot(z: bigint): bigint | null {
  const root = Point.Fp.pow(z, (p + 1n) / 4n);
  return (root * root) % p === z ? root : null;
}

export class P256Group implements Group {
  readonly name = curveName;
  readonly kind = 'curve';
  readonly description = describe(`ECqPGroup(${curveName})`, marshalled);
  readonly marshalled = marshalled;
  readonly ring: ScalarRing;
  readonly stride = stride;
  readonly shortExponentsPay = false;
  readonly tracedName = `ECqPGroup(${curveName})`;
  readonly treeLength = 5 + 2 * (5 + leafWidth);
  readonly messageLength = messageLength;
  readonly generator = fromPoints([Point.BASE]);
  readonly #tables = new TableCache<Point>(8);

  constructor(ring: ScalarRing = new ScalarRing(p256Order)) {
    this.ring = ring;
  }

  identity(count: number): Elements {
    return vectorOf('elements', stride, new Uint8Array(count * stride));
  }

  isIdentity(v: Elements, index: number): boolean {
    return isZero(v.bytes, index * stride);
  }

  multiply(left: Elements, right: Elements): Elements {
    const x = toPoints(left);
    const y = toPoints(right);
    if (x.length === 1 && y.length !== 1) return fromPoints(y.map((point) => x[0]!.add(point)));
    if (y.length === 1) return fromPoints(x.map((point) => point.add(y[0]!)));
    sameLength(x, y);
    return fromPoints(x.map((point, i) => point.add(y[i]!)));
  }

  invert(v: Elements): Elements {
    return fromPoints(toPoints(v).map((point) => point.negate()));
  }

  power(bases: Elements, exponents: Scalars): Elements {
    const fixed = exponents.length === 1 && bases.length !== 1;
    if (!fixed) sameLength(bases, exponents);
    return fromPoints(
      toPoints(bases).map((point, i) => point.multiplyUnsafe(this.ring.at(exponents, fixed ? 0 : i))),
    );
  }

  powerBySecret(bases: Elements, exponent: Scalars): Elements {
    const secret = this.ring.at(exponent, 0);
    if (secret === 0n) return this.identity(bases.length);
    return fromPoints(toPoints(bases).map((point) => (point.is0() ? point : point.multiply(secret))));
  }

  powerOfFixed(base: Elements, exponents: Scalars): Elements {
    if (base.length !== 1) throw new RangeError('one base is needed');
    const point = toPoints(base)[0]!;
    const window = fixedBaseWindow(exponents.length, this.ring.bits);
    const table = this.#tables.get(
      base.bytes,
      window,
      () => new FixedBaseTable(operations, point, this.ring.bits, window),
    );
    return fromPoints(
      Array.from({ length: exponents.length }, (_, i) =>
        table === null
          ? point.multiplyUnsafe(this.ring.at(exponents, i))
          : table.power(exponents.bytes, i * coordinate, coordinate),
      ),
    );
  }

  productOfFixed(terms: readonly FixedPower[], factor?: Elements): Elements {
    const powers = terms.map(({ base, exponents }) => this.powerOfFixed(base, exponents));
    const factors = factor === undefined ? powers : [factor, ...powers];
    return factors.reduce((product, next) => this.multiply(product, next));
  }

  multiPower(bases: Elements, exponents: Scalars): Elements {
    sameLength(bases, exponents);
    const bits = this.ring.maximalBits(exponents);
    return fromPoints([multiPowerOf(operations, toPoints(bases), exponents.bytes, coordinate, bits)]);
  }

  product(v: Elements): Elements {
    return fromPoints([toPoints(v).reduce((sum, point) => sum.add(point), Point.ZERO)]);
  }

  encode(v: Elements): Uint8Array {
    const { treeLength } = this;
    const out = new Uint8Array(v.length * treeLength);
    const nodeHead = concatenate(Uint8Array.of(0), uint32(2));
    const leafHead = concatenate(Uint8Array.of(1), uint32(leafWidth));
    for (let i = 0, at = 0; i < v.length; i++, at += treeLength) {
      const from = i * stride;
      const infinity = isZero(v.bytes, from);
      out.set(nodeHead, at);
      for (let c = 0; c < 2; c++) {
        const leafAt = at + 5 + c * (5 + leafWidth);
        out.set(leafHead, leafAt);
        if (infinity) out.fill(0xff, leafAt + 5, leafAt + 5 + leafWidth);
        else out.set(v.bytes.subarray(from + c * coordinate, from + (c + 1) * coordinate), leafAt + 6);
      }
    }
    return out;
  }

  decode(trees: Uint8Array, what: string): Elements {
    const { treeLength } = this;
    const count = trees.length / treeLength;
    const pattern = this.encode(this.identity(1));
    const bytes = new Uint8Array(count * stride);
    for (let i = 0, at = 0; i < count; i++, at += treeLength) {
      for (const header of [0, 5, 5 + 5 + leafWidth]) {
        for (let j = at + header; j < at + header + 5; j++) {
          if (trees[j] === pattern[j - at]) continue;
          throw new Refusal(
            'element-not-canonical',
            `${what}: point ${i} is not a node of two ${leafWidth}-octet leaves`,
          );
        }
      }
      this.#decodePoint(trees.subarray(at, at + treeLength), bytes, i, `${what}: point ${i}`);
    }
    this.checkPoints(bytes, what);
    return vectorOf('elements', stride, bytes);
  }

  /** Refuses points that are neither infinity nor on the curve. */
  protected checkPoints(bytes: Uint8Array, what: string): void {
    for (let at = 0; at < bytes.length; at += stride) {
      if (isZero(bytes, at)) continue;
      const [x, y] = [bytes.subarray(at, at + coordinate), bytes.subarray(at + coordinate, at + stride)];
      checkPoint(toBigInt(x), toBigInt(y), `${what}: point ${at / stride}`);
    }
  }

  #decodePoint(tree: Uint8Array, out: Uint8Array, index: number, what: string): void {
    const x = tree.subarray(10, 10 + leafWidth);
    const y = tree.subarray(15 + leafWidth);
    if (isMinusOne(x) && isMinusOne(y)) return;
    if (x[0] !== 0 || y[0] !== 0)
      throw new Refusal('element-not-canonical', `${what} has a coordinate out of range`);
    // (0, 0) is our infinity, but no point of the wire format.
    if (x.every(isZeroOctet) && y.every(isZeroOctet))
      throw new Refusal('element-not-in-group', `${what} is not on the curve`);
    out.set(x.subarray(1), index * stride);
    out.set(y.subarray(1), index * stride + coordinate);
  }

  derive(stream: PseudoRandomStream, count: number, slack: number): Elements {
    const bytes = new Uint8Array(count * stride);
    for (let i = 0; i < count; ) {
      const x = toBigInt(stream.readIntegers(1, 256 + slack)) % p;
      const z = curveEquation(x);
      const root = z === 0n ? null : squareRoot(z);
      if (root === null) continue;
      writeBigInt(x, bytes, i * stride, coordinate);
      writeBigInt(root < p - root ? root : p - root, bytes, i * stride + coordinate, coordinate);
      i++;
    }
    return vectorOf('elements', stride, bytes);
  }

  encodeMessages(messages: readonly Uint8Array[]): Elements {
    return fromPoints(messages.map(messagePoint));
  }

  decodeMessages(v: Elements): Uint8Array[] {
    return Array.from({ length: v.length }, (_, i) => {
      const x = v.bytes.subarray(i * stride, i * stride + coordinate);
      const length = this.#lengthField(v, i);
      if (length > messageLength) return new Uint8Array(0);
      return x.slice(coordinate - 3 - length, coordinate - 3);
    });
  }

  /** The integer's shortest octets as a message; zero is the empty message. */
  encodeIntegers(values: readonly bigint[]): Elements {
    const messages = values.map((value) => {
      const octets = Math.ceil(bitLength(value) / 8);
      if (value < 0n || octets > messageLength) {
        throw new Refusal('message-too-long', `the integer does not fit ${messageLength} octets`);
      }
      return fromBigInt(value, octets);
    });
    return this.encodeMessages(messages);
  }

  decodeIntegers(v: Elements): (bigint | null)[] {
    return this.decodeMessages(v).map((message, i) =>
      message[0] === 0 || (message.length === 0 && this.#lengthField(v, i) !== 0) ? null : toBigInt(message),
    );
  }

  /** What the point says of its message's length; more than possible for a point that encodes nothing. */
  #lengthField(v: Elements, index: number): number {
    const at = index * stride + coordinate;
    return this.isIdentity(v, index) ? messageLength + 1 : (v.bytes[at - 3]! << 8) | v.bytes[at - 2]!;
  }

  get jsonDescription(): Readonly<Record<string, string>> {
    return { group: this.name, g: this.elementText(this.generator, 0) };
  }

  elementText(v: Elements, index: number): string {
    if (this.isIdentity(v, index)) return '00';
    return `04${hex(item(v, index).bytes)}`;
  }

  parseElement(text: string, what: string): Elements {
    const bytes = pointText.test(text) ? fromHex(text) : null;
    if (bytes === null) {
      throw new Refusal(
        'element-not-canonical',
        `${what} is not an uncompressed P-256 point in lower-case hex`,
      );
    }
    checkPoint(toBigInt(bytes.subarray(1, 33)), toBigInt(bytes.subarray(33)), what);
    return vectorOf('elements', stride, bytes.slice(1));
  }

  parseElements(texts: readonly string[], what: (index: number) => string): Elements {
    const bytes = new Uint8Array(texts.length * stride);
    const octets = buffer(bytes);
    texts.forEach((text, i) => {
      if (!pointText.test(text)) this.parseElement(text, what(i));
      octets.write(text.slice(2), i * stride, 'hex');
    });
    const bad = this.firstInvalidPoint(bytes);
    if (bad !== -1) this.parseElement(texts[bad]!, what(bad));
    return vectorOf('elements', stride, bytes);
  }

  /** The first that cannot be parsed as a point, -1 if all can. */
  protected firstInvalidPoint(bytes: Uint8Array): number {
    for (let i = 0; i < bytes.length / stride; i++) {
      const [x, y] = [
        toBigInt(bytes.subarray(i * stride, i * stride + coordinate)),
        toBigInt(bytes.subarray(i * stride + coordinate, (i + 1) * stride)),
      ];
      if (x >= p || y >= p || (y * y) % p !== curveEquation(x)) return i;
    }
    return -1;
  }

  tracedElement(v: Elements, index: number): string {
    const { bytes } = item(v, index);
    return `(${shortHex(bytes.subarray(0, coordinate))}, ${shortHex(bytes.subarray(coordinate))})`;
  }

  /** Verificatum writes a comma after every point, the last one too. */
  tracedArray(v: Elements): string {
    return `(${Array.from({ length: v.length }, (_, i) => `${this.tracedElement(v, i)},`).join('')})`;
  }
}

/** The smallest counter that makes `msg || length || counter` the x of a point (VF 3.3). */
function messagePoint(message: Uint8Array): Point {
  if (message.length > messageLength) {
    throw new Refusal(
      'message-too-long',
      `${message.length} octets, a P-256 plaintext holds ${messageLength}`,
    );
  }
  const prefix = (toBigInt(message) << 24n) | (BigInt(message.length) << 8n);
  for (let counter = 0n; counter < 256n; counter++) {
    const z = curveEquation(prefix | counter);
    const root = z === 0n ? null : squareRoot(z);
    if (root !== null) return Point.fromAffine({ x: prefix | counter, y: root });
  }
  throw new Refusal('message-too-long', 'no point encodes this message');
}

function checkPoint(x: bigint, y: bigint, what: string): void {
  if (x >= p || y >= p) throw new Refusal('element-not-canonical', `${what} has a coordinate out of range`);
  if ((y * y) % p !== curveEquation(x))
    throw new Refusal('element-not-in-group', `${what} is not on the curve`);
}

function isZero(bytes: Uint8Array, from: number): boolean {
  for (let i = from; i < from + stride; i++) if (bytes[i] !== 0) return false;
  return true;
}

const isZeroOctet = (octet: number): boolean => octet === 0;

const isMinusOne = (bytes: Uint8Array): boolean => bytes.every((octet) => octet === 0xff);

function toPoints(v: Elements): Point[] {
  return Array.from({ length: v.length }, (_, i) => {
    const at = i * stride;
    if (isZero(v.bytes, at)) return Point.ZERO;
    return new Point(
      toBigInt(v.bytes.subarray(at, at + coordinate)),
      toBigInt(v.bytes.subarray(at + coordinate, at + stride)),
      1n,
    );
  });
}

function fromPoints(points: readonly Point[]): Elements {
  const bytes = new Uint8Array(points.length * stride);
  const view = buffer(bytes);
  normalizeZ(Point, [...points]).forEach((point, i) => {
    if (point.is0()) return;
    view.write(point.X.toString(16).padStart(64, '0'), i * stride, 'hex');
    view.write(point.Y.toString(16).padStart(64, '0'), i * stride + coordinate, 'hex');
  });
  return vectorOf('elements', stride, bytes);
}
