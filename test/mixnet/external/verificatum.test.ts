import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { DirectoryProofFiles } from '../../../lib/mixnet/directory/proof-files.ts';
import { ExternalProgramError } from '../../../lib/mixnet/external/program.ts';
import { VerificatumSession } from '../../../lib/mixnet/external/verificatum.ts';
import { verifyProofDirectory } from '../../../lib/mixnet/verifier/proof-directory-verifier.ts';
import { vectorInfo, vectorPath } from '../vectors.ts';
import { StandIns } from './stand-in.ts';

const vector = 'p256-k3t2-n10';

async function failureOf(promise: Promise<unknown>): Promise<ExternalProgramError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ExternalProgramError) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

/** Until the process is gone. */
async function gone(pid: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    if (isZombie(pid)) return;
    if (performance.now() > deadline) throw new Error(`process ${pid} is still there`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Ended, but nobody has asked for its exit code yet. */
function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('A session by external programs', () => {
  let folder: string;
  let standIns: StandIns;
  let session: VerificatumSession;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'external-'));
    mkdirSync(join(folder, 'programs'));
    mkdirSync(join(folder, 'session'));
    standIns = new StandIns(join(folder, 'programs'));
    session = new VerificatumSession(join(folder, 'session'), standIns.settings());
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const inSession = (name: string): Buffer => readFileSync(join(folder, 'session', name));

  it('given information of a party, when the files are made and merged, then vmni is asked for them', async () => {
    await session.createStub({
      sid: 'Demo1',
      name: 'An election',
      parties: 3,
      threshold: 2,
      pgroup: 'G::00',
    });
    await session.createParty({ name: 'Party1', http: 'http://a.example:8041', hint: 'a.example:4041' });
    await session.merge(['p1.xml', 'p2.xml', 'p3.xml']);
    expect(standIns.calls()).to.deep.equal([
      'vmni -prot -sid Demo1 -name An election -nopart 3 -thres 2 -pgroup G::00 stub.xml',
      'vmni -party -name Party1 -http http://a.example:8041 -hint a.example:4041 stub.xml privInfo.xml localProtInfo.xml',
      'vmni -merge p1.xml p2.xml p3.xml protInfo.xml',
    ]);
  });

  it('given a mixing, when run step by step, then the recorded answers arrive and the proof passes both verifiers', async () => {
    standIns.behave({
      'vmn -keygen': { answer: vectorPath(vector, 'publicKey.raw') },
      'vmnc -pkey': { answer: vectorPath(vector, 'publicKey.native') },
      'vmnc -ciphs': { answer: vectorPath(vector, 'ciphertexts.raw') },
      'vmn -mix': { answer: vectorPath(vector, 'plaintexts.raw') },
      'vmnc -plain': { answer: vectorPath(vector, 'plaintexts.native') },
      'vmnv -mix': { print: readFileSync(vectorPath(vector, 'vmnv-verbose.txt'), 'utf8').split('\n') },
    });
    cpSync(vectorPath(vector, 'roProof'), session.proofDirectory(), { recursive: true });
    await session.generateKey('publicKey_raw');
    await session.exportPublicKey('publicKey_raw', 'publicKey_native', 'native');
    await session.importCiphertexts('ciphertexts_native', 'ciphertexts_raw', 'native');
    await session.run('mixing', 'ciphertexts_raw', 'plaintexts_raw');
    await session.exportPlaintexts('plaintexts_raw', 'plaintexts_native', 'native');
    await session.verify('mixing');
    expect(standIns.calls()).to.deep.equal([
      'vmn -keygen privInfo.xml protInfo.xml publicKey_raw',
      'vmnc -pkey -outi native protInfo.xml publicKey_raw publicKey_native',
      'vmnc -ciphs -ini native protInfo.xml ciphertexts_native ciphertexts_raw',
      'vmn -mix privInfo.xml protInfo.xml ciphertexts_raw plaintexts_raw',
      'vmnc -plain -outi native protInfo.xml plaintexts_raw plaintexts_native',
      `vmnv -mix -v protInfo.xml ${session.proofDirectory()}`,
    ]);
    expect(
      inSession('plaintexts_native').equals(readFileSync(vectorPath(vector, 'plaintexts.native'))),
    ).to.equal(true);
    const files = new DirectoryProofFiles(session.proofDirectory());
    const expected = { ciphertexts: new Uint8Array(inSession('ciphertexts_raw')) };
    expect(verifyProofDirectory(files, vectorInfo(vector), { expect: expected }).ok).to.equal(true);
  });

  it('given a named session of some width, when shuffled, decrypted, precomputed and deleted, then vmn is told so', async () => {
    const names = { auxsid: 'first', width: 2 };
    await session.precompute(100, names);
    await session.run('shuffling', 'a', 'b', names);
    await session.run('decryption', 'b', 'c', names);
    await session.delete(names);
    expect(standIns.calls()).to.deep.equal([
      'vmn -precomp -auxsid first -width 2 -maxciph 100 privInfo.xml protInfo.xml',
      'vmn -shuffle -auxsid first -width 2 privInfo.xml protInfo.xml a b',
      'vmn -decrypt -auxsid first -width 2 privInfo.xml protInfo.xml b c',
      'vmn -delete -f -auxsid first -width 2 privInfo.xml protInfo.xml',
    ]);
  });

  for (const line of [
    'ERROR: Unable to download signature!',
    'Invalid socket address!',
    'Exception in thread "main" java.lang.NullPointerException',
  ]) {
    it(`given a program that prints ${line} and hangs, when run, then it ends with what it started`, async () => {
      standIns.behave({ 'vmn -keygen': { print: ['starting', line], hang: true } });
      const error = await failureOf(session.generateKey('publicKey_raw'));
      expect(error.failure).to.equal('fatal-line');
      expect(error.tail).to.equal(`starting\n${line}`);
    });
  }

  it('given a program that hangs with a child, when its time is over, then both are killed, even if stubborn', async () => {
    standIns.behave({ 'vmn -mix': { hang: true, stubborn: true } });
    const hasty = new VerificatumSession(join(folder, 'session'), standIns.settings(1.5));
    const error = await failureOf(hasty.run('mixing', 'a', 'b'));
    expect(error.failure).to.equal('timeout');
    expect(error.message).to.equal('vmn did not end within 1.5 s');
    await gone(standIns.childPid());
  });

  it('given a program that is running, when the call is aborted, then it ends at once', async () => {
    standIns.behave({ 'vmn -mix': { print: ['ready'], hang: true } });
    const controller = new AbortController();
    const onLine = (): void => controller.abort();
    const running = session.run('mixing', 'a', 'b', {}, { signal: controller.signal, onLine });
    expect((await failureOf(running)).failure).to.equal('aborted');
    const again = session.run('mixing', 'a', 'b', {}, { signal: controller.signal });
    expect(await again.catch((error: unknown) => (error as Error).name)).to.equal('AbortError');
    expect(standIns.calls()).to.have.length(1);
  });

  it('given a program that floods its output, when it fails, then only the end is kept', async () => {
    standIns.behave({ 'vmn -mix': { flood: 2000, exit: 7 } });
    const error = await failureOf(session.run('mixing', 'a', 'b'));
    expect([error.failure, error.message]).to.deep.equal(['exit', 'vmn ended with code 7']);
    expect(error.tail.length).to.be.below(65_537);
    expect(error.tail).to.include('1999');
    expect(error.tail).to.not.include('\n1000.');
  });

  for (const [what, lines, failure] of [
    [
      'too few valid proofs',
      ['Too few proofs are valid! (0)', 'Completed verification after 1 s'],
      'fatal-line',
    ],
    [
      'a failed proof',
      ['Verify proof of shuffle... failed', 'Completed verification after 1 s'],
      'fatal-line',
    ],
    ['nothing', [], 'no-success'],
  ] as const) {
    it(`given vmnv that prints ${what} and ends with code 0, when verified, then the proof is not believed`, async () => {
      standIns.behave({ 'vmnv -shuffle': { print: lines } });
      expect((await failureOf(session.verify('shuffling'))).failure).to.equal(failure);
    });
  }

  it('given a program that is not there, when run, then the error says which', async () => {
    const { timeoutSeconds, programs } = standIns.settings();
    const missing = { timeoutSeconds, programs: { ...programs, vmn: join(folder, 'nowhere') } };
    const error = await failureOf(new VerificatumSession(folder, missing).generateKey('publicKey_raw'));
    expect([error.failure, error.program]).to.deep.equal(['not-started', 'vmn']);
  });

  it('given names that could be options or lead elsewhere, when used, then nothing is run', async () => {
    const rejected = async (call: () => Promise<unknown>): Promise<void> => {
      let thrown: unknown;
      await call().catch((error: unknown) => {
        thrown = error;
      });
      expect(thrown).to.be.instanceOf(RangeError);
    };
    for (const name of ['-f', '../key', 'a/b', '', 'a b']) await rejected(() => session.generateKey(name));
    await rejected(() => session.run('mixing', 'a', 'b', { auxsid: '../x' }));
    await rejected(() => session.createParty({ name: '-x', http: 'h', hint: 'h' }));
    await rejected(() => session.createStub({ sid: 'a b', name: 'n', parties: 1, threshold: 1 }));
    expect(standIns.calls()).to.deep.equal([]);
  });
});
