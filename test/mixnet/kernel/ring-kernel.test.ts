import { getDiffieHellman } from 'node:crypto';
import { expect } from 'chai';
import { genericRing } from '../../../lib/mixnet/kernel/generic-ring.ts';
import { P256Kernel } from '../../../lib/mixnet/kernel/p256-kernel.ts';
import type { RingKernel } from '../../../lib/mixnet/kernel/ring-kernel.ts';
import { integerOctets, integers, list, ORDER, randomScalar } from './oracle.ts';

const safePrimeOrder = (BigInt(`0x${getDiffieHellman('modp14').getPrime('hex')}`) - 1n) / 2n;
const safePrimeOrder3072 = (BigInt(`0x${getDiffieHellman('modp15').getPrime('hex')}`) - 1n) / 2n;

const rings: { name: string; q: bigint; ring: RingKernel }[] = [
  { name: 'the order of P-256', q: ORDER, ring: new P256Kernel().ring },
  { name: 'the order of P-256, generic module', q: ORDER, ring: genericRing(integerOctets([ORDER])) },
  { name: '2,047 bits', q: safePrimeOrder, ring: genericRing(integerOctets([safePrimeOrder], 256)) },
  { name: '3,071 bits', q: safePrimeOrder3072, ring: genericRing(integerOctets([safePrimeOrder3072], 384)) },
  { name: '2^521 - 1', q: 2n ** 521n - 1n, ring: genericRing(integerOctets([2n ** 521n - 1n], 66)) },
  { name: '7', q: 7n, ring: genericRing(Uint8Array.of(7)) },
];

for (const { name, q, ring } of rings) {
  const width = ring.octets;
  const full = 1n << BigInt(8 * width);
  const encode = (values: readonly bigint[]) => integerOctets(values, width);
  const decode = (octets: Uint8Array) => integers(octets, width);
  const reduced = (value: bigint) => ((value % q) + q) % q;
  // canonical and not, extreme and random; every pair meets in the products below
  const edges = [0n, 1n, 2n, q - 1n, q, q + 1n, full - 1n, full - 2n, q >> 1n, 1n << BigInt(8 * width - 1)];
  const some = [...edges, ...list(8, () => randomScalar(q))].map((value) => value % full);
  const a = some.flatMap((x) => some.map(() => x));
  const b = some.flatMap(() => some);

  describe(`ring kernel modulo ${name}`, () => {
    it('given all pairs of edges, adds, subtracts and multiplies as BigInt does', () => {
      expect(decode(ring.add(encode(a), encode(b)))).to.deep.equal(a.map((x, i) => reduced(x + b[i]!)));
      expect(decode(ring.subtract(encode(a), encode(b)))).to.deep.equal(a.map((x, i) => reduced(x - b[i]!)));
      expect(decode(ring.multiply(encode(a), encode(b)))).to.deep.equal(a.map((x, i) => reduced(x * b[i]!)));
      expect(decode(ring.negate(encode(a)))).to.deep.equal(a.map((x) => reduced(-x)));
    });

    it('given one element and a list, goes with each of the list', () => {
      const one = encode([q - 2n]);
      expect(decode(ring.multiplyAdd(one, encode(a), encode(b)))).to.deep.equal(
        a.map((x, i) => reduced((q - 2n) * x + b[i]!)),
      );
      expect(decode(ring.subtract(one, encode(a)))).to.deep.equal(a.map((x) => reduced(q - 2n - x)));
      expect(decode(ring.subtract(encode(a), one))).to.deep.equal(a.map((x) => reduced(x + 2n)));
    });

    it('given lists, has their sum, product and inner product', () => {
      const [sum, product] = [a.reduce((s, x) => s + x, 0n), some.slice(1).reduce((p, x) => (p * x) % q, 1n)];
      expect(decode(ring.sum(encode(a)))).to.deep.equal([reduced(sum)]);
      expect(decode(ring.product(encode(some.slice(1))))).to.deep.equal([reduced(product)]);
      const inner = a.reduce((s, x, i) => s + x * b[i]!, 0n);
      expect(decode(ring.innerProduct(encode(a), encode(b)))).to.deep.equal([reduced(inner)]);
      expect(decode(ring.sum(new Uint8Array(0)))).to.deep.equal([0n]);
      expect(decode(ring.product(new Uint8Array(0)))).to.deep.equal([1n]);
    });

    it('given lists, has their running products and the recurrence of the shuffle proof', () => {
      const nonZero = some.slice(1);
      let y = 1n;
      const products = nonZero.map((x) => {
        y = reduced(y * x);
        return y;
      });
      expect(decode(ring.runningProducts(encode(nonZero)))).to.deep.equal(products);
      let x = q - 1n;
      const expected = some.map((e, i) => {
        x = reduced(x * e + some[some.length - 1 - i]!);
        return x;
      });
      const reversed = [...some].reverse();
      expect(decode(ring.recurrence(encode(some), encode(reversed), encode([q - 1n])))).to.deep.equal(
        expected,
      );
    });

    it('given integers of any width, reduces them', () => {
      for (const octets of [1, width - 1, width, width + 1, 2 * width, 2 * width + 13].filter((n) => n > 0)) {
        const wide = [
          0n,
          (1n << BigInt(8 * octets)) - 1n,
          ...list(5, () => randomScalar(1n << BigInt(8 * octets))),
        ];
        expect(decode(ring.reduce(integerOctets(wide, octets), octets))).to.deep.equal(wide.map(reduced));
      }
    });

    it('given non-zero elements, inverts them; given a zero, names it', () => {
      const nonZero = some.filter((x) => x % q !== 0n);
      const inverses = decode(ring.invert(encode(nonZero)));
      expect(inverses.map((x, i) => reduced(x * nonZero[i]!))).to.deep.equal(nonZero.map(() => 1n));
      expect(inverses.every((x) => x < q)).to.equal(true);
      expect(() => ring.invert(encode([1n, 2n, 0n, 0n]))).to.throw(RangeError, 'element 2');
      expect(() => ring.invert(encode([1n, q]))).to.throw(RangeError, 'element 1');
    });

    it('given elements not below the modulus, finds the first', () => {
      expect(ring.firstInvalid(encode([0n, q - 1n]))).to.equal(-1);
      expect(ring.firstInvalid(encode([0n, q - 1n, q, full - 1n]))).to.equal(2);
    });

    it('given indices, has Lagrange coefficients that interpolate at 0', () => {
      const indices = [1, 3, 4, 6];
      const polynomial = [5n, 3n, 2n, 6n].map(reduced);
      const values = indices.map((l) =>
        reduced(polynomial.reduceRight((value, coefficient) => value * BigInt(l) + coefficient, 0n)),
      );
      const coefficients = decode(ring.lagrange(indices));
      expect(reduced(coefficients.reduce((sum, c, i) => sum + c * values[i]!, 0n))).to.equal(polynomial[0]);
      expect(decode(ring.lagrange([3]))).to.deep.equal([1n]);
      expect(() => ring.lagrange([1, 1])).to.throw(RangeError);
      expect(() => ring.lagrange([0, 1])).to.throw(RangeError);
    });
  });
}

describe('ring kernel, lists longer than one chunk', () => {
  it('given 20,000 elements, carries sums, products and the recurrence on', () => {
    const { ring } = new P256Kernel();
    const e = list(20_000, () => randomScalar());
    const octets = integerOctets(e);
    let x = 0n;
    let y = 1n;
    for (const value of e) {
      x = (x * value + value) % ORDER;
      y = (y * value) % ORDER;
    }
    expect(integers(ring.recurrence(octets, octets)).at(-1)).to.equal(x);
    expect(integers(ring.runningProducts(octets)).at(-1)).to.equal(y);
    expect(integers(ring.product(octets))).to.deep.equal([y]);
    expect(integers(ring.sum(octets))).to.deep.equal([e.reduce((s, v) => s + v, 0n) % ORDER]);
    expect(integers(ring.innerProduct(octets, octets))).to.deep.equal([
      e.reduce((s, v) => (s + v * v) % ORDER, 0n),
    ]);
    expect(integers(ring.add(octets, octets))).to.deep.equal(e.map((v) => (2n * v) % ORDER));
  });
});
