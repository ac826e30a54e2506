import { expect } from 'chai';
import { LIMB_BITS, LIMBS } from '../../../lib/mixnet/kernel/build/p256-field.ts';
import { P256Engine } from '../../../lib/mixnet/kernel/p256-engine.ts';
import { list, PRIME } from './oracle.ts';

/*
 * The bounds of docs/arithmetic.md, "Limbs". `product` and `carried` are what the kernel's functions leave; operands
 * are sums and differences of those.
 */
const TOP = 8;
const LIMB = 2 ** LIMB_BITS;
/** |limb| of a carried element. */
const CARRIED = LIMB + 2 ** 26;
/** |limb| of a sum or a difference of two carried elements. */
const PAIR = 2 * CARRIED;

const { exports, arena } = new P256Engine();
const [a, b, o] = list(3, () => arena.take(16 * LIMBS)) as [number, number, number];
const MONTGOMERY = 1n << BigInt(LIMBS * LIMB_BITS);

type Limbs = readonly number[];

function integerOf(limbs: Limbs): bigint {
  return limbs.reduceRight((value, limb) => (value << BigInt(LIMB_BITS)) + BigInt(limb), 0n);
}

const modP = (value: bigint): bigint => ((value % PRIME) + PRIME) % PRIME;

/** The interface to a function of quads (`lanes` 4) or of single elements (1). */
function words(at: number, lanes: number): Int32Array {
  return new Int32Array(exports.memory.buffer, at, LIMBS * lanes);
}

function put(at: number, elements: readonly Limbs[]): void {
  const lanes = elements.length;
  words(at, lanes).set(list(LIMBS * lanes, (i) => elements[i % lanes]![Math.floor(i / lanes)]!));
}

function take(at: number, lanes: number): number[][] {
  return list(lanes, (lane) => list(LIMBS, (k) => words(at, lanes)[lanes * k + lane]!));
}

/** Limbs that are extreme, or random below the bound. The top limb weighs 2^232: an element has 24 bits of it. */
function extreme(bound: number, top: number, sign: -1 | 0 | 1): number[] {
  return list(LIMBS, (k) => {
    const limit = k === TOP ? top : bound;
    const choice = Math.random();
    const size = choice < 0.7 ? limit : Math.floor(Math.random() * (limit + 1));
    if (sign !== 0) return sign * size;
    return Math.random() < 0.5 ? size : -size;
  });
}

const ROUNDS = 20_000;

/** Pairs of operands at the bound: one side a sum or difference of two carried elements, the other a single one. */
function operands(round: number): [number[], number[]] {
  // limbs of a sum or difference are all of one sign (but for 2^26), or each at most one carried limb in size
  const kind = round % 3;
  const wide = kind === 0 ? extreme(CARRIED, 2 ** 26, 0) : extreme(PAIR, 2 ** 27, kind === 1 ? 1 : -1);
  return [wide, extreme(CARRIED, 2 ** 26, round % 2 === 0 ? 0 : 1)];
}

function expectProduct(result: Limbs, product: bigint): void {
  if (modP(integerOf(result) * MONTGOMERY) !== modP(product))
    expect.fail(`wrong product: limbs ${result.join(' ')}`);
  result.forEach((limb, k) => {
    const inBounds = k === TOP ? Math.abs(limb) < 2 ** 26 : limb >= 0 && limb < LIMB;
    if (!inBounds) expect.fail(`limb ${k} of a product is ${limb}`);
  });
}

describe('P-256 field, limbs at their bounds', () => {
  it('given extreme operands in four lanes, mul4 is right and leaves a product', () => {
    for (let round = 0; round < ROUNDS; round++) {
      const pairs = list(4, (lane) => operands(round + lane));
      put(
        a,
        pairs.map(([wide]) => wide),
      );
      put(
        b,
        pairs.map(([, single]) => single),
      );
      if (round % 2 === 0) exports.mul4(o, a, b);
      else exports.mul4(o, b, a);
      take(o, 4).forEach((result, lane) => {
        expectProduct(result, integerOf(pairs[lane]![0]) * integerOf(pairs[lane]![1]));
      });
    }
  });

  it('given extreme elements in four lanes, sqr4 is right and leaves a product', () => {
    for (let round = 0; round < ROUNDS; round++) {
      const elements = list(4, (lane) =>
        extreme(CARRIED, 2 ** 26, ([0, 1, -1] as const)[(round + lane) % 3]!),
      );
      put(a, elements);
      exports.sqr4(o, a);
      take(o, 4).forEach((result, lane) => {
        expectProduct(result, integerOf(elements[lane]!) ** 2n);
      });
    }
  });

  it('given extreme operands, mul and sqr are right and leave a product', () => {
    for (let round = 0; round < ROUNDS; round++) {
      const [wide, single] = operands(round);
      put(a, [wide]);
      put(b, [single]);
      exports.mul(o, a, b);
      expectProduct(take(o, 1)[0]!, integerOf(wide) * integerOf(single));
      exports.sqr(o, b);
      expectProduct(take(o, 1)[0]!, integerOf(single) ** 2n);
    }
  });

  it('given limbs of up to 2^31 - 8, carry and carry4 keep the value and leave a carried element', () => {
    const expectCarried = (before: Limbs, after: Limbs) => {
      if (modP(integerOf(before)) !== modP(integerOf(after))) expect.fail(`wrong: ${before.join(' ')}`);
      if (after.some((limb) => limb <= -(2 ** 29) / 8 || limb >= CARRIED))
        expect.fail(`limbs ${after.join(' ')}`);
    };
    for (let round = 0; round < ROUNDS; round++) {
      const elements = list(4, (lane) =>
        extreme(2 ** 31 - 8, 2 ** 28, ([0, 1, -1] as const)[(round + lane) % 3]!),
      );
      put(o, elements);
      exports.carry4(o);
      take(o, 4).forEach((after, lane) => {
        expectCarried(elements[lane]!, after);
      });
      put(o, [elements[0]!]);
      exports.carry(o);
      expectCarried(elements[0]!, take(o, 1)[0]!);
    }
  });

  it('given any limbs and the multiples of p, canonical gives the one value below p', () => {
    const multiples = list(7, (i) => BigInt(i - 3) * PRIME).flatMap((m) => [m - 1n, m, m + 1n]);
    const cases = [
      ...multiples.map((value) => {
        const limbs = list(LIMBS, (k) => Number((value >> BigInt(LIMB_BITS * k)) & BigInt(LIMB - 1)));
        limbs[TOP] = Number(value >> BigInt(LIMB_BITS * TOP));
        return limbs;
      }),
      ...list(ROUNDS, (round) => extreme(2 ** 31 - 8, 2 ** 31 - 8, ([0, 1, -1] as const)[round % 3]!)),
    ];
    for (const limbs of cases) {
      put(o, [limbs]);
      exports.canonical(o);
      const result = take(o, 1)[0]!;
      if (integerOf(result) !== modP(integerOf(limbs))) expect.fail(`wrong: ${limbs.join(' ')}`);
      if (result.some((limb) => limb < 0 || limb >= LIMB)) expect.fail(`limbs ${result.join(' ')}`);
    }
    cases.forEach((_, i) => {
      const four = list(4, (lane) => cases[(i + lane) % cases.length]!);
      // four lanes have 32 bits for a limb and its carry, one lane has 64
      const fit = four.map((limbs) => limbs.map((limb, k) => (k === TOP ? limb >> 3 : limb)));
      put(o, fit);
      exports.canonical4(o);
      take(o, 4).forEach((result, lane) => {
        if (integerOf(result) !== modP(integerOf(fit[lane]!))) expect.fail(`wrong: ${fit[lane]!.join(' ')}`);
        if (result.some((limb) => limb < 0 || limb >= LIMB)) expect.fail(`limbs ${result.join(' ')}`);
      });
    });
  });

  it('given carried elements, the inverses are right', () => {
    for (let round = 0; round < 50; round++) {
      const elements = list(4, () => extreme(CARRIED, 2 ** 24, 1));
      put(a, elements);
      exports.invertLanes(o, a);
      take(o, 4).forEach((inverse, lane) => {
        // both are in Montgomery form: xR · x⁻¹R = R²
        expect(modP(integerOf(inverse) * integerOf(elements[lane]!))).to.equal(modP(MONTGOMERY * MONTGOMERY));
      });
    }
  });
});
