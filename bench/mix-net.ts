/**
 * What a session of one party costs: microseconds per ciphertext of wall and processor time for each step, beside one
 * P-256 ECDH operation of OpenSSL measured in the same run, so that machines can be compared.
 *
 *     npm run bench:mixnet -- [--n 10000] [--group p256|modp2048] [--workers 1] [--json]
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
 */
import { createECDH } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
type Costs = Record<Step, { cpu_us: number; wall_us: number }>;
type Options = Readonly<{ n: number; group: keyof typeof groupNames; workers: number; json: boolean }>;
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
  const [n, workers] = [Number(values.n), Number(values.workers)];
  const group = Object.keys(groupNames).find((name) => name === values.group) as Options['group'] | undefined;
  if (!Number.isInteger(n) || n < 1 || !Number.isInteger(workers) || workers < 1 || group === undefined) {
    throw new RangeError(
      'usage: npm run bench:mixnet -- [--n N] [--group p256|modp2048] [--workers K] [--json]',
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

class Stopwatch {
  readonly costs = Object.fromEntries(steps.map((step) => [step, { cpu_us: 0, wall_us: 0 }])) as Costs;
  readonly #n: number;
  #wall = 0;
  #cpu: NodeJS.CpuUsage = process.cpuUsage();

  constructor(n: number) {
    this.#n = n;
  }

  start(): void {
    this.#cpu = process.cpuUsage();
    this.#wall = performance.now();
  }

  /** What passed since the last call belongs to `step`. */
  lap(step: Step): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.costs[step].cpu_us += (user + system) / this.#n;
    this.costs[step].wall_us += ((performance.now() - this.#wall) * 1000) / this.#n;
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

/** Enough for the engine to have compiled what it will compile. */
const warmUp = { p256: 1_500, modp2048: 30 } as const;

async function bench({ n, group, workers }: Options): Promise<Results> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-mixnet-'));
  const watch = new Stopwatch(n);
  const worker = new MixnetWorker({ kernelThreads: workers });
  const verifier = new MixnetWorker({ kernelThreads: workers });
  try {
    const small = await beginSession(worker, folder, groupNames[group], warmUp[group]);
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

if (isMainThread) {
  const options = optionsOf(process.argv.slice(2));
  const results = await bench(options);
  if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  else print(results);
} else writeCiphertexts(workerData as Ciphertexts);
