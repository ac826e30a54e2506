/**
 * Microseconds per ciphertext for each step of a session of one party, beside one ECDH of node:crypto in the same run.
 *
 *     node bench/mixNet.ts [group = P-256] [ciphertexts = 10000] [kernel threads = 1]
 */
import { createECDH } from 'node:crypto';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import {
  assembleDecryption,
  commitToFactors,
  failingDecryptors,
  replyToCommitments,
  writeFactors,
} from '../lib/mixnet/directory/decryptionStep.ts';
import { fileNames } from '../lib/mixnet/directory/fileNames.ts';
import { MemoryProofFiles } from '../lib/mixnet/directory/proofFiles.ts';
import { beginSession } from '../lib/mixnet/directory/sessionStart.ts';
import { shuffleList, verifyShuffleOf } from '../lib/mixnet/directory/shuffleStep.ts';
import { encrypt } from '../lib/mixnet/elgamal/ciphertexts.ts';
import { useExecutor } from '../lib/mixnet/groups/registry.ts';
import { repeat } from '../lib/mixnet/groups/vectors.ts';
import { KernelPool } from '../lib/mixnet/kernel/kernelPool.ts';
import { jointKey, polynomialOf } from '../lib/mixnet/keys/polynomialInExponent.ts';
import { newProtocolInfo } from '../lib/mixnet/session/newProtocolInfo.ts';
import { MixSession } from '../lib/mixnet/session/session.ts';
import { verifyProofDirectory } from '../lib/mixnet/verifier/proofDirectoryVerifier.ts';

function baseline(): number {
  const [a, b] = [createECDH('prime256v1'), createECDH('prime256v1')];
  a.generateKeys();
  const key = b.generateKeys();
  const start = performance.now();
  for (let i = 0; i < 500; i++) a.computeSecret(key);
  return (performance.now() - start) * 2;
}

function bench(group: string, count: number, threads: number): void {
  const pool = threads > 1 ? new KernelPool({ threads }) : null;
  if (pool) useExecutor(pool);
  const unit = baseline();
  console.log(`${group}, ${count} ciphertexts, ${threads} threads; one ECDH takes ${unit.toFixed(0)} µs`);
  const time = <T>(what: string, work: () => T): T => {
    const start = performance.now();
    const value = work();
    const each = ((performance.now() - start) * 1000) / count;
    console.log(
      `${what.padEnd(22)}${each.toFixed(1).padStart(10)} µs${(each / unit).toFixed(2).padStart(8)} ECDH`,
    );
    return value;
  };
  const info = newProtocolInfo({
    sid: 'Bench',
    name: 'Bench',
    group,
    threshold: 1,
    parties: [{ name: 'Party1', url: 'https://party1.example' }],
  });
  const session = new MixSession(info);
  const { ring, generator } = session.group;
  const share = ring.random(1);
  const polynomial = polynomialOf(session.group, [session.group.powerOfFixed(generator, share)]);
  const key = jointKey(polynomial);
  const files = new MemoryProofFiles();
  const list = time('encrypt', () =>
    encrypt(session.codec, key, [repeat(generator, count)], [ring.random(count)]),
  );
  time('begin', () => beginSession(session, files, { type: 'mixing', key, polynomial, list }));
  const generators = time('generators', () => session.independentGenerators(count));
  const step = { key, party: 1, from: 0, generators };
  time('shuffle and prove', () => shuffleList(session, files, step));
  time('verify the shuffle', () => verifyShuffleOf(session, files, step));
  const round = { from: 1, active: [1] };
  time('factors', () => writeFactors(session, files, 1, 1, [share]));
  const { secret, commitment } = time('commitment', () => commitToFactors(session, files, 1, round));
  files.write(fileNames.decryptionCommitment(1), commitment);
  const { reply } = time('reply', () => replyToCommitments(session, files, round, [share], secret));
  files.write(fileNames.decryptionReply(1), reply);
  time('check the decryption', () => failingDecryptors(session, files, round));
  time('assemble', () => assembleDecryption(session, files, round, [1]));
  const { ok } = time('verify everything', () => verifyProofDirectory(files, info));
  pool?.close();
  if (!ok) throw new Error('the verifier refused the proof');
}

const defaults = {
  group: process.argv[2] ?? 'P-256',
  count: Number(process.argv[3] ?? 10_000),
  threads: Number(process.argv[4] ?? 1),
};
// The pool of threads waits for them, which the main thread must not.
if (isMainThread) new Worker(new URL(import.meta.url), { workerData: defaults });
else {
  const { group, count, threads } = workerData as typeof defaults;
  bench(group, count, threads);
}
