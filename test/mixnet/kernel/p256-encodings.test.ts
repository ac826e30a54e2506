import { expect } from 'chai';
import { P256Kernel } from '../../../lib/mixnet/kernel/p256-kernel.ts';
import {
  integerOctets,
  lines,
  list,
  Point,
  PRIME,
  pointOctets,
  randomPoint,
  randomScalar,
} from './oracle.ts';

const kernel = new P256Kernel();
const { b } = Point.CURVE();

function compressed(...points: readonly Point[]): Uint8Array {
  const out = new Uint8Array(33 * points.length);
  points.forEach((point, i) => {
    if (!point.is0()) out.set(point.toBytes(true), 33 * i);
  });
  return out;
}

/** The rule of VF 7 in BigInt. */
function lift(x: bigint): { x: bigint; y: bigint } | null {
  const square = (((x * x * x - 3n * x + b) % PRIME) + PRIME) % PRIME;
  const root = Point.Fp.pow(square, (PRIME + 1n) / 4n);
  if (square === 0n || (root * root) % PRIME !== square) return null;
  return { x, y: root <= PRIME / 2n ? root : PRIME - root };
}

describe('P-256 kernel, points from outside', () => {
  const points = list(21, randomPoint);

  describe('the check on import', () => {
    it('given points and infinity, finds nothing', () => {
      expect(kernel.firstInvalid(pointOctets(...points, Point.ZERO))).to.equal(-1);
      expect(kernel.firstInvalid(new Uint8Array(0))).to.equal(-1);
    });

    it('given a point off the curve, names it', () => {
      for (const index of [0, 1, 20]) {
        const octets = pointOctets(...points);
        octets[64 * index + 63]! ^= 1;
        expect(kernel.firstInvalid(octets)).to.equal(index);
      }
    });

    it('given a bad point in the second unit, names it by its place in the list', () => {
      const octets = new Uint8Array(64 * 5000);
      for (let i = 0; i < 5000; i++) octets.set(pointOctets(Point.BASE), 64 * i);
      octets[64 * 4321]! ^= 1;
      octets[64 * 4999]! ^= 1;
      expect(kernel.firstInvalid(octets)).to.equal(4321);
    });

    it('given coordinates that are not below p, refuses them even if they satisfy the equation', () => {
      const onAxis = Point.fromAffine({
        x: 0n,
        y: 0x66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4n,
      });
      expect(kernel.firstInvalid(pointOctets(onAxis))).to.equal(-1);
      const aboveX = pointOctets(onAxis);
      aboveX.set(integerOctets([PRIME]));
      expect(kernel.firstInvalid(aboveX)).to.equal(0);
      const one = { x: 0x09e78d4ef60d05f750f6636209092bc43cbdd6b47e11a9de20a9feb2a50bb96cn, y: 1n };
      expect(kernel.firstInvalid(integerOctets([one.x, one.y]))).to.equal(-1);
      expect(kernel.firstInvalid(integerOctets([one.x, one.y + PRIME]))).to.equal(0);
      expect(kernel.firstInvalid(integerOctets([PRIME, PRIME]))).to.equal(0);
      expect(kernel.firstInvalid(integerOctets([2n ** 256n - 1n, 2n ** 256n - 1n]))).to.equal(0);
      expect(kernel.firstInvalid(integerOctets([PRIME - 1n, PRIME - 1n]))).to.equal(0);
    });
  });

  describe('decompression', () => {
    it('given points of either sign and infinity, equals the oracle', () => {
      const all = [...points, ...points.map((point) => point.negate()), Point.ZERO];
      const { points: found, good } = kernel.decompress(compressed(...all));
      expect(lines(found)).to.deep.equal(lines(pointOctets(...all)));
      expect([...good]).to.deep.equal(all.map(() => 1));
    });

    it('given what is no compressed point, says so and leaves infinity', () => {
      const x = list(50, BigInt).find((candidate) => lift(candidate) === null)!;
      const wrong = [
        Buffer.concat([Buffer.of(2), integerOctets([x])]),
        Buffer.concat([Buffer.of(3), integerOctets([PRIME])]),
        Buffer.concat([Buffer.of(4), compressed(points[0]!).subarray(1)]),
        Buffer.concat([Buffer.of(0), compressed(points[0]!).subarray(1)]),
        Buffer.from(compressed(points[0]!)),
      ];
      const { points: found, good } = kernel.decompress(new Uint8Array(Buffer.concat(wrong)));
      expect([...good]).to.deep.equal([0, 0, 0, 0, 1]);
      expect(lines(found)).to.deep.equal(
        lines(pointOctets(Point.ZERO, Point.ZERO, Point.ZERO, Point.ZERO, points[0]!)),
      );
    });
  });

  describe('candidates for independent generators', () => {
    it('given integers of up to 512 bits, keeps those the rule keeps, with the smaller root', () => {
      const edges = [0n, 1n, 2n, 3n, 5n, PRIME - 1n, PRIME, PRIME + 5n, 2n ** 256n - 1n, 2n ** 256n];
      const wide = [...edges, 2n ** 512n - 1n, ...list(40, () => randomScalar(2n ** 512n)), 2n ** 356n - 1n];
      expect(() => kernel.lift(new Uint8Array(65), 65)).to.throw(RangeError);
      const narrow = wide.map((x) => x % 2n ** 356n);
      expect(kernel.lift(integerOctets(narrow, 45), 45)).to.deep.equal(
        kernel.lift(integerOctets(narrow, 64)),
      );
      const { points: found, good } = kernel.lift(integerOctets(wide, 64));
      const expected = wide.map((x) => lift(x % PRIME));
      expect([...good]).to.deep.equal(expected.map((point) => (point === null ? 0 : 1)));
      expect(lines(found)).to.deep.equal(
        expected.flatMap((point) =>
          lines(integerOctets(point === null ? [0n, 0n] : [point.x, point.y])).join(''),
        ),
      );
    });
  });
});
