/**
 * What a session of one party costs: microseconds per ciphertext of wall and processor time for each step, beside one
 * P-256 ECDH operation of OpenSSL measured in the same run, so that machines can be compared.
 *
 *     npm run bench:mixnet -- [--n 10000] [--group p256|modp2048] [--workers 1|1,2] [--json]
 *
 * The real thing: protInfo.xml, key generation, files in a temporary folder, each step an operation of the worker as a
 * node runs it, `workers` threads sharing the arithmetic, and the verifier in a worker of its own that has seen nothing
 * before but a small session. Not counted: loading the program and warming it up by that small session, making the
 * ciphertexts, beginning the session.
 *
 *     shuffle   independent generators, re-encryption, permutation, commitment to the permutation
 *     prove     the proof of the shuffle; writing list, commitment and proof
 *     decrypt   factors, commitment, reply, checking them, plaintexts
 *     verify    the strict verifier over the whole directory
 *
 * With several numbers of workers all are measured in this one process, and what the others gain over the first is
 * printed: the ratio of wall times, and the serial fraction. The latter is counted in processor time, so that a machine
 * with other work to do shows it too: what the coordinating thread computes beyond its equal share.
 */
import { createECDH } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { serialise } from '../lib/mixnet/byte-tree/tree.ts';
import { DirectoryProofFiles } from '../lib/mixnet/directory/proof-files.ts';
import { ciphertextsTree, encrypt } from '../lib/mixnet/elgamal/ciphertexts.ts';
import { type PublicKeyJson, publicKeyFromJson } from '../lib/mixnet/formats/public-key-json.ts';
import { createPartyKey } from '../lib/mixnet/keys/party-key.ts';
import { fromHex } from '../lib/mixnet/octets.ts';
import { newProtocolInfo } from '../lib/mixnet/session/new-protocol-info.ts';
import { writeProtocolInfo } from '../lib/mixnet/session/protocol-info.ts';
import { MixSession } from '../lib/mixnet/session/session.ts';
import { MixnetWorker } from '../lib/mixnet/worker/client.ts';
import type { JointKeyResult } from '../lib/mixnet/worker/key-operations.ts';

const groupNames = { p256: 'P-256', modp2048: 'modp-2048' } as const;
const steps = ['shuffle', 'prove', 'decrypt', 'verify'] as const;
type Step = (typeof steps)[number];
/** `serial`: the part of the processor time that only one thread can spend; null where threads cannot be told apart. */
type Cost = { cpu_us: number; wall_us: number; serial: number | null };
type Costs = Record<Step, Cost>;
type Options = Readonly<{
  n: number;
  group: keyof typeof groupNames;
  workers: readonly number[];
  json: boolean;
}>;
type Results = Readonly<{
  n: number;
  group: string;
  workers: number;
  steps: Costs;
  ecdh_us: number;
  peak_rss_bytes: number;
}>;

function optionsOf(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      n: { type: 'string', default: '10000' },
      group: { type: 'string', default: 'p256' },
      workers: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  });
  const n = Number(values.n);
  const workers = values.workers.split(',').map(Number);
  const group = Object.keys(groupNames).find((name) => name === values.group) as Options['group'] | undefined;
  if (![n, ...workers].every((number) => Number.isInteger(number) && number > 0) || group === undefined) {
    throw new RangeError(
      'usage: npm run bench:mixnet -- [--n N] [--group p256|modp2048] [--workers K[,L…]] [--json]',
    );
  }
  return { n, group, workers, json: values.json };
}

/** Processor time of one ECDH operation, x only, as OpenSSL does it; the median of several samples. */
function ecdh(): number {
  const [own, other] = [createECDH('prime256v1'), createECDH('prime256v1')];
  own.generateKeys();
  const key = other.generateKeys();
  const samples = Array.from({ length: 9 }, () => {
    const start = process.cpuUsage();
    for (let i = 0; i < 200; i++) own.computeSecret(key);
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 200;
  });
  return samples.sort((a, b) => a - b)[4]!;
}

/** Nanoseconds that each thread of this process has computed; empty where the system does not tell. */
function threadTimes(): Map<string, number> {
  const times = new Map<string, number>();
  try {
    for (const thread of readdirSync('/proc/self/task')) {
      const [computed] = readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ');
      times.set(thread, Number(computed));
    }
  } catch {
    times.clear();
  }
  return times;
}

/** S of the total S + P, if the busiest of `workers` threads computed S + P / workers. */
function serialPart(before: Map<string, number>, after: Map<string, number>, workers: number): number | null {
  const spent = [...after].map(([thread, time]) => time - (before.get(thread) ?? 0));
  const total = spent.reduce((sum, time) => sum + time, 0);
  if (workers === 1 || total === 0) return null;
  return Math.max(0, (workers * Math.max(...spent) - total) / (workers - 1) / total);
}

class Stopwatch {
  readonly costs = Object.fromEntries(
    steps.map((step) => [step, { cpu_us: 0, wall_us: 0, serial: null }]),
  ) as Costs;
  readonly #n: number;
  readonly #workers: number;
  #threads = threadTimes();
  #wall = 0;
  #cpu: NodeJS.CpuUsage = process.cpuUsage();

  constructor(n: number, workers: number) {
    this.#n = n;
    this.#workers = workers;
  }

  start(): void {
    this.#threads = threadTimes();
    this.#cpu = process.cpuUsage();
    this.#wall = performance.now();
  }

  /** What passed since the last call belongs to `step`. */
  lap(step: Step): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.costs[step].cpu_us += (user + system) / this.#n;
    this.costs[step].wall_us += ((performance.now() - this.#wall) * 1000) / this.#n;
    this.costs[step].serial = serialPart(this.#threads, threadTimes(), this.#workers);
    this.start();
  }
}

async function generateKey(worker: MixnetWorker, group: string): Promise<JointKeyResult> {
  const { key, secret } = createPartyKey('Bench');
  const context = { electionId: 'Bench', sessionId: 'bench', group, threshold: 1, partyKeys: [key] };
  const dealt = await worker.run('deal', { context, dealer: 1, secret });
  return await worker.run('combineDealings', {
    context,
    dealings: [{ dealer: 1, ...dealt }],
    party: 1,
    secret,
  });
}

type Ciphertexts = Readonly<{ publicKey: PublicKeyJson; n: number; path: string }>;

/** `n` encryptions of random elements, in a thread whose memory ends with it. */
function makeCiphertexts(wanted: Ciphertexts): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const thread = new Worker(new URL(import.meta.url), { workerData: wanted });
  thread.once('error', reject);
  thread.once('exit', () => resolve());
  return promise;
}

function writeCiphertexts({ publicKey, n, path }: Ciphertexts): void {
  const { group, key } = publicKeyFromJson(publicKey);
  const info = newProtocolInfo({
    sid: 'Bench',
    name: 'Bench',
    group: group.name,
    threshold: 1,
    parties: [{ name: 'Party1', url: 'https://party1.example' }],
  });
  const { codec } = new MixSession(info);
  const plaintexts = group.powerOfFixed(group.generator, group.ring.random(n));
  const list = encrypt(codec, key, [plaintexts], [group.ring.random(n)]);
  writeFileSync(path, serialise(ciphertextsTree(codec, list)));
}

interface Session {
  readonly at: { readonly protInfo: string; readonly directory: string };
  readonly share: JointKeyResult['share'];
}

/** A session of `n` ciphertexts, begun in `folder`. */
async function beginSession(
  worker: MixnetWorker,
  folder: string,
  group: string,
  n: number,
): Promise<Session> {
  const info = newProtocolInfo({
    sid: `Bench${n}`,
    name: 'Bench',
    group,
    threshold: 1,
    parties: [{ name: 'Party1', url: 'https://party1.example' }],
  });
  const { publicKey, polynomial, share } = await generateKey(worker, group);
  const ciphertexts = { path: join(folder, `ciphertexts-${n}`), format: 'raw' as const };
  await makeCiphertexts({ publicKey, n, path: ciphertexts.path });
  const at = { protInfo: writeProtocolInfo(info), directory: join(folder, `proof-${n}`) };
  await worker.run('beginSession', { ...at, type: 'mixing', publicKey, polynomial, ciphertexts });
  return { at, share };
}

async function runSession(
  worker: MixnetWorker,
  verifier: MixnetWorker,
  { at, share }: Session,
  lap: (step: Step) => void,
): Promise<void> {
  const onProgress = (step: string): void => {
    if (step === 'proving the shuffle') lap('shuffle');
  };
  await worker.run('shuffle', { ...at, party: 1, from: 0 }, { onProgress });
  lap('prove');
  await decrypt(worker, at, share);
  lap('decrypt');
  const { ok } = await verifier.run('verifyProofDirectory', at);
  lap('verify');
  if (!ok) throw new Error('the verifier refused the proof');
}

/** Enough for the engine to have compiled what it will compile, if `n` is enough for that to matter. */
const warmUp = { p256: 1_500, modp2048: 30 } as const;

async function bench({ n, group }: Options, workers: number): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-mixnet-'));
  const watch = new Stopwatch(n, workers);
  const worker = new MixnetWorker({ kernelThreads: workers });
  const verifier = new MixnetWorker({ kernelThreads: workers });
  try {
    const small = await beginSession(worker, folder, groupNames[group], Math.min(warmUp[group], 10 * n));
    await runSession(worker, verifier, small, () => {});
    const session = await beginSession(worker, folder, groupNames[group], n);
    const before = ecdh();
    watch.start();
    await runSession(worker, verifier, session, (step) => watch.lap(step));
    const peak = process.resourceUsage().maxRSS * 1024;
    const unit = (before + ecdh()) / 2;
    return { n, group, workers, steps: watch.costs, ecdh_us: unit, peak_rss_bytes: peak };
  } finally {
    await Promise.all([worker.close(), verifier.close()]);
    rmSync(folder, { recursive: true });
  }
}

async function decrypt(
  worker: MixnetWorker,
  at: { readonly protInfo: string; readonly directory: string },
  share: JointKeyResult['share'],
): Promise<void> {
  const files = new DirectoryProofFiles(at.directory);
  const round = { ...at, from: 1, active: [1] };
  await worker.run('writeFactors', { ...at, party: 1, from: 1, share });
  const committed = await worker.run('commitToFactors', { ...round, party: 1 });
  files.write(committed.file, fromHex(committed.commitment)!);
  const { secret } = committed;
  const replied = await worker.run('replyToCommitments', { ...round, party: 1, share, secret });
  files.write(replied.file, fromHex(replied.reply)!);
  const { failing } = await worker.run('failingDecryptors', round);
  if (failing.length > 0) throw new Error('the decryption is wrong');
  await worker.run('assembleDecryption', { ...round, correct: [1] });
}

function print({ n, group, workers, steps: costs, ecdh_us, peak_rss_bytes }: Results): void {
  const line = (name: string, cpu: number, wall: number): void => {
    const cells = [cpu.toFixed(1), wall.toFixed(1), (cpu / ecdh_us).toFixed(2)];
    process.stdout.write(`${name.padEnd(28)}${cells.map((cell) => cell.padStart(12)).join('')}\n`);
  };
  process.stdout.write(`${n} ciphertexts, ${groupNames[group as Options['group']]}, ${workers} threads\n`);
  process.stdout.write(`${'µs per ciphertext'.padEnd(28)}${'processor'.padStart(12)}${'wall'.padStart(12)}`);
  process.stdout.write(`${'ECDHs'.padStart(12)}\n`);
  for (const step of steps) line(step, costs[step].cpu_us, costs[step].wall_us);
  const mix = [costs.shuffle, costs.prove, costs.decrypt];
  const sum = (key: 'cpu_us' | 'wall_us'): number => mix.reduce((total, cost) => total + cost[key], 0);
  line('mix: shuffle, prove, decrypt', sum('cpu_us'), sum('wall_us'));
  process.stdout.write(`one P-256 ECDH of OpenSSL: ${ecdh_us.toFixed(1)} µs\n`);
  process.stdout.write(`memory: ${(peak_rss_bytes / 2 ** 20).toFixed(0)} MiB at most\n`);
}

/** How much sooner `other` is done than `base`, for the whole mix and for the verification. */
type Speedup = Readonly<{ workers: number; over: number; steps: Record<Step | 'mix', number> }>;

function speedup(base: Results, other: Results): Speedup {
  const wall = ({ steps: costs }: Results, of: readonly Step[]): number =>
    of.reduce((sum, step) => sum + costs[step].wall_us, 0);
  const ratio = (...of: Step[]): number => wall(base, of) / wall(other, of);
  const each = Object.fromEntries(steps.map((step) => [step, ratio(step)])) as Record<Step, number>;
  const mix = ratio('shuffle', 'prove', 'decrypt');
  return { workers: other.workers, over: base.workers, steps: { ...each, mix } };
}

function printSpeedup({ workers, over, steps: ratios }: Speedup, { steps: costs }: Results): void {
  process.stdout.write(`${workers} threads against ${over}: `);
  const parts = [...steps, 'mix' as const].map((step) => `${step} ${ratios[step].toFixed(2)}`);
  process.stdout.write(`${parts.join(', ')} times as fast (wall)\n`);
  const serial = steps.map((step) => {
    const part = costs[step].serial;
    return `${step} ${part === null ? 'unknown' : `${(100 * part).toFixed(0)} %`}`;
  });
  process.stdout.write(`serial, of the processor time with ${workers} threads: ${serial.join(', ')}\n`);
}

if (isMainThread) {
  const options = optionsOf(process.argv.slice(2));
  const runs: Results[] = [];
  for (const workers of options.workers) {
    runs.push(await bench(options, workers));
    if (!options.json) print(runs.at(-1)!);
  }
  const [base, ...others] = runs as [Results, ...Results[]];
  const speedups = others.map((other) => speedup(base, other));
  if (!options.json) speedups.forEach((each, i) => void printSpeedup(each, others[i]!));
  else {
    const known = (key: string, value: unknown): unknown =>
      key === 'serial' && value === null ? undefined : value;
    process.stdout.write(`${JSON.stringify(others.length === 0 ? base : { runs, speedups }, known)}\n`);
  }
} else writeCiphertexts(workerData as Ciphertexts);
