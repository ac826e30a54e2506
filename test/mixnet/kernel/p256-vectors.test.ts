import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { P256Kernel } from '../../../lib/mixnet/kernel/p256-kernel.ts';
import { integerOctets, lines } from './oracle.ts';

const data = new URL('../../data/p256/', import.meta.url);

type EcdhCase = {
  tcId: number;
  comment: string;
  public: string;
  private: string;
  shared: string;
  result: string;
};

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, data), 'utf8')) as T;
}

const octets = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));

describe('P-256 kernel, published vectors', () => {
  const kernel = new P256Kernel();

  describe('Wycheproof, ecdh_secp256r1_ecpoint', () => {
    const { tests } = read<{ tests: EcdhCase[] }>('wycheproof-ecdh-ecpoint.json');

    for (const test of tests) {
      it(`given case ${test.tcId}, ${test.comment}, has its result`, () => {
        const key = octets(test.public);
        const { points, good } =
          key.length === 33 ? kernel.decompress(key) : { points: key.subarray(1), good: Uint8Array.of(1) };
        const valid = good[0] === 1 && kernel.firstInvalid(points) === -1;
        expect(valid).to.equal(test.result !== 'invalid');
        if (!valid) return;
        const exponent = integerOctets([BigInt(`0x${test.private}`)]);
        const shared = [
          kernel.power(points, exponent),
          kernel.fixedBase(points, exponent),
          kernel.multiScalar(points, exponent),
        ];
        for (const point of shared) expect(lines(point.subarray(0, 32), 32)).to.deep.equal([test.shared]);
      });
    }
  });

  describe('multiples of the base point', () => {
    const base = integerOctets([
      0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
      0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
    ]);

    for (const { k, x, y } of read<{ k: string; x: string; y: string }[]>('point-multiplication.json')) {
      it(`given k = ${k}, has its point by every path`, () => {
        const exponent = integerOctets([BigInt(k)]);
        for (const point of [
          kernel.fixedBase(base, exponent),
          kernel.power(base, exponent),
          kernel.multiScalar(base, exponent),
        ]) {
          expect(lines(point)).to.deep.equal([x + y]);
        }
      });
    }
  });
});
