/** Precomputation, shuffling and decryption sessions by the worker's operations, over files. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { DirectoryProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { ciphertextsTree } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { publicKeyToJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { storeShare } from '../../lib/mixnet/keys/joint-key.ts';
import { jointKey, polynomialTree } from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import { fromHex, hex } from '../../lib/mixnet/octets.ts';
import { Refusal, type RefusalReason } from '../../lib/mixnet/refusal.ts';
import { writeProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { makeCiphertexts, makeSession, trustedKey } from './election.ts';

async function reasonOf(promise: Promise<unknown>): Promise<RefusalReason> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('Sessions by the worker', () => {
  let worker: MixnetWorker;
  let folder: string;
  const { session, info } = makeSession('P-256', 2, 2);
  const { polynomial, shares } = trustedKey(session);
  const key = jointKey(polynomial);
  const publicKey = publicKeyToJson(session.group, key);
  const polynomialHex = hex(serialise(polynomialTree(session.codec, polynomial)));
  const protInfo = writeProtocolInfo(info);

  beforeEach(() => {
    worker = new MixnetWorker();
    folder = mkdtempSync(join(tmpdir(), 'sessions-'));
  });

  afterEach(async () => {
    await worker.close();
    rmSync(folder, { recursive: true });
  });

  function newList(name: string, count: number): { path: string; format: 'raw' } {
    const { list } = makeCiphertexts(session, polynomial, count);
    const path = join(folder, name);
    writeFileSync(path, serialise(ciphertextsTree(session.codec, list)));
    return { path, format: 'raw' };
  }

  async function decrypt(at: { protInfo: string; directory: string }, from: number): Promise<void> {
    const files = new DirectoryProofFiles(at.directory);
    const round = { ...at, from, active: [1, 2] };
    const secrets: string[] = [];
    const share = (party: number) => storeShare(session, party, shares[party - 1]![0]!);
    for (const party of [1, 2]) await worker.run('writeFactors', { ...at, party, from, share: share(party) });
    const commitments: [string, string][] = [];
    for (const party of [1, 2]) {
      const { secret, commitment, file } = await worker.run('commitToFactors', { ...round, party });
      secrets.push(secret);
      commitments.push([file, commitment]);
    }
    for (const [file, commitment] of commitments) files.write(file, fromHex(commitment)!);
    for (const party of [1, 2]) {
      const own = { party, share: share(party), secret: secrets[party - 1]! };
      const { reply, file } = await worker.run('replyToCommitments', { ...round, ...own });
      files.write(file, fromHex(reply)!);
    }
    expect((await worker.run('failingDecryptors', round)).failing).to.deep.equal([]);
    await worker.run('assembleDecryption', { ...round, correct: [1, 2] });
  }

  it('given commitments made and verified before the ballots came, when mixed, then the verifier accepts', async () => {
    const at = { protInfo, directory: join(folder, 'proof') };
    const hashes: string[] = [];
    for (const party of [1, 2]) {
      const secretPath = join(folder, `witness-${party}`);
      const made = await worker.run('precompute', { ...at, party, count: 9, secretPath });
      expect(statSync(secretPath).mode & 0o777).to.equal(0o600);
      expect(await worker.run('verifyPrecomputation', { ...at, party })).to.deep.equal(made);
      hashes.push(made.commitmentHash);
    }
    const ciphertexts = newList('ciphertexts', 6);
    await worker.run('beginSession', {
      ...at,
      type: 'mixing',
      publicKey,
      polynomial: polynomialHex,
      ciphertexts,
    });
    for (const party of [1, 2]) {
      const step = { ...at, party, from: party - 1 };
      const secretPath = join(folder, `witness-${party}`);
      const { outputHash } = await worker.run('shufflePrecomputed', { ...step, secretPath });
      const commitmentHash = hashes[party - 1]!;
      const verified = await worker.run('verifyPrecomputedShuffle', { ...step, commitmentHash });
      expect(verified.outputHash).to.equal(outputHash);
    }
    await decrypt(at, 2);
    const result = await worker.run('verifyProofDirectory', at);
    expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
    expect(result.type).to.equal('mixing');
  });

  it('given a witness that was used, when asked to shuffle again, then only for the same list', async () => {
    const at = { protInfo, directory: join(folder, 'proof') };
    const secretPath = join(folder, 'witness');
    await worker.run('precompute', { ...at, party: 1, count: 5, secretPath });
    const again = worker.run('precompute', { ...at, party: 1, count: 5, secretPath });
    expect(String(await again.catch((error: unknown) => error))).to.match(/EEXIST/);
    const begin = { ...at, type: 'shuffling' as const, publicKey };
    await worker.run('beginSession', { ...begin, ciphertexts: newList('first', 3) });
    const step = { ...at, party: 1, from: 0, secretPath };
    await worker.run('shufflePrecomputed', step);
    await worker.run('shufflePrecomputed', step);
    await worker.run('beginSession', { ...begin, ciphertexts: newList('second', 3) });
    expect(await reasonOf(worker.run('shufflePrecomputed', step))).to.equal('precomputation-used');
    expect(existsSync(`${secretPath}.partial`)).to.equal(false);
  });

  it('given a commitment that is changed after its verification, when the shuffle is verified, then it is refused', async () => {
    const at = { protInfo, directory: join(folder, 'proof') };
    const secretPath = join(folder, 'witness');
    const { commitmentHash } = await worker.run('precompute', { ...at, party: 1, count: 4, secretPath });
    const files = new DirectoryProofFiles(at.directory);
    const reply = files.read(fileNames.commitmentProofReply(1)).slice();
    reply[reply.length - 1]! ^= 1;
    files.write(fileNames.commitmentProofReply(1), reply);
    expect(await reasonOf(worker.run('verifyPrecomputation', { ...at, party: 1 }))).to.equal(
      'commitment-proof-invalid',
    );
    const ciphertexts = newList('ciphertexts', 4);
    await worker.run('beginSession', { ...at, type: 'shuffling', publicKey, ciphertexts });
    const step = { ...at, party: 1, from: 0 };
    await worker.run('shufflePrecomputed', { ...step, secretPath });
    const verify = (hash: string): Promise<unknown> =>
      worker.run('verifyPrecomputedShuffle', { ...step, commitmentHash: hash });
    await verify(commitmentHash);
    expect(await reasonOf(verify('00'.repeat(32)))).to.equal('commitment-proof-invalid');
    const directly = worker.run('verifyPrecomputedShuffle', step);
    expect(await reasonOf(directly)).to.equal('commitment-proof-invalid');
  });

  it('given a key from elsewhere, when a list is only shuffled, then the session verifies and names its shufflers', async () => {
    const at = { protInfo, directory: join(folder, 'proof') };
    const ciphertexts = newList('ciphertexts', 5);
    await worker.run('beginSession', { ...at, type: 'shuffling', publicKey, ciphertexts });
    for (const party of [1, 2]) await worker.run('shuffle', { ...at, party, from: party - 1 });
    await worker.run('finishShuffling', { ...at, last: 2 });
    const expected = {
      type: 'shuffling',
      ciphertexts: new Uint8Array(readFileSync(ciphertexts.path)),
    } as const;
    const result = await worker.run('verifyProofDirectory', { ...at, expect: expected });
    expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
    expect([result.type, result.shufflers]).to.deep.equal(['shuffling', [1, 2]]);
  });

  it('given a list, when it is only decrypted, then the session verifies and the plaintexts come out', async () => {
    const at = { protInfo, directory: join(folder, 'proof') };
    const ciphertexts = newList('ciphertexts', 5);
    await worker.run('beginSession', {
      ...at,
      type: 'decryption',
      publicKey,
      polynomial: polynomialHex,
      ciphertexts,
    });
    await decrypt(at, 0);
    const result = await worker.run('verifyProofDirectory', at);
    expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
    expect([result.type, result.decryptors]).to.deep.equal(['decryption', [1, 2]]);
    const path = join(folder, 'plaintexts');
    await worker.run('exportPlaintexts', { ...at, from: 0, path, format: 'native' });
    expect(readFileSync(path, 'utf8').trim().split('\n')).to.deep.equal(
      [0, 1, 2, 3, 4].map((i) => `vote 0 ${i}`),
    );
  });
});
