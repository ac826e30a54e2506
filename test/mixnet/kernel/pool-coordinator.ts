/** The worker thread in which `kernel-pool.test.ts` makes its pools: does one scenario and posts what came of it. */
import { getDiffieHellman } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { KernelPool } from '../../../lib/mixnet/kernel/kernel-pool.ts';
import { ModpKernel } from '../../../lib/mixnet/kernel/modp-kernel.ts';
import { P256Kernel } from '../../../lib/mixnet/kernel/p256-kernel.ts';
import { integerOctets, integers, list, Point, pointOctets, randomScalar } from './oracle.ts';

export type Outcome = { error: string; again: string } | Record<string, boolean> | Record<string, boolean>[];

const COUNT = 9000;
const base = pointOctets(Point.BASE);
const scalars = integerOctets(list(COUNT, () => randomScalar()));

function caught(work: () => void): string {
  try {
    work();
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

/** Every operation, once by each pool and once by one thread. */
function compare(pools: readonly number[]): Record<string, boolean>[] {
  const one = new P256Kernel();
  const points = one.fixedBase(base, scalars);
  const some = points.subarray(0, 64 * 600);
  const compressed = new Uint8Array(33 * COUNT);
  for (let i = 0; i < COUNT; i++) {
    compressed[33 * i] = 2;
    compressed.set(points.subarray(64 * i, 64 * i + 32), 33 * i + 1);
  }
  const bad = points.slice();
  bad[64 * 8888]! ^= 1;
  const before = scalars.slice();
  const reversed = integerOctets(integers(scalars).reverse());
  const one32 = scalars.subarray(64, 96);
  const operations: Readonly<Record<string, (kernel: P256Kernel) => Uint8Array>> = {
    fixedBase: (kernel) => kernel.fixedBaseSum([{ base, scalars }], points),
    add: (kernel) => kernel.add(points, base),
    subtract: (kernel) => kernel.subtract(base, points),
    negate: (kernel) => kernel.negate(points),
    total: (kernel) => kernel.total(points),
    multiScalar: (kernel) => kernel.multiScalar(points, scalars),
    fewTerms: (kernel) => kernel.multiScalar(points.subarray(0, 64), scalars.subarray(0, 32)),
    power: (kernel) => kernel.power(some, scalars.subarray(0, 32)),
    powers: (kernel) => kernel.power(some, scalars.subarray(0, 32 * 600)),
    decompress: (kernel) => kernel.decompress(compressed).points,
    lift: (kernel) => kernel.lift(points).points,
    ringAdd: ({ ring }) => ring.add(scalars, reversed),
    ringSubtract: ({ ring }) => ring.subtract(one32, scalars),
    ringMultiply: ({ ring }) => ring.multiply(scalars, reversed),
    ringMultiplyAdd: ({ ring }) => ring.multiplyAdd(scalars, one32, reversed),
    ringInner: ({ ring }) => ring.innerProduct(scalars, reversed),
    ringReduce: ({ ring }) => ring.reduce(points, 64),
    ringNarrow: ({ ring }) => ring.reduce(points.subarray(0, 9000 * 17), 17),
  };
  const expected = Object.entries(operations).map(([what, work]) => ({ what, work, result: work(one) }));
  return pools.map((threads) => {
    using pool = new KernelPool({ threads });
    const many = new P256Kernel(pool);
    const same = expected.map(({ what, work, result }) => [what, Buffer.compare(work(many), result) === 0]);
    return {
      ...(Object.fromEntries(same) as Record<string, boolean>),
      ringLengths:
        caught(() => many.ring.add(scalars, scalars.subarray(64))).includes('different lengths') &&
        caught(() => many.ring.multiply(scalars, new Uint8Array(33))).includes('33 octets'),
      unchanged: Buffer.compare(scalars, before) === 0,
      check: many.firstInvalid(points) === -1 && many.firstInvalid(bad) === 8888,
      tooLong: caught(() => many.multiScalar(points, scalars, 128)).includes('128'),
    };
  });
}

/** One job with a helper that fails; then another, which the pool must refuse. */
function fail(way: string): Outcome {
  process.env.FAILING_HELPER = way;
  const helper = new URL('./failing-helper.ts', import.meta.url);
  let pool: KernelPool | undefined;
  const error = caught(() => {
    pool = new KernelPool({ threads: 3, helper, stallSeconds: way === 'hang' ? 0.2 : 60 });
    new P256Kernel(pool).fixedBase(base, scalars);
  });
  return { error, again: caught(() => pool && new P256Kernel(pool).fixedBase(base, scalars)) };
}

/** A job whose units throw in every thread, then a good one on the same pool. */
function throwInUnit(): Outcome {
  using pool = new KernelPool({ threads: 2 });
  const [points, scalar] = [pool.allocate(64), pool.allocate(32)];
  // room for the first unit's result only
  const plan = { width: 8, windows: 33, chunk: 1, chunks: 1, windowsPerRange: 1, ranges: 33 };
  const results = { out: pool.allocate(64), tooLong: pool.allocateIntegers(1) };
  const error = caught(() =>
    pool.run({ op: 'multiScalar', points, scalars: scalar, bits: 256, plan, ...results }),
  );
  const again = caught(() => new P256Kernel(pool).fixedBase(base, scalars));
  return { error, again };
}

/** The group modulo a prime, with as few elements as make several units. */
function compareModp(threads: number): Record<string, boolean> {
  using pool = new KernelPool({ threads });
  const prime = getDiffieHellman('modp14').getPrime();
  const [many, one] = [new ModpKernel(prime, 32, pool), new ModpKernel(prime, 32)];
  const four = integerOctets([4n], 256);
  const exponents = scalars.subarray(0, 32 * 80);
  const elements = one.fixedBase(four, exponents);
  const same = (work: (kernel: ModpKernel) => Uint8Array): boolean =>
    Buffer.compare(work(one), work(many)) === 0;
  return {
    fixedBase: same((kernel) => kernel.fixedBase(four, exponents)),
    multiply: same((kernel) => kernel.multiply(elements, four)),
    product: same((kernel) => kernel.product(elements)),
    multiPower: same((kernel) => kernel.multiPower(elements, exponents)),
    power: same((kernel) => kernel.power(elements.subarray(0, 256 * 20), exponents.subarray(0, 32))),
    check: many.firstInvalid(elements) === -1,
  };
}

const { scenario } = workerData as { scenario: string };
const [name, argument = ''] = scenario.split(':');
const outcome =
  name === 'compare'
    ? compare(argument.split(',').map(Number))
    : name === 'compareModp'
      ? compareModp(Number(argument))
      : name === 'fail'
        ? fail(argument)
        : throwInUnit();
parentPort!.postMessage(outcome);
