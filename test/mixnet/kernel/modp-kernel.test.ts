import { getDiffieHellman } from 'node:crypto';
import { expect } from 'chai';
import { ModpEngine } from '../../../lib/mixnet/kernel/modp-engine.ts';
import { ModpKernel } from '../../../lib/mixnet/kernel/modp-kernel.ts';
import { integerOctets, integers, list, randomScalar } from './oracle.ts';

function power(base: bigint, exponent: bigint, p: bigint): bigint {
  let result = 1n;
  for (let b = base % p, e = exponent; e > 0n; e >>= 1n, b = (b * b) % p)
    if (e & 1n) result = (result * b) % p;
  return result;
}

const named = (name: string) => BigInt(`0x${getDiffieHellman(name).getPrime('hex')}`);

for (const { name, p } of [
  { name: 'RFC 3526, group 14 (2,048 bits)', p: named('modp14') },
  { name: 'RFC 3526, group 15 (3,072 bits)', p: named('modp15') },
]) {
  const width = p.toString(16).length / 2;
  const q = (p - 1n) / 2n;
  const kernel = new ModpKernel(integerOctets([p], width), width);
  const encode = (values: readonly bigint[]) => integerOctets(values, width);
  const decode = (octets: Uint8Array) => integers(octets, width);
  const squares = list(13, () => power(randomScalar(p - 1n) + 1n, 2n, p));
  const elements = [1n, 2n, p - 1n, p - 2n, 4n, ...squares];

  describe(`modp kernel, ${name}`, () => {
    it('given elements, 1 and p - 1 among them, multiplies as BigInt does', () => {
      const a = elements.flatMap((x) => elements.map(() => x));
      const b = elements.flatMap(() => elements);
      expect(decode(kernel.multiply(encode(a), encode(b)))).to.deep.equal(a.map((x, i) => (x * b[i]!) % p));
      expect(decode(kernel.multiply(encode([p - 2n]), encode(elements)))).to.deep.equal(
        elements.map((x) => ((p - 2n) * x) % p),
      );
      expect(decode(kernel.multiply(encode(elements.slice(0, 1)), encode([3n])))).to.deep.equal([3n]);
    });

    it('given lists of any length, has their product', () => {
      for (const count of [0, 1, 2, 3, 4, 5, 6, 7, 8, 18]) {
        const some = elements.slice(0, count);
        expect(decode(kernel.product(encode(some)))).to.deep.equal([some.reduce((s, x) => (s * x) % p, 1n)]);
      }
    });

    it('given edge and random exponents, has powers of a fixed base', () => {
      const exponents = [0n, 1n, 2n, 255n, 256n, q - 1n, q, p - 1n, ...list(5, () => randomScalar(q))];
      for (const base of [squares[0]!, 1n, p - 1n]) {
        expect(decode(kernel.fixedBase(encode([base]), encode(exponents)))).to.deep.equal(
          exponents.map((e) => power(base, e, p)),
        );
      }
    });

    it('given exponents of several lengths, has the product of powers', () => {
      for (const [bits, count] of [
        [0, 3],
        [1, 5],
        [13, 0],
        [128, 18],
        [256, 1],
        [612, 18],
        [8 * width, 6],
      ] as const) {
        const bases = elements.slice(0, count);
        const largest = (1n << BigInt(bits)) - 1n;
        const exponents = list(count, (i) => (i === 0 ? largest : randomScalar(largest + 1n)));
        expect(decode(kernel.multiPower(encode(bases), encode(exponents), bits))).to.deep.equal([
          bases.reduce((product, base, i) => (product * power(base, exponents[i]!, p)) % p, 1n),
        ]);
      }
    });

    it('given an exponent longer than said, refuses', () => {
      const bases = encode([4n, 9n]);
      expect(() => kernel.multiPower(bases, encode([1n, 1n << 128n]), 128)).to.throw(RangeError, '128');
      expect(() => kernel.multiPower(bases, encode([1n, 8n]), 3)).to.throw(RangeError, '3');
      expect(decode(kernel.multiPower(bases, encode([1n, 7n]), 3))).to.deep.equal([(4n * 9n ** 7n) % p]);
    });

    it('given secret exponents, has the powers, also of 1 and p - 1', () => {
      for (const exponent of [0n, 1n, 2n, q - 1n, randomScalar(q)]) {
        const bases = elements.slice(0, exponent > 2n ? 4 : 6);
        expect(decode(kernel.power(encode(bases), encode([exponent])))).to.deep.equal(
          bases.map((base) => power(base, exponent, p)),
        );
      }
      const exponents = [0n, 3n, 2n, 3n, randomScalar(q), randomScalar(q)];
      expect(decode(kernel.power(encode(elements.slice(0, 6)), encode(exponents)))).to.deep.equal(
        exponents.map((e, i) => power(elements[i]!, e, p)),
      );
    });

    it('given what is no square between 1 and p - 1, names it', () => {
      expect(kernel.firstInvalid(encode([1n, 4n, ...squares]))).to.equal(-1);
      // p is 3 mod 4, so that the opposite of a square is none
      for (const wrong of [0n, p, p - 1n, p - squares[0]!, p + 4n]) {
        if (wrong >= 1n << BigInt(8 * width)) continue;
        expect(kernel.firstInvalid(encode([...squares, wrong, 4n])), `${wrong - p} + p`).to.equal(
          squares.length,
        );
      }
      const mixed = list(40, () => randomScalar(p - 1n) + 1n);
      const first = mixed.findIndex((x) => power(x, q, p) !== 1n);
      expect(kernel.firstInvalid(encode(mixed))).to.equal(first);
    });
  });

  describe(`modp products at their bounds, ${name}`, () => {
    it('given numbers up to 2p - 1 in all lanes, are right and below 2p', () => {
      const engine = new ModpEngine(integerOctets([p], width));
      const { exports, arena, limbs } = engine;
      const r = 1n << BigInt(28 * limbs);
      const at = list(3, () => arena.take(16 * limbs));
      const words = (address: number) => new Uint32Array(exports.memory.buffer, address, 4 * limbs);
      const put = (address: number, values: readonly bigint[]) => {
        const quad = words(address);
        quad.forEach((_, i) => {
          quad[i] = Number((values[i & 3]! >> BigInt(28 * (i >> 2))) & 0xfffffffn);
        });
      };
      const get = (address: number, lane: number) =>
        list(limbs, (i) => BigInt(words(address)[4 * i + lane]!) << BigInt(28 * i)).reduce(
          (s, x) => s + x,
          0n,
        );
      const edges = [
        0n,
        1n,
        p - 1n,
        p,
        p + 1n,
        2n * p - 1n,
        2n * p - 2n,
        (1n << BigInt(28 * (limbs - 1))) - 1n,
      ];
      for (const shift of list(edges.length, (i) => i)) {
        const a = list(4, (lane) => edges[lane]!);
        const b = list(4, (lane) => edges[(lane + shift) % edges.length]!);
        const c = list(4, (lane) => edges[(lane + 4) % edges.length]!);
        for (const [x, y] of [
          [a, b],
          [c, b],
          [b, b],
        ] as const) {
          put(at[0]!, x);
          put(at[1]!, y);
          exports.multiply(at[2]!, at[0]!, at[1]!);
          for (const lane of [0, 1, 2, 3]) {
            const product = get(at[2]!, lane);
            expect((product * r) % p).to.equal((x[lane]! * y[lane]!) % p);
            expect(product < 2n * p).to.equal(true);
          }
          exports.square(at[2]!, at[1]!);
          for (const lane of [0, 1, 2, 3]) {
            const square = get(at[2]!, lane);
            expect((square * r) % p).to.equal((y[lane]! * y[lane]!) % p);
            expect(square < 2n * p).to.equal(true);
          }
        }
      }
    });
  });
}

describe('modp kernel, its operands', () => {
  it('given Buffers, whose slices share memory, changes none of them', () => {
    // one size: what is asked is not about numbers, and OpenSSL takes a second to accept a larger prime
    const p = named('modp14');
    const width = 256;
    const decode = (octets: Uint8Array) => integers(octets, width);
    const some = list(4, () => randomScalar(p - 3n) + 2n);
    const [prime, bases, exponent] = [[p], some, [p / 2n - 2n]].map((values) =>
      Buffer.from(integerOctets(values, width)),
    );
    const kernel = new ModpKernel(prime!, width);
    expect(decode(kernel.power(bases!, exponent!))).to.deep.equal(some.map((x) => power(x, p / 2n - 2n, p)));
    kernel.fixedBase(bases!.subarray(0, width), exponent!);
    expect([prime!, bases!, exponent!].map(decode)).to.deep.equal([[p], some, [p / 2n - 2n]]);
  });
});

describe('modp kernel, Jacobi symbol', () => {
  it('given all pairs of small numbers, equals its definition', () => {
    const engine = new ModpEngine(getDiffieHellman('modp5').getPrime());
    const legendre = (a: number, p: number): number => {
      const value = Number(power(BigInt(a), BigInt((p - 1) / 2), BigInt(p)));
      return value === p - 1 ? -1 : value;
    };
    const factors = (n: number): number[] => {
      for (let d = 3; d * d <= n; d += 2) if (n % d === 0) return [d, ...factors(n / d)];
      return n === 1 ? [] : [n];
    };
    for (let n = 1; n < 100; n += 2) {
      for (let a = 0; a < n; a++) {
        engine.arena.reset();
        const [number, modulus] = [Uint8Array.of(0, a), Uint8Array.of(0, n)].map((o) => engine.arena.put(o));
        const expected = factors(n).reduce((symbol, prime) => symbol * legendre(a % prime, prime), 1);
        expect(engine.exports.jacobi(number!, modulus!, 2), `(${a}/${n})`).to.equal(expected + 0);
      }
    }
  });
});
