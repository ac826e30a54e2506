/**
 * Microseconds an operation of the arithmetic kernel takes, and the ratio to one P-256 ECDH operation of node:crypto
 * in the same run: ratios can be compared between machines, microseconds cannot.
 *
 *     node bench/kernel.ts [--json] [--count 10000] [--samples 5] [--threads 2]
 *
 * One-thread figures are processor time, so that other programs disturb them little; the threads' speed-up is elapsed
 * time and means something on idle cores only. Operations are interleaved; a figure is the median of the samples.
 */
import { createECDH, getDiffieHellman, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { KernelPool } from '../lib/mixnet/kernel/kernel-pool.ts';
import { ModpKernel } from '../lib/mixnet/kernel/modp-kernel.ts';
import { P256Kernel } from '../lib/mixnet/kernel/p256-kernel.ts';

type Options = { count: number; samples: number; threads: number };
type Operation = { name: string; count: number; run: () => void };
type Figure = { name: string; microseconds: number; best: number; ratio: number };
type SpeedUp = { name: string; one: number; many: number; speedUp: number };
type Results = { options: Options; node: string; figures: Figure[]; speedUps: SpeedUp[] };

const BASE = Buffer.from(
  '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296' +
    '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
  'hex',
);

/** So many that bringing the points in does not count. */
const RESIDENT_ROUNDS = 50;

/** Random integers of `bits` bits in fields of `width` octets. */
function randomIntegers(count: number, bits: number, width = 32): Uint8Array {
  const out = new Uint8Array(randomBytes(count * width));
  for (let i = 0; i < count; i++) out.fill(0, i * width, (i + 1) * width - bits / 8);
  return out;
}

function p256Operations(kernel: P256Kernel, n: number): Operation[] {
  const [scalars, short] = [randomIntegers(n, 256), randomIntegers(n, 128)];
  const points = kernel.fixedBase(BASE, scalars);
  const others = kernel.add(points, BASE);
  const compressed = new Uint8Array(33 * n);
  for (let i = 0; i < n; i++) {
    compressed[33 * i] = 2;
    compressed.set(points.subarray(64 * i, 64 * i + 32), 33 * i + 1);
  }
  const some = Math.min(n, 2048);
  return [
    { name: 'add, in the kernel', count: 2048 * RESIDENT_ROUNDS, run: residentAdditions(kernel) },
    { name: 'add, lists', count: n, run: () => kernel.add(points, others) },
    { name: 'check (import)', count: n, run: () => kernel.firstInvalid(points) },
    { name: 'fixed base', count: n, run: () => kernel.fixedBase(BASE, scalars) },
    { name: 'multi-scalar, 256 bits', count: n, run: () => kernel.multiScalar(points, scalars) },
    { name: 'multi-scalar, 128 bits', count: n, run: () => kernel.multiScalar(points, short, 128) },
    {
      name: 'secret exponent',
      count: some,
      run: () => kernel.power(points.subarray(0, 64 * some), scalars.subarray(0, 32)),
    },
    { name: 'decompress', count: n, run: () => kernel.decompress(compressed) },
    { name: 'generator candidate', count: n, run: () => kernel.lift(points) },
    { name: 'ring, multiply and add', count: n, run: () => kernel.ring.multiplyAdd(scalars, short, scalars) },
    { name: 'ring, inner product', count: n, run: () => kernel.ring.innerProduct(scalars, short) },
    { name: 'ring, recurrence', count: n, run: () => kernel.ring.recurrence(scalars, short) },
    { name: 'ring, reduce 512 bits', count: n, run: () => kernel.ring.reduce(points, 64) },
    { name: 'ring, invert', count: n, run: () => kernel.ring.invert(short) },
  ];
}

/** Additions of 2,048 pairs of points that are in the kernel's memory already. */
function residentAdditions(kernel: P256Kernel): () => void {
  const { engines } = kernel.executor;
  const points = kernel.fixedBase(BASE, randomIntegers(4096, 256));
  const { exports, arena } = engines.p256;
  return () => {
    arena.reset();
    const octets = arena.put(points);
    const [inside, out] = [arena.take(4096 * 72), arena.take(2048 * 72)];
    exports.readPoints(inside, octets, 4096);
    for (let round = 0; round < RESIDENT_ROUNDS; round++)
      exports.addPoints(out, inside, 72, inside + 2048 * 72, 72, 2048);
  };
}

function modpOperations(bits: 2048 | 3072): Operation[] {
  const prime = getDiffieHellman(bits === 2048 ? 'modp14' : 'modp15').getPrime();
  const width = bits / 8;
  const kernel = new ModpKernel(prime, width);
  const four = new Uint8Array(width);
  four[width - 1] = 4;
  const n = 256;
  const full = randomIntegers(n, bits - 8, width);
  const elements = kernel.fixedBase(four, full);
  const some = elements.subarray(0, 4 * width);
  const many = new Uint8Array(Buffer.concat([elements, elements, elements, elements]));
  const short = randomIntegers(4 * n, 256, width);
  return [
    { name: `modp-${bits}, fixed base`, count: n, run: () => kernel.fixedBase(four, full) },
    {
      name: `modp-${bits}, multi-exponentiation, 256 bits`,
      count: 4 * n,
      run: () => kernel.multiPower(many, short, 256),
    },
    {
      name: `modp-${bits}, secret exponent`,
      count: 4,
      run: () => kernel.power(some, full.subarray(0, width)),
    },
    { name: `modp-${bits}, membership`, count: n, run: () => kernel.firstInvalid(elements) },
    { name: `modp-${bits}, multiply`, count: n, run: () => kernel.multiply(elements, elements) },
  ];
}

function ecdh(): Operation {
  const [own, other] = [createECDH('prime256v1'), createECDH('prime256v1')];
  own.generateKeys();
  const key = other.generateKeys();
  return {
    name: 'node:crypto ECDH',
    count: 50,
    run: () => {
      for (let i = 0; i < 50; i++) own.computeSecret(key);
    },
  };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

function measure(operations: readonly Operation[], samples: number): Figure[] {
  const taken = operations.map((): number[] => []);
  for (const { run } of operations) run();
  for (let sample = 0; sample < samples; sample++) {
    operations.forEach(({ count, run }, i) => {
      const start = process.cpuUsage();
      let rounds = 0;
      let spent = 0;
      do {
        run();
        rounds++;
        const { user, system } = process.cpuUsage(start);
        spent = user + system;
      } while (spent < 60_000);
      taken[i]!.push(spent / rounds / count);
    });
  }
  const unit = median(taken[0]!);
  return operations.map(({ name }, i) => {
    const microseconds = median(taken[i]!);
    return { name, microseconds, best: Math.min(...taken[i]!), ratio: microseconds / unit };
  });
}

function measureThreads({ count, samples, threads }: Options): SpeedUp[] {
  using pool = new KernelPool({ threads });
  const [one, many] = [new P256Kernel(), new P256Kernel(pool)];
  const scalars = pool.share(randomIntegers(count, 256));
  const points = pool.share(one.fixedBase(BASE, scalars));
  const exponent = scalars.subarray(0, 32);
  const some = points.subarray(0, 64 * Math.min(count, 8192));
  const operations: [string, (kernel: P256Kernel) => unknown][] = [
    ['fixed base', (kernel) => kernel.fixedBase(BASE, scalars)],
    ['multi-scalar, 256 bits', (kernel) => kernel.multiScalar(points, scalars)],
    ['secret exponent', (kernel) => kernel.power(some, exponent)],
    ['add, lists', (kernel) => kernel.add(points, points)],
  ];
  return operations.map(([name, run]) => {
    const best = [one, many].map((kernel) => {
      run(kernel);
      return Number.POSITIVE_INFINITY;
    }) as [number, number];
    for (let sample = 0; sample < 2 * samples; sample++) {
      [one, many].forEach((kernel, i) => {
        const start = performance.now();
        run(kernel);
        best[i] = Math.min(best[i]!, performance.now() - start);
      });
    }
    return { name, one: best[0], many: best[1], speedUp: best[0] / best[1] };
  });
}

function print({ figures, speedUps, options }: Results): void {
  const out = process.stdout;
  out.write(`${'operation'.padEnd(44)}${'µs'.padStart(10)}${'best'.padStart(10)}${'ECDHs'.padStart(10)}\n`);
  for (const { name, microseconds, best, ratio } of figures) {
    const cells = [microseconds.toFixed(3), best.toFixed(3), ratio.toPrecision(3)];
    out.write(`${name.padEnd(44)}${cells.map((cell) => cell.padStart(10)).join('')}\n`);
  }
  out.write(`\n${options.threads} threads against one, elapsed time, best of ${2 * options.samples}\n`);
  for (const { name, one, many, speedUp } of speedUps) {
    out.write(`${name.padEnd(44)}${one.toFixed(1)} ms / ${many.toFixed(1)} ms = ${speedUp.toFixed(2)}\n`);
  }
}

function work(options: Options): Results {
  const kernel = new P256Kernel();
  const operations = [
    ecdh(),
    ...p256Operations(kernel, options.count),
    ...modpOperations(2048),
    ...modpOperations(3072),
  ];
  return {
    options,
    node: process.version,
    speedUps: measureThreads(options),
    figures: measure(operations, options.samples),
  };
}

if (isMainThread) {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      count: { type: 'string', default: '10000' },
      samples: { type: 'string', default: '5' },
      threads: { type: 'string', default: '2' },
    },
  });
  const options = {
    count: Number(values.count),
    samples: Number(values.samples),
    threads: Number(values.threads),
  };
  // in a worker, for a pool's coordinator may wait and the main thread may not
  const worker = new Worker(new URL(import.meta.url), { workerData: options });
  worker.once('message', (results: Results) => {
    if (values.json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
    else print(results);
  });
} else {
  parentPort!.postMessage(work(workerData as Options));
}
