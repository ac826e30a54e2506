import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { MixnetWorker } from '../../../lib/mixnet/worker/client.ts';
import { requestElection } from '../../../tasks/create-election/request.ts';
import { verifyTally } from '../../../tasks/tally/verification.ts';
import { TestAuthorities } from '../../support/elections.ts';

const programs = ['vmn', 'vmni', 'vmnc', 'vmnv'] as const;
const standIn = fileURLToPath(new URL('./stand-in-programs.ts', import.meta.url));

describe('elections by the programs of Verificatum (D44)', function () {
  this.timeout(90_000);
  const test = new TestAuthorities();
  const mixnet = new MixnetWorker();
  let folder = '';

  const call = (name: string): string => join(folder, name);
  const set = (authority: string, at: number): void => {
    test.external.set(authority, {
      programs: { vmn: call('vmn'), vmni: call('vmni'), vmnc: call('vmnc'), vmnv: call('vmnv') },
      timeoutSeconds: { convert: 60, keygen: 60, mix: 60, verify: 60 },
      http: `http://127.0.0.1:408${at}`,
      hint: `127.0.0.1:808${at}`,
    });
  };
  const misbehave = (how: Record<string, string>): void =>
    writeFileSync(call('misbehaviour.json'), JSON.stringify(how));
  const calls = (): string[] => {
    const made = readFileSync(call('calls'), 'utf8').split('\n').filter(Boolean);
    writeFileSync(call('calls'), '');
    return made;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'verificatum-'));
    writeFileSync(call('calls'), '');
    for (const name of programs) {
      writeFileSync(
        call(name),
        `#!/bin/sh\nexec '${process.execPath}' '${standIn}' '${folder}' '${name}' "$@"\n`,
      );
      chmodSync(call(name), 0o755);
    }
    await test.start(2);
    for (const at of [1, 2]) set(`auth${at}`, at);
  });
  afterEach(() => misbehave({}));
  after(async () => {
    await test.close();
    await mixnet.close();
    rmSync(folder, { recursive: true });
  });

  it('given authorities that are all set to them, then an election is created and tallied by them, and anybody can verify it', async () => {
    const created = await test.create({ id: 1 });
    expect(created.error, JSON.stringify(created.error)).to.equal(null);
    const made = calls().map((line) => line.split(' ').slice(0, 2).join(' '));
    const [prot, party] = [
      made.filter((line) => line === 'vmni -prot'),
      made.filter((line) => line === 'vmni -party'),
    ];
    expect([prot.length, party.length]).to.deep.equal([2, 2]);
    expect(made.slice(4).sort()).to.deep.equal(
      ['vmn -keygen', 'vmn -keygen', 'vmnc -pkey', 'vmnc -pkey', 'vmni -merge'].sort(),
    );
    const lines = await test.ballots(1, [[[2]], [[0]], [[2]]]);
    const tallied = await test.tally(1, lines);
    expect(tallied.error, JSON.stringify(tallied.error)).to.equal(null);
    expect(calls().map((line) => line.split(' ').slice(0, 2).join(' '))).to.deep.equal([
      'vmn -mix',
      'vmn -mix',
      'vmnv -mix',
      'vmnv -mix',
    ]);
    for (const name of ['auth1', 'auth2']) {
      const archive = join(test.published(name, 1), 'tally.tar.gz');
      const { ok, steps, results } = await verifyTally(archive, { mixnet });
      expect(steps.filter((step) => !step.ok)).to.deep.equal([]);
      expect(ok).to.equal(true);
      expect(results!.questions[0]!.answers.map((answer) => answer.total_count)).to.deep.equal([1, 0, 2]);
    }
    const { body } = await test.callbackOf(1, 'POST /tally');
    expect(body.status).to.equal('finished');
  });

  it('given a program that fails while that of another authority waits, then the failure is named, and the other one is stopped', async () => {
    const created = await test.create({ id: 2 });
    expect(created.error, JSON.stringify(created.error)).to.equal(null);
    misbehave({ 'http://127.0.0.1:4081': 'hang', 'http://127.0.0.1:4082': 'fail' });
    const started = performance.now();
    const lines = await test.ballots(2, [[[1]]]);
    const { error } = await test.tally(2, lines);
    expect(error!.message).to.include('auth2: vmn');
    expect(error!.message).to.include('Address already in use');
    const [director] = test.authorities;
    const waiting = (await director!.node.tasks()).filter(({ action }) => action === 'perform_tally');
    for (const { id } of waiting) await director!.node.engine.ended(id);
    expect(performance.now() - started).to.be.below(30_000);
    misbehave({});
    // What was begun is forgotten, and the same list mixed anew.
    const again = await test.tally(2, lines);
    expect(again.error, JSON.stringify(again.error)).to.equal(null);
    expect(calls().filter((line) => line.startsWith('vmn -delete'))).to.have.length(2);
  });

  it('given the private information of a session, when no program runs, then it is on no disk but sealed', async () => {
    const [first] = test.authorities;
    const [session] = await first!.services.db('election_sessions').where({ election: '1' });
    const place = join(first!.services.privateFolder, 'elections', '1', 'verificatum', session.session_id);
    const found = await stat(join(place, 'privInfo.xml')).catch((error: NodeJS.ErrnoException) => error.code);
    expect(found).to.equal('ENOENT');
    expect(session.sealed_share.toString('latin1')).to.not.include('secret');
    expect((await stat(place)).mode & 0o777).to.equal(0o700);
  });

  it('given an authority that is not set to them, when such an election is requested, then it is refused there and named', async () => {
    test.external.delete('auth2');
    const { error } = await test.create({ id: 3 });
    expect(error!.message).to.include('which auth2 is not set to call');
    const [first] = test.authorities;
    test.external.delete('auth1');
    const request = test.request({ id: 4, mixnet: 'verificatum' });
    const refused = await requestElection(first!.services, request).catch((thrown: Error) => thrown);
    expect((refused as Error).message).to.include('which auth1 is not set to call');
    for (const at of [1, 2]) set(`auth${at}`, at);
  });
});
