import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { originalChallenge } from '../../lib/mixnet/ballots/ballot.ts';
import { publicKeyFromJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { integerOfPlaintext, QuestionCodec } from '../../tasks/election/ballot-encoding.ts';
import { GROUP_CAPACITY } from '../../tasks/election/election.ts';
import { sessionsOf } from '../../tasks/election/records.ts';
import { verifyTally } from '../../tasks/tally/verification.ts';
import { question, TestAuthorities } from '../support/elections.ts';

/** What the tallies' archives say, when they are valid. */
async function results(
  test: TestAuthorities,
  mixnet: MixnetWorker,
  name: string,
  id: number,
): Promise<number[][]> {
  const { steps, results: counted } = await verifyTally(join(test.published(name, id), 'tally.tar.gz'), {
    mixnet,
  });
  expect(steps.filter(({ ok }) => !ok)).to.deep.equal([]);
  return counted!.questions.map(({ answers }) => answers.map((answer) => answer.total_count));
}

describe('elections of every shape, to the verified result', function () {
  this.timeout(60_000);
  const mixnet = new MixnetWorker();
  after(() => mixnet.close());

  describe('one authority', () => {
    const test = new TestAuthorities();
    before(() => test.start(1));
    after(() => test.close());

    it('given one authority that is all of them, then it creates and tallies by itself', async () => {
      expect((await test.create({ id: 1 })).error).to.equal(null);
      const lines = await test.ballots(1, [[[2]], [[0]]]);
      expect((await test.tally(1, lines)).error).to.equal(null);
      expect(await results(test, mixnet, 'auth1', 1)).to.deep.equal([[1, 0, 1]]);
    });
  });

  describe('two authorities', () => {
    const test = new TestAuthorities();
    before(() => test.start(2));
    afterEach(() => {
      test.federation.copies = () => 1;
    });
    after(() => test.close());

    it('given a threshold of one, when the other authority is away, then the director tallies by itself', async () => {
      expect((await test.create({ id: 1, threshold: 1 })).error).to.equal(null);
      const lines = await test.ballots(1, [[[2]], [[0]]]);
      test.federation.copies = () => 0;
      expect((await test.tally(1, lines)).error).to.equal(null);
      expect(await results(test, mixnet, 'auth1', 1)).to.deep.equal([[1, 0, 1]]);
      const { data } = (await test.callbackOf(1, 'POST /tally')).body;
      expect(data).to.have.nested.property('left_out[0].authority', 'auth2');
    });

    it('given several elections at once, then each has its own result (EO 1B.6: one job at a time, and a stuck one blocked all)', async () => {
      const ids = [11, 12, 13];
      const created = await Promise.all(ids.map((id) => test.create({ id })));
      expect(created.map(({ error }) => error)).to.deep.equal([null, null, null]);
      const tallied = await Promise.all(
        ids.map(async (id, at) => test.tally(id, await test.ballots(id, [[[at]], [[0]]]))),
      );
      expect(tallied.map(({ error }) => error)).to.deep.equal([null, null, null]);
      const counted = await Promise.all(ids.map((id) => results(test, mixnet, 'auth2', id)));
      expect(counted).to.deep.equal([[[2, 0, 0]], [[1, 1, 0]], [[1, 0, 1]]]);
    });

    it('given a group modulo a prime, and ballots with the original’s challenge beside ours, then all count (D45, EO-42)', async () => {
      const asked = question('President?', ['Alice', 'Bob']);
      expect((await test.create({ id: 20, group: 'modp-2048', questions: [asked] })).error).to.equal(null);
      const ours = await test.ballots(20, [[[1]]]);
      const [session] = await sessionsOf(test.authorities[0]!.services.db, '20');
      const { group, key } = publicKeyFromJson(session!.publicKey!);
      const { ring } = group;
      const [r, k] = [ring.random(1), ring.random(1)];
      const plaintext = new QuestionCodec(asked, GROUP_CAPACITY['modp-2048']).encode({
        answers: [0],
        writeIns: [],
      });
      const [alpha, commitment] = [r, k].map((power) =>
        group.elementText(group.powerOfFixed(group.generator, power), 0),
      );
      const encoded = group.encodeIntegers([integerOfPlaintext(plaintext)]);
      const beta = group.elementText(group.multiply(encoded, group.powerOfFixed(key.y[0]!, r)), 0);
      const challenge = originalChallenge(alpha!, commitment!);
      const response = ring.at(ring.add(k, ring.multiply(ring.of(challenge), r)), 0).toString();
      const ballot = {
        choices: [{ alpha, beta }],
        proofs: [{ commitment, challenge: challenge.toString(), response }],
      };
      expect(
        (await test.tally(20, [...ours, `${JSON.stringify(ballot)}|voter of the original`])).error,
      ).to.equal(null);
      expect(await results(test, mixnet, 'auth2', 20)).to.deep.equal([[1, 1]]);
      const published = JSON.parse(
        await readFile(join(test.published('auth2', 20), session!.sessionId, 'publicKey_json'), 'utf8'),
      );
      expect(published).to.have.all.keys('g', 'p', 'q', 'y');
    });
  });
});
