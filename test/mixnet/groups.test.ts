import { expect } from 'chai';
import { verificatum2048 } from '../../lib/mixnet/groups/fixed-moduli.ts';
import type { Group } from '../../lib/mixnet/groups/group.ts';
import { ModpGroup } from '../../lib/mixnet/groups/modp.ts';
import { P256Group } from '../../lib/mixnet/groups/p256.ts';
import { groupByDescription, groupByName } from '../../lib/mixnet/groups/registry.ts';
import { gather, inverse, item, join, permute, slice } from '../../lib/mixnet/groups/vectors.ts';
import { fromBigInt } from '../../lib/mixnet/octets.ts';
import { randomPermutation } from '../../lib/mixnet/proofs/permutation.ts';
import { curveOracle, modpOracle, type Oracle, powerBy, texts } from './oracle.ts';
import { refusalReason } from './refusals.ts';

const { p, g } = verificatum2048;
const cases: [string, Group, Oracle<unknown>][] = [
  ['P-256 by the kernel', groupByName('P-256'), curveOracle as Oracle<unknown>],
  ['P-256 in JavaScript', new P256Group(), curveOracle as Oracle<unknown>],
  ['modp-2048 by the kernel', groupByName('modp-2048'), modpOracle(p) as Oracle<unknown>],
  ['modp-2048 in JavaScript', new ModpGroup(p, g), modpOracle(p) as Oracle<unknown>],
];

for (const [name, group, oracle] of cases) {
  describe(`Group operations: ${name}`, () => {
    const { ring } = group;
    const q = ring.order;
    const exponents = join(ring.random(3), ring.of(0n, 1n, q - 1n, 5n));
    const elements = join(
      group.powerOfFixed(group.generator, ring.random(5)),
      group.identity(1),
      group.generator,
    );
    const values = texts(group, elements).map((text) => oracle.parse(text));
    const expected = (result: unknown[]): string[] => result.map((value) => oracle.format(value));

    it('given a generator, when raised to scalars, then the powers are those of square and multiply', () => {
      const base = oracle.parse(group.elementText(group.generator, 0));
      const powers = ring.values(exponents).map((e) => powerBy(oracle, base, e));
      expect(texts(group, group.powerOfFixed(group.generator, exponents))).to.deep.equal(expected(powers));
      const many = ring.random(110);
      const by = group.powerOfFixed(group.generator, many);
      expect(texts(group, item(by, 109))).to.deep.equal(
        expected([powerBy(oracle, base, ring.at(many, 109))]),
      );
    });

    it('given elements and the identity, when raised one by one or by one secret, then as by square and multiply', () => {
      const e = ring.values(exponents);
      const powers = values.map((value, i) => powerBy(oracle, value, e[i]!));
      expect(texts(group, group.power(elements, exponents))).to.deep.equal(expected(powers));
      const byOne = values.map((value) => powerBy(oracle, value, e[0]!));
      expect(texts(group, group.powerBySecret(elements, item(exponents, 0)))).to.deep.equal(expected(byOne));
    });

    it('given fixed bases and a factor, when their powers are multiplied, then it is the product of the powers', () => {
      const other = item(elements, 0);
      const terms = [
        { base: group.generator, exponents },
        { base: other, exponents: gather(exponents, [6, 5, 4, 3, 2, 1, 0]) },
      ];
      const byOne = terms.map(({ base, exponents: e }) => group.powerOfFixed(base, e));
      const product = group.multiply(byOne[0]!, byOne[1]!);
      expect(texts(group, group.productOfFixed(terms))).to.deep.equal(texts(group, product));
      expect(texts(group, group.productOfFixed(terms, elements))).to.deep.equal(
        texts(group, group.multiply(product, elements)),
      );
    });

    it('given bases and exponents, when multi-exponentiated, then it is the product of the powers', () => {
      const e = ring.values(exponents);
      const product = values.map((value, i) => powerBy(oracle, value, e[i]!)).reduce(oracle.multiply);
      expect(texts(group, group.multiPower(elements, exponents))).to.deep.equal(expected([product]));
      const repeated = gather(
        elements,
        Array.from({ length: 49 }, (_, i) => i % 7),
      );
      const many = join(...(Array.from({ length: 7 }, () => exponents) as [typeof exponents]));
      const seventh = powerBy(oracle, product, 7n);
      expect(texts(group, group.multiPower(repeated, many))).to.deep.equal(expected([seventh]));
      const short = ring.randomBits(7, 64);
      const shortProduct = values
        .map((v, i) => powerBy(oracle, v, ring.at(short, i)))
        .reduce(oracle.multiply);
      expect(texts(group, group.multiPower(elements, short))).to.deep.equal(expected([shortProduct]));
      expect(group.isIdentity(group.multiPower(group.identity(0), ring.of()), 0)).to.equal(true);
    });

    it('given two vectors, when multiplied, inverted and totalled, then item by item as defined', () => {
      const other = slice(gather(elements, [6, 5, 4, 3, 2, 1, 0]), 0);
      const products = values.map((value, i) => oracle.multiply(value, values[6 - i]));
      expect(texts(group, group.multiply(elements, other))).to.deep.equal(expected(products));
      const byOne = values.map((value) => oracle.multiply(value, values[0]));
      expect(texts(group, group.multiply(elements, item(elements, 0)))).to.deep.equal(expected(byOne));
      expect(texts(group, group.multiply(item(elements, 0), elements))).to.deep.equal(expected(byOne));
      expect(texts(group, group.product(elements))).to.deep.equal(expected([values.reduce(oracle.multiply)]));
      const ones = group.multiply(elements, group.invert(elements));
      expect(texts(group, ones)).to.deep.equal(texts(group, group.identity(7)));
    });

    it('given scalar vectors, when computed with, then as BigInt computes', () => {
      const [a, b] = [ring.random(6), ring.random(6)];
      const [x, y] = [ring.values(a), ring.values(b)];
      const mod = (value: bigint): bigint => ((value % q) + q) % q;
      expect(ring.values(ring.add(a, b))).to.deep.equal(x.map((v, i) => mod(v + y[i]!)));
      expect(ring.values(ring.subtract(a, b))).to.deep.equal(x.map((v, i) => mod(v - y[i]!)));
      expect(ring.values(ring.multiply(a, item(b, 2)))).to.deep.equal(x.map((v) => mod(v * y[2]!)));
      expect(ring.values(ring.multiply(item(b, 2), a))).to.deep.equal(x.map((v) => mod(v * y[2]!)));
      expect(ring.values(ring.subtract(item(b, 2), a))).to.deep.equal(x.map((v) => mod(y[2]! - v)));
      const c = ring.random(6);
      const sums = (u: bigint): bigint[] => x.map((v, i) => mod(v * u + ring.at(c, i)));
      expect(ring.values(ring.multiplyAdd(a, item(b, 2), c))).to.deep.equal(sums(y[2]!));
      expect(ring.values(ring.multiplyAdd(a, b, c))).to.deep.equal(
        x.map((v, i) => mod(v * y[i]! + ring.at(c, i))),
      );
      expect(ring.at(ring.innerProduct(a, b), 0)).to.equal(mod(x.reduce((sum, v, i) => sum + v * y[i]!, 0n)));
      expect(ring.at(ring.sum(a), 0)).to.equal(mod(x.reduce((sum, v) => sum + v)));
      expect(ring.at(ring.product(a), 0)).to.equal(x.reduce((product, v) => mod(product * v)));
      let sum = 0n;
      const recurrence = x.map((v, i) => {
        sum = mod(sum * y[i]! + v);
        return sum;
      });
      expect(ring.values(ring.recurrence(a, b))).to.deep.equal(recurrence);
      let product = 1n;
      const running = x.map((v) => {
        product = mod(product * v);
        return product;
      });
      expect(ring.values(ring.cumulativeProduct(a))).to.deep.equal(running);
      expect(ring.values(ring.negate(a))).to.deep.equal(x.map((v) => mod(-v)));
      expect(mod(ring.inverseOf(x[0]!) * x[0]!)).to.equal(1n);
    });

    it('given random scalars of some bits, when drawn, then none has more, and almost all have nearly as many', () => {
      for (const bits of [1, 7, 8, 128, ring.bits - 1]) {
        const drawn = ring.values(ring.randomBits(64, bits));
        expect(
          drawn.every((value) => value < 1n << BigInt(bits)),
          `${bits} bits`,
        ).to.equal(true);
        expect(
          drawn.some((value) => value >> BigInt(bits - 1) === 1n),
          `${bits} bits`,
        ).to.equal(true);
      }
      const uniform = ring.values(ring.random(64));
      expect(uniform.every((value) => value < q)).to.equal(true);
      expect(new Set(uniform).size).to.equal(64);
    });

    it('given messages and integers, when encoded as elements and decoded, then they are the same', () => {
      const longest = new Uint8Array(group.messageLength).fill(255);
      const messages = [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(1, 2, 0), longest];
      expect(group.decodeMessages(group.encodeMessages(messages))).to.deep.equal(messages);
      const integers = [0n, 1n, 255n, 256n, 2n ** 200n + 7n];
      expect(group.decodeIntegers(group.encodeIntegers(integers))).to.deep.equal(integers);
      const tooLong = new Uint8Array(group.messageLength + 1);
      expect(refusalReason(() => group.encodeMessages([tooLong]))).to.equal('message-too-long');
      expect(refusalReason(() => group.encodeIntegers([-1n]))).to.equal('message-too-long');
    });

    it('given byte trees of elements, when decoded, then only canonical members are accepted', () => {
      const trees = group.encode(elements);
      expect(texts(group, group.decode(trees, 'test'))).to.deep.equal(texts(group, elements));
      const bent = trees.slice(0, group.treeLength);
      // p - x is no square if x is, and a changed last octet of y is off the curve
      if (group.kind === 'multiplicative')
        bent.set(fromBigInt(p - (values[0] as bigint), 256), bent.length - 256);
      else bent[bent.length - 1]! ^= 1;
      expect(refusalReason(() => group.decode(bent, 'test'))).to.be.oneOf([
        'element-not-in-group',
        'element-not-canonical',
      ]);
      const heads = group.kind === 'curve' ? [0, 1, 4, 5, 9, 10, 43, 47, 48] : [0, 1, 4, 5];
      for (const at of heads) {
        const header = trees.slice();
        header[at]! ^= 1;
        expect(
          refusalReason(() => group.decode(header, 'test')),
          `octet ${at}`,
        ).to.equal('element-not-canonical');
      }
      const zero = trees.slice(0, group.treeLength);
      if (group.kind === 'multiplicative') zero.fill(0, 5);
      else {
        zero.fill(0, 10, 43);
        zero.fill(0, 48);
      }
      expect(refusalReason(() => group.decode(zero, 'test'))).to.be.oneOf([
        'element-not-in-group',
        'element-not-canonical',
      ]);
    });

    it('given element texts, when parsed, then only canonical members are accepted', () => {
      const text = group.elementText(elements, 0);
      expect(texts(group, group.parseElement(text, 'test'))).to.deep.equal([text]);
      for (const bad of ['', '-1', '00', '0', `0${text}`, `${text}0`, `${text} `, text.replace(/.$/, 'x')]) {
        expect(
          refusalReason(() => group.parseElement(bad, 'test')),
          bad,
        ).to.be.oneOf(['element-not-canonical', 'element-not-in-group']);
      }
    });
  });
}

describe('Group registry', () => {
  it('given each named group, when its description is parsed, then the same group is found', () => {
    for (const name of ['P-256', 'modp-2048', 'modp-3072']) {
      const group = groupByName(name);
      expect(groupByDescription(group.description)).to.equal(group);
      expect(groupByDescription(`any text::${group.description.split('::')[1]}`)).to.equal(group);
    }
  });

  it('given a damaged description, when it is parsed, then it is refused', () => {
    const text = groupByName('modp-2048').description;
    const end = text.slice(0, -2);
    expect(refusalReason(() => groupByDescription(`${end}02`))).to.equal('group-unsupported');
    expect(refusalReason(() => groupByDescription(`${text}00`))).to.equal('byte-tree-trailing-bytes');
    expect(refusalReason(() => groupByDescription('P-256'))).to.equal('group-description-invalid');
    const changed = text.replace('912f8757', '912f8758');
    expect(refusalReason(() => groupByDescription(changed))).to.equal('group-description-invalid');
    expect(refusalReason(() => groupByName('P-521'))).to.equal('group-unsupported');
  });

  it('given a composite modulus of the right form, when a group is made of it, then it is refused', () => {
    const q = (p - 1n) / 2n + 2n;
    const group = new ModpGroup(2n * q + 1n, 4n);
    expect(refusalReason(() => groupByDescription(group.description))).to.equal('group-description-invalid');
  });
});

describe('Permutations', () => {
  it('given a permutation, when a vector is permuted and gathered back, then it is unchanged', () => {
    const { ring } = groupByName('P-256');
    const v = ring.random(50);
    const pi = randomPermutation(50);
    expect([...pi].sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 50 }, (_, i) => i));
    const permuted = permute(v, pi);
    expect(ring.at(permuted, pi[7]!)).to.equal(ring.at(v, 7));
    expect(ring.values(gather(permuted, pi))).to.deep.equal(ring.values(v));
    expect(ring.values(permute(permuted, inverse(pi)))).to.deep.equal(ring.values(v));
  });

  it('given three items, when permuted many times, then all six orders come up', () => {
    const seen = new Set(Array.from({ length: 400 }, () => randomPermutation(3).join('')));
    expect(seen.size).to.equal(6);
  });
});
