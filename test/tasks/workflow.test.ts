import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { requestElection } from '../../tasks/create-election/request.ts';
import { sessionsOf } from '../../tasks/election/records.ts';
import { requestTally } from '../../tasks/tally/request.ts';
import { question, TestAuthorities } from '../support/elections.ts';

describe('elections: three authorities, threshold two', () => {
  const test = new TestAuthorities();

  before(async function () {
    this.timeout(60_000);
    await test.start(3);
  });
  after(() => test.close());

  it('an election is created: all authorities hold the same joint key, and the caller gets it (EO-21…EO-27)', async () => {
    const [first] = test.authorities;
    const questions = [
      question('President?', ['Alice', 'Bob']),
      question('Treasurer?', ['Carol', 'Dave', 'Eve']),
    ];
    const root = await requestElection(first!.services, test.request({ id: 1, threshold: 2, questions }));
    const task = await first!.node.engine.ended(root);
    expect(task.error, JSON.stringify(task.error)).to.equal(null);
    const { body } = await test.callbackOf(1, 'POST /election');
    expect(body.status).to.equal('finished');
    const keys = await Promise.all(test.authorities.map(({ services }) => sessionsOf(services.db, '1')));
    for (const sessions of keys) {
      expect(sessions.map(({ publicKey }) => publicKey)).to.deep.equal(
        keys[0]!.map(({ publicKey }) => publicKey),
      );
      expect(sessions.map(({ confirmation }) => confirmation)).to.deep.equal(
        keys[0]!.map(({ confirmation }) => confirmation),
      );
    }
    expect(body.session_data).to.deep.equal(
      keys[0]!.map(({ sessionId, publicKey }) => ({ session_id: sessionId, pubkey: publicKey })),
    );
  });

  it('the ballots are tallied: every authority publishes the same tarball with the right results (EO-30…EO-41)', async function () {
    this.timeout(60_000);
    const [first] = test.authorities;
    const choices = [
      [[0], [2]],
      [[1], [2]],
      [[0], [0]],
      [[0], []],
    ];
    const lines = await test.ballots(1, choices);
    const root = await requestTally(first!.services, test.votesRequest(1, [...lines, 'nonsense', lines[0]!]));
    const task = await first!.node.engine.ended(root);
    expect(task.error, JSON.stringify(task.error)).to.equal(null);
    const { body } = await test.callbackOf(1, 'POST /tally');
    expect(body.status).to.equal('finished');
    const tarballs = await Promise.all(
      test.authorities.map(({ services }) => readFile(join(services.publicFolder, '1', 'tally.tar.gz'))),
    );
    for (const tarball of tarballs) expect(tarball.equals(tarballs[0]!)).to.equal(true);
    const hash = await readFile(join(first!.services.publicFolder, '1', 'tally.tar.gz.sha256'), 'utf8');
    expect(body.data!.tally_hash).to.equal(`ni:///sha-256;${hash}`);
    expect(tarballs[0]!.toString('latin1')).to.contain('"total_count": 3');
  });
});
