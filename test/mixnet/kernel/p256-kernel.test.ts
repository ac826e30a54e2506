import { expect } from 'chai';
import { P256Kernel } from '../../../lib/mixnet/kernel/p256-kernel.ts';
import {
  integerOctets,
  integers,
  lines,
  list,
  ORDER,
  Point,
  pointOctets,
  randomPoint,
  randomScalar,
  sumOf,
  times,
} from './oracle.ts';

const kernel = new P256Kernel();
const points = list(67, randomPoint);

/** Pairs of every kind: ordinary, equal, opposite, infinite on the left, on the right, on both sides. */
const left = [...points];
const right = [...points.slice(1), points[0]!];
right[3] = left[3]!;
right[7] = left[7]!.negate();
left[9] = Point.ZERO;
right[11] = Point.ZERO;
left[12] = Point.ZERO;
right[12] = Point.ZERO;
left[66] = left[65]!;
right[66] = right[65]!;

const edgeScalars = [
  ...[0n, 1n, 2n, 3n, 31n, 32n, 33n, 62n, 64n, 126n, 127n, 128n, 1n << 128n, 1n << 255n],
  ...[1n, 2n, 3n, 31n, 32n, 62n, 63n, 126n, 127n, 128n].map((distance) => ORDER - distance),
  ...[ORDER, ORDER + 1n, 2n ** 256n - 1n],
];
const scalars = [...edgeScalars, ...list(points.length - edgeScalars.length, () => randomScalar())];

function expectPoints(actual: Uint8Array, expected: readonly Point[]): void {
  expect(lines(actual)).to.deep.equal(lines(pointOctets(...expected)));
}

describe('P-256 kernel', () => {
  describe('addition', () => {
    it('given pairs of every kind, equals the oracle', () => {
      expectPoints(
        kernel.add(pointOctets(...left), pointOctets(...right)),
        left.map((point, i) => point.add(right[i]!)),
      );
    });

    it('given pairs of every kind to subtract, equals the oracle', () => {
      expectPoints(
        kernel.subtract(pointOctets(...left), pointOctets(...right)),
        left.map((point, i) => point.subtract(right[i]!)),
      );
    });

    it('given one point and a list, on either side, goes with each of the list', () => {
      const one = points[5]!;
      expectPoints(
        kernel.add(pointOctets(one), pointOctets(...left)),
        left.map((point) => one.add(point)),
      );
      expectPoints(
        kernel.subtract(pointOctets(...left), pointOctets(one)),
        left.map((point) => point.subtract(one)),
      );
    });

    it('given points with the coordinates 0 and 1, equals the oracle', () => {
      const b = 0x66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4n;
      const odd = [
        Point.fromAffine({ x: 0n, y: b }),
        Point.fromAffine({
          x: 0x09e78d4ef60d05f750f6636209092bc43cbdd6b47e11a9de20a9feb2a50bb96cn,
          y: 1n,
        }),
      ].flatMap((point) => [point, point.negate(), point]);
      odd.forEach((point) => {
        point.assertValidity();
      });
      const others = [odd[0]!, odd[0]!, odd[3]!, odd[3]!, odd[5]!, Point.ZERO];
      expectPoints(
        kernel.add(pointOctets(...odd), pointOctets(...others)),
        odd.map((point, i) => point.add(others[i]!)),
      );
    });

    it('given lists of 0 to 9 and of a whole unit and one more, has every sum', () => {
      for (const count of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2048, 2049]) {
        const some = list(count, (i) => points[i % 61]!);
        const sums = kernel.add(pointOctets(...some), pointOctets(...some.map((point) => point.double())));
        const tripled = points.map((point) => point.add(point).add(point));
        expectPoints(
          sums,
          some.map((_, i) => tripled[i % 61]!),
        );
      }
    });

    it('given lists of different lengths, refuses', () => {
      expect(() => kernel.add(pointOctets(...left), pointOctets(...left.slice(2)))).to.throw(RangeError);
      expect(() => kernel.add(new Uint8Array(63), new Uint8Array(64))).to.throw(RangeError);
    });
  });

  describe('negation and sums', () => {
    it('given points and infinity, has the opposite points', () => {
      expectPoints(
        kernel.negate(pointOctets(...left)),
        left.map((point) => point.negate()),
      );
    });

    it('given lists of any length, equal and opposite points among them, has their sum', () => {
      for (const count of [0, 1, 2, 3, 5, 66, 67]) {
        expectPoints(kernel.total(pointOctets(...right.slice(0, count))), [sumOf(right.slice(0, count))]);
      }
      expectPoints(kernel.total(pointOctets(points[1]!, points[1]!, points[1]!)), [times(points[1]!, 3n)]);
      expectPoints(kernel.total(pointOctets(points[1]!, points[1]!.negate())), [Point.ZERO]);
    });

    it('given more points than one unit takes, has their sum', () => {
      const many = new Uint8Array(64 * 8200);
      for (let i = 0; i < 8200; i++) many.set(pointOctets(Point.BASE), 64 * i);
      expectPoints(kernel.total(many), [times(Point.BASE, 8200n)]);
    });
  });

  describe('fixed base', () => {
    it('given edge and random scalars, equals the oracle', () => {
      expectPoints(
        kernel.fixedBase(pointOctets(points[0]!), integerOctets(scalars)),
        scalars.map((k) => times(points[0]!, k)),
      );
    });

    it('given every table width, equals the oracle', () => {
      // kept tables are replaced by wider ones only, so the counts ascend
      for (const count of [1, 8, 40, 150, 700, 3000]) {
        const some = list(count, (i) => scalars[(i * 7) % scalars.length]!);
        const expected = scalars.map((k) => times(points[2]!, k));
        expectPoints(
          kernel.fixedBase(pointOctets(points[2]!), integerOctets(some)),
          some.map((_, i) => expected[(i * 7) % scalars.length]!),
        );
      }
    });

    it('given several bases and an addend, sums them all', () => {
      const reversed = [...scalars].reverse();
      expectPoints(
        kernel.fixedBaseSum(
          [
            { base: pointOctets(points[0]!), scalars: integerOctets(scalars) },
            { base: pointOctets(points[1]!), scalars: integerOctets(reversed) },
            { base: pointOctets(points[0]!), scalars: integerOctets(reversed) },
          ],
          pointOctets(...right),
        ),
        scalars.map((k, i) =>
          right[i]!.add(times(points[0]!, k + reversed[i]!)).add(times(points[1]!, reversed[i]!)),
        ),
      );
    });

    it('given infinity as the base, gives infinity', () => {
      expectPoints(
        kernel.fixedBase(pointOctets(Point.ZERO), integerOctets([0n, 1n, 5n])),
        list(3, () => Point.ZERO),
      );
    });

    it('given more bases than tables are kept, still equals the oracle', () => {
      const bases = points.slice(10, 20);
      for (const base of [...bases, bases[0]!]) {
        expectPoints(kernel.fixedBase(pointOctets(base), integerOctets([scalars[30]!])), [
          times(base, scalars[30]!),
        ]);
      }
    });
  });

  describe('multi-scalar multiplication', () => {
    const sum = (bases: readonly Point[], ks: readonly bigint[]) =>
      sumOf(bases.map((point, i) => times(point, ks[i]!)));

    it('given edge scalars, equal and opposite points and infinity, equals the oracle', () => {
      for (const count of [0, 1, 2, 3, 4, 5, 13, 67]) {
        const bases = right.slice(0, count);
        expectPoints(kernel.multiScalar(pointOctets(...bases), integerOctets(scalars.slice(0, count))), [
          sum(bases, scalars),
        ]);
      }
    });

    it('given short scalars, equals the oracle at every length', () => {
      for (const bits of [1, 2, 13, 64, 127, 128, 129, 192, 255]) {
        const ks = list(67, (i) =>
          i === 0 ? 0n : i === 1 ? (1n << BigInt(bits)) - 1n : randomScalar(1n << BigInt(bits)),
        );
        expectPoints(kernel.multiScalar(pointOctets(...right), integerOctets(ks), bits), [sum(right, ks)]);
      }
    });

    it('given a scalar longer than said, refuses', () => {
      const ks = integerOctets([1n, 1n << 128n]);
      expect(() => kernel.multiScalar(pointOctets(points[0]!, points[1]!), ks, 128)).to.throw(
        RangeError,
        '128',
      );
      expect(() => kernel.multiScalar(pointOctets(points[0]!), ks)).to.throw(RangeError);
    });

    it('given many terms over known logarithms, equals the one exponent', () => {
      const count = 3000;
      const logarithms = list(count, () => randomScalar());
      const ks = list(count, () => randomScalar());
      const bases = kernel.fixedBase(pointOctets(Point.BASE), integerOctets(logarithms));
      const exponent = logarithms.reduce((total, s, i) => total + s * ks[i]!, 0n);
      expectPoints(kernel.multiScalar(bases, integerOctets(ks)), [times(Point.BASE, exponent)]);
    });

    it('given more terms than one chunk takes, equals the one exponent', () => {
      const count = 65_537;
      const logarithms = kernel.ring.runningProducts(
        integerOctets(list(count, (i) => BigInt(i) + 2n ** 200n)),
      );
      const ks = kernel.ring.multiply(logarithms, integerOctets([randomScalar()]));
      const bases = kernel.fixedBase(pointOctets(Point.BASE), logarithms);
      const [exponent] = integers(kernel.ring.innerProduct(logarithms, ks));
      expectPoints(kernel.multiScalar(bases, ks), [times(Point.BASE, exponent!)]);
    });

    it('given one point a thousand times, equals the sum of the scalars', () => {
      const ks = list(1000, () => randomScalar());
      const bases = new Uint8Array(64 * 1000);
      for (let i = 0; i < 1000; i++) bases.set(pointOctets(points[0]!), 64 * i);
      const exponent = ks.reduce((total, k) => total + k, 0n);
      expectPoints(kernel.multiScalar(bases, integerOctets(ks)), [times(points[0]!, exponent)]);
    });
  });

  describe('secret exponents', () => {
    it('given an exponent for each point, edge exponents and infinity among them, equals the oracle', () => {
      expectPoints(
        kernel.power(pointOctets(...right), integerOctets(scalars)),
        right.map((point, i) => times(point, scalars[i]!)),
      );
    });

    it('given one exponent for all points, equals the oracle for each edge exponent', () => {
      const bases = [points[0]!, Point.ZERO, points[1]!, points[0]!, points[0]!.negate()];
      for (const k of [...edgeScalars, randomScalar()]) {
        expectPoints(
          kernel.power(pointOctets(...bases), integerOctets([k])),
          bases.map((point) => times(point, k)),
        );
      }
    });

    it('given every exponent within 140 of 0 and of the order, equals the oracle', () => {
      const near = list(281, (i) => (ORDER + BigInt(i) - 140n) % ORDER);
      expectPoints(
        kernel.power(pointOctets(...near.map(() => points[3]!)), integerOctets(near)),
        near.map((k) => times(points[3]!, k)),
      );
    });

    it('given more points than one unit takes, equals the fixed base', () => {
      const ks = integerOctets(list(520, () => randomScalar()));
      const bases = new Uint8Array(64 * 520);
      for (let i = 0; i < 520; i++) bases.set(pointOctets(points[4]!), 64 * i);
      expect(lines(kernel.power(bases, ks))).to.deep.equal(
        lines(kernel.fixedBase(pointOctets(points[4]!), ks)),
      );
    });
  });
});
