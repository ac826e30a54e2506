/** The mix-net leaves the main thread free: measured while a worker shuffles, decrypts and verifies. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'chai';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { ciphertextsTree, encrypt } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { publicKeyToJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { storeShare } from '../../lib/mixnet/keys/joint-key.ts';
import { jointKey, polynomialTree } from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import { hex } from '../../lib/mixnet/octets.ts';
import { writeProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { makeSession, trustedKey } from './election.ts';

const limit = 20;

interface Turns {
  /** Processor time of the longest turn of the event loop, in milliseconds: what this thread itself was busy with. */
  readonly busiest: number;
  /** What 95 of 100 turns were late by at most, in milliseconds: waiting counts, and so do other programs. */
  readonly lateness: number;
  readonly count: number;
}

/** Watches this thread's event loop until `work` is done. */
async function watchTurns(work: () => Promise<unknown>): Promise<Turns> {
  const delays = monitorEventLoopDelay({ resolution: 1 });
  let [busiest, count, running] = [0, 0, true];
  let last = process.threadCpuUsage();
  const turn = (): void => {
    const { user, system } = process.threadCpuUsage(last);
    last = process.threadCpuUsage();
    busiest = Math.max(busiest, (user + system) / 1000);
    count++;
    if (running) setTimeout(turn, 1);
  };
  delays.enable();
  turn();
  await work();
  running = false;
  turn();
  delays.disable();
  return { busiest, lateness: delays.percentile(95) / 1e6, count };
}

describe('The main thread', () => {
  it('given a worker with two kernel threads, when it mixes and verifies, then no turn takes 20 ms', async function () {
    this.timeout(30_000);
    const { session, info } = makeSession('P-256', 1, 1);
    const { codec, group } = session;
    const { polynomial, shares } = trustedKey(session);
    const key = jointKey(polynomial);
    const plaintexts = group.powerOfFixed(group.generator, group.ring.random(2000));
    const list = encrypt(codec, key, [plaintexts], [group.ring.random(2000)]);
    const folder = mkdtempSync(join(tmpdir(), 'main-thread-'));
    const worker = new MixnetWorker({ kernelThreads: 2 });
    try {
      const path = join(folder, 'ciphertexts');
      writeFileSync(path, serialise(ciphertextsTree(codec, list)));
      const at = { protInfo: writeProtocolInfo(info), directory: join(folder, 'proof') };
      const share = storeShare(session, 1, shares[0]![0]!);
      const steps = async (): Promise<void> => {
        const publicKey = publicKeyToJson(group, key);
        const given = {
          publicKey,
          polynomial: hex(serialise(polynomialTree(codec, polynomial))),
          ciphertexts: { path, format: 'raw' as const },
        };
        await worker.run('beginSession', { ...at, type: 'mixing', ...given });
        await worker.run('shuffle', { ...at, party: 1, from: 0 });
        await worker.run('verifyShuffle', { ...at, party: 1, from: 0 });
        await worker.run('writeFactors', { ...at, party: 1, from: 1, share });
      };
      const turns = await watchTurns(steps);
      expect(turns.busiest).to.be.below(limit);
      expect(turns.lateness).to.be.below(limit);
      expect(turns.count).to.be.greaterThan(20);
    } finally {
      await worker.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('given a thread that computes for 50 ms or waits as long, when watched, then it shows', async () => {
    const busy = await watchTurns(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      const start = process.threadCpuUsage();
      while (process.threadCpuUsage(start).user < 50_000);
    });
    expect(busy.busiest).to.be.at.least(limit);
    const waiting = await watchTurns(async () => {
      const nobody = new Int32Array(new SharedArrayBuffer(4));
      for (let i = 0; i < 4; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        Atomics.wait(nobody, 0, 0, 50);
      }
    });
    expect(waiting.lateness).to.be.at.least(limit);
  });
});
