import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { DirectoryProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { createPartyKey } from '../../lib/mixnet/keys/party-key.ts';
import { fromHex } from '../../lib/mixnet/octets.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { newProtocolInfo } from '../../lib/mixnet/session/new-protocol-info.ts';
import { writeProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { MixnetWorker, MixnetWorkerError } from '../../lib/mixnet/worker/client.ts';
import { vectorPath, vectorText } from './vectors.ts';

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it succeeded');
}

describe('The worker', () => {
  let worker: MixnetWorker;
  let folder: string;

  before(() => {
    worker = new MixnetWorker({ threads: 1, kernelThreads: 2 });
    folder = mkdtempSync(join(tmpdir(), 'mixnet-'));
  });

  after(async () => {
    await worker.close();
    rmSync(folder, { recursive: true });
  });

  const recorded = {
    protInfo: vectorText('p256-k3t2-n10', 'protInfo.xml'),
    directory: vectorPath('p256-k3t2-n10', 'roProof'),
  };

  it('given a whole election of two authorities, when run step by step, then the votes come out and verify', async () => {
    const parties = [1, 2].map(() => createPartyKey('42'));
    const context = {
      electionId: '42',
      sessionId: '0-question',
      group: 'P-256',
      threshold: 2,
      partyKeys: parties.map(({ key }) => key),
    };
    const dealings = await Promise.all(
      parties.map(async ({ secret }, i) => ({
        dealer: i + 1,
        ...(await worker.run('deal', { context, dealer: i + 1, secret })),
      })),
    );
    const keys = [];
    for (const [i, { secret }] of parties.entries()) {
      const { outcomes } = await worker.run('openDealings', { context, dealings, party: i + 1, secret });
      expect(outcomes).to.deep.equal([
        { dealer: 1, outcome: 'accepted' },
        { dealer: 2, outcome: 'accepted' },
      ]);
      keys.push(await worker.run('combineDealings', { context, dealings, party: i + 1, secret }));
    }
    expect(keys[0]!.confirmation).to.equal(keys[1]!.confirmation);
    const { publicKey, polynomial } = keys[0]!;

    const sessions = [{ electionId: '42', sessionId: '0-question', publicKey }];
    const plaintexts = Array.from({ length: 12 }, (_, i) => [String(1000 * i)]);
    const { ballots } = await worker.run('encryptBallots', { sessions, plaintexts });
    const damaged = structuredClone(ballots[0]!);
    damaged.proofs[0]!.response = '1';
    const { refusals } = await worker.run('verifyBallots', { sessions, ballots: [...ballots, damaged] });
    expect(refusals.map((refusal) => refusal?.reason ?? null)).to.deep.equal([
      ...ballots.map(() => null),
      'plaintext-proof-invalid',
    ]);

    const ciphertexts = { path: join(folder, 'ciphertexts_json'), format: 'json' as const };
    writeFileSync(ciphertexts.path, ballots.map(({ choices }) => `${JSON.stringify(choices[0])}\n`).join(''));
    const protInfo = writeProtocolInfo(
      newProtocolInfo({
        sid: 'Election42',
        name: 'Worker test',
        group: 'P-256',
        threshold: 2,
        parties: [1, 2].map((i) => ({ name: `Party${i}`, url: `https://party${i}.example` })),
      }),
    );
    const directory = join(folder, 'proof');
    const at = { protInfo, directory };
    const begun = await worker.run('beginSession', {
      ...at,
      type: 'mixing',
      publicKey,
      polynomial,
      ciphertexts,
    });
    expect(begun.length).to.equal(12);
    const progress: string[] = [];
    for (const party of [1, 2]) {
      const step = { ...at, party, from: party - 1 };
      const { outputHash } = await worker.run('shuffle', step, { onProgress: (what) => progress.push(what) });
      expect((await worker.run('verifyShuffle', step)).outputHash).to.equal(outputHash);
    }
    expect(progress).to.include('proving the shuffle');

    const files = new DirectoryProofFiles(directory);
    const parameters = { ...at, from: 2, active: [1, 2] };
    for (const party of [1, 2]) {
      const share = keys[party - 1]!.share;
      await worker.run('writeFactors', { ...at, party, from: 2, share });
      await worker.run('checkFactors', { ...at, party, from: 2 });
    }
    const secrets: string[] = [];
    for (const party of [1, 2]) {
      const { secret, commitment, file } = await worker.run('commitToFactors', { ...parameters, party });
      secrets.push(secret);
      files.write(file, fromHex(commitment)!);
    }
    for (const party of [1, 2]) {
      const own = { party, share: keys[party - 1]!.share, secret: secrets[party - 1]! };
      const { reply, file } = await worker.run('replyToCommitments', { ...parameters, ...own });
      files.write(file, fromHex(reply)!);
    }
    expect((await worker.run('failingDecryptors', parameters)).failing).to.deep.equal([]);
    await worker.run('assembleDecryption', { ...parameters, correct: [1, 2] });
    const result = await worker.run('verifyProofDirectory', at);
    expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
    expect(result.ok).to.equal(true);
    const path = join(folder, 'plaintexts');
    await worker.run('exportPlaintexts', { ...at, from: 2, path, format: 'integers' });
    const votes = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string);
    expect(votes.sort()).to.deep.equal(plaintexts.flat().sort());
    expect(existsSync(join(directory, 'proofs/PoSReply02.bt.partial'))).to.equal(false);
  });

  it('given a recorded session, when verified in the thread, then it holds and the steps are reported', async () => {
    const steps: string[] = [];
    const result = await worker.run('verifyProofDirectory', recorded, {
      onProgress: (step) => steps.push(step),
    });
    expect(result.ok).to.equal(true);
    expect(steps).to.have.length(result.steps.length);
  });

  it('given a recorded session, when traced, then the values come with their names', async () => {
    const { ok, trace } = await worker.run('traceProofDirectory', recorded);
    expect(ok).to.equal(true);
    const recordedRho = '93735233130915162640564d02defe15975323234e0a7eec90ae3aefa26ff112';
    expect(trace.find(([name]) => name === 'der.rho')).to.deep.equal(['der.rho', recordedRho]);
  });

  it('given refused input, when run, then the promise rejects with the refusal and its reason', async () => {
    const error = await errorOf(worker.run('verifyProofDirectory', { ...recorded, protInfo: '<protocol>' }));
    expect(error).to.be.instanceOf(Refusal);
    expect((error as Refusal).reason).to.equal('protinfo-malformed');
  });

  it('given a call that is aborted, when running or waiting, then it rejects with the reason and the next call works', async () => {
    const controller = new AbortController();
    const running = worker.run('verifyProofDirectory', recorded, {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('no longer needed')),
    });
    const waiting = worker.run('verifyProofDirectory', recorded, { signal: controller.signal });
    const outcomes = await Promise.all([errorOf(running), errorOf(waiting)]);
    expect(outcomes.map((error) => (error as Error).message)).to.deep.equal([
      'no longer needed',
      'no longer needed',
    ]);
    expect(
      ((await errorOf(worker.run('verifyProofDirectory', recorded, { signal: controller.signal }))) as Error)
        .message,
    ).to.equal('no longer needed');
    expect((await worker.run('verifyProofDirectory', recorded)).ok).to.equal(true);
  });

  it('given a thread that dies, when it was running a call, then the call rejects and says so', async () => {
    const source =
      "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => process.exit(3));";
    const dying = new MixnetWorker({ entry: new URL(`data:text/javascript,${encodeURIComponent(source)}`) });
    const error = await errorOf(dying.run('verifyProofDirectory', recorded));
    expect(error).to.be.instanceOf(MixnetWorkerError);
    expect((error as Error).message).to.match(/verifyProofDirectory.*code 3/);
    await dying.close();
  });

  it('given parameters that no operation takes, when run, then the call rejects and the thread lives on', async () => {
    const error = await errorOf(worker.run('verifyProofDirectory', { protInfo: 5 } as never));
    expect(error).to.be.instanceOf(Error);
    expect((await worker.run('verifyProofDirectory', recorded)).ok).to.equal(true);
  });

  it('given a closed worker, when a call is made or waiting, then it rejects', async () => {
    const closing = new MixnetWorker();
    const call = errorOf(closing.run('verifyProofDirectory', recorded));
    await closing.close();
    expect(await call).to.be.instanceOf(MixnetWorkerError);
    expect(await errorOf(closing.run('verifyProofDirectory', recorded))).to.be.instanceOf(MixnetWorkerError);
  });
});
