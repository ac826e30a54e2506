import { expect } from 'chai';
import {
  checkPrivateShare,
  deletePrivateShare,
  downloadPrivateShare,
  restorePrivateShare,
} from '../../tasks/election/private-shares.ts';
import { sessionsOf } from '../../tasks/election/records.ts';
import { requestTally } from '../../tasks/tally/request.ts';
import { question, TestAuthorities } from '../support/elections.ts';

const codeOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'nothing was refused',
    (thrown: { code: string }) => thrown.code,
  );

describe('key shares that leave a node and come back (EO-6…EO-9, EO-50, EO-51)', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  let lines: string[];
  const services = () => test.authorities[1]!.services;

  before(async () => {
    await test.start(2);
    const questions = [question('President?', ['Alice', 'Bob']), question('Treasurer?', ['Carol', 'Dave'])];
    await test.create({ id: 1, questions });
    await test.create({ id: 2 });
    lines = await test.ballots(1, [[[0], [1]]]);
  });
  after(() => test.close());

  it('given no download yet, then nothing can be checked, deleted or restored', async () => {
    for (const call of [checkPrivateShare, deletePrivateShare, restorePrivateShare])
      expect(await codeOf(call(services(), 1, 'AAAA'))).to.equal('share_missing');
  });

  it('given a download, when it is made again, then it is the same; and it is nobody else’s', async () => {
    const copy = await downloadPrivateShare(services(), 1);
    expect(await downloadPrivateShare(services(), 1)).to.equal(copy);
    expect(await checkPrivateShare(services(), 1, copy)).to.equal(true);
    expect(await downloadPrivateShare(test.authorities[0]!.services, 1)).not.to.equal(copy);
  });

  it('given a wrong copy, or that of another election or authority, then it passes no check, and nothing is deleted or changed (EO 1B.6: shares could be deleted with a wrong backup)', async () => {
    const copy = await downloadPrivateShare(services(), 1);
    const wrong = [
      await downloadPrivateShare(services(), 2),
      await downloadPrivateShare(test.authorities[0]!.services, 1),
      `${copy.slice(0, -8)}AAAAAAA=`,
      '',
    ];
    for (const other of wrong) {
      expect(await checkPrivateShare(services(), 1, other)).to.equal(false);
      expect(await deletePrivateShare(services(), 1, other)).to.equal(false);
      expect(await restorePrivateShare(services(), 1, other)).to.equal(false);
    }
    expect(await downloadPrivateShare(services(), 1)).to.equal(copy);
    for (const bad of [undefined, 7, 'A'.repeat(3 << 20)])
      expect(await codeOf(deletePrivateShare(services(), 1, bad))).to.equal('invalid_request');
  });

  it('given ids that are no elections, then they are refused, also those that lead out of a folder (EO 1B.6: paths were not checked)', async () => {
    for (const id of ['../1', '1/../2', '', 0, null])
      expect(await codeOf(downloadPrivateShare(services(), id))).to.equal('invalid_request');
    expect(await codeOf(downloadPrivateShare(services(), 99))).to.equal('election_not_found');
  });

  it('given shares that were deleted, then the election is not tallied; restored, then it is (EO-51)', async () => {
    const [director, other] = test.authorities;
    const copies = new Map<string, string>();
    for (const { name, services: own } of [director!, other!]) {
      copies.set(name, await downloadPrivateShare(own, 1));
      expect(await deletePrivateShare(own, 1, copies.get(name))).to.equal(true);
      for (const { sealedShare, shareDeleted } of await sessionsOf(own.db, '1'))
        expect({ sealedShare, shareDeleted }).to.deep.equal({ sealedShare: null, shareDeleted: true });
      expect(await codeOf(downloadPrivateShare(own, 1))).to.equal('share_missing');
      expect(await checkPrivateShare(own, 1, copies.get(name))).to.equal(true);
    }
    expect(await codeOf(requestTally(director!.services, test.votesRequest(1, lines)))).to.equal(
      'share_missing',
    );
    expect(await restorePrivateShare(director!.services, 1, copies.get('auth1'))).to.equal(true);
    expect((await test.tally(1, lines)).status).to.equal('error');
    const { data } = (await test.callbackOf(1, 'POST /tally')).body;
    expect(data).to.include({ code: 'share_missing', node: 'auth2' });
    expect(await restorePrivateShare(other!.services, 1, copies.get('auth2'))).to.equal(true);
    expect((await test.tally(1, lines)).error).to.equal(null);
  });
});
