import { expect } from 'chai';
import { election } from '../../lib/operator/elections.ts';
import { problemsOf } from '../../lib/operator/problems.ts';
import type { OperatorServices } from '../../lib/operator/services.ts';
import { Verifications } from '../../lib/operator/verifications.ts';
import type { VerificationView } from '../../lib/operator/views.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { niUri } from '../../tasks/election/hash.ts';
import { question, TestAuthorities, type TestAuthority } from '../support/elections.ts';
import { until } from '../support/nodes.ts';

describe('an election on the screen of its operators', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();

  /** What reading needs, and no more. */
  function operatorsOf({ node, services, certificate }: TestAuthority): OperatorServices {
    return {
      node: { name: node.name, url: node.url },
      db: node.database.knex,
      engine: node.engine,
      peers: { list: () => [], byId: () => undefined },
      elections: services,
      approvalsRequired: 1,
      certificate: () => certificate,
      record: async () => {},
    } as unknown as OperatorServices;
  }

  before(() => test.start(2));
  after(() => test.close());

  it('given a tally that two authorities published, when an operator looks, then each has done its steps, results and archive are shown, and the verifier finds them valid', async () => {
    const questions = [question('President?', ['Alice', 'Bob'])];
    expect((await test.create({ id: 1, questions })).error).to.equal(null);
    expect((await test.tally(1, await test.ballots(1, [[[1]], [[1]], [[0]]]))).error).to.equal(null);
    const [director, other] = test.authorities.map(operatorsOf) as [OperatorServices, OperatorServices];
    const view = await election(director, '1');
    expect(view.creation.map(({ state }) => state)).to.deep.equal(['done', 'done']);
    const [tally] = view.tallies;
    for (const { state, steps } of tally!.authorities) {
      expect(state).to.equal('done');
      expect(new Set(steps.map(({ status }) => status))).to.deep.equal(new Set(['done']));
      expect(steps.map(({ step }) => step)).to.deep.equal([
        'ballots',
        'shuffle',
        'verification',
        'decryption',
        'publication',
        'comparison',
      ]);
    }
    const [result] = tally!.results!;
    expect(result!.candidates).to.deep.equal([
      { text: 'Bob', is_write_in: false, points: 2, place: 1 },
      { text: 'Alice', is_write_in: false, points: 1, place: null },
    ]);
    expect(tally!.tally_hash).to.equal(niUri(Buffer.from(tally!.downloads[0]!.sha256, 'hex')));
    const elsewhere = await election(other, '1');
    expect(elsewhere.tallies[0]!.downloads).to.deep.equal(tally!.downloads);
    const own = elsewhere.tallies[0]!.authorities.find(({ is_self }) => is_self)!;
    expect(own.steps.every(({ status }) => status === 'done')).to.equal(true);

    const told: VerificationView[] = [];
    const verifications = new Verifications(director, (report) => void told.push(report));
    const begun = await verifications.start('1', tally!.tally_id, 'Ana');
    expect((await verifications.start('1', tally!.tally_id, 'Ben')).id).to.equal(begun.id);
    const ended = await until('the verification ends', async () => {
      const report = verifications.of(tally!.tally_id)!;
      return report.state === 'running' ? undefined : report;
    });
    expect([ended.state, ended.reason]).to.deep.equal(['valid', null]);
    expect(ended.steps.map(({ id }) => id)).to.include.members(['archive', 'results']);
    expect(told.length).to.be.greaterThan(ended.steps.length);
    const shown = await election(director, '1', (id) => verifications.of(id));
    expect(shown.tallies[0]!.verification).to.deep.equal(ended);
  });

  it('given a certificate near its end, or after it, when problems are asked for, then they say so', async () => {
    const director = operatorsOf(test.authorities[0]!);
    const end = Date.parse(pinCertificate(director.certificate()).not_after);
    const at = (days: number) => problemsOf(director, new Date(end - days * 24 * 3600 * 1000));
    expect(await at(40)).to.deep.equal([]);
    expect((await at(7))[0]).to.equal('The certificate of this node expires in 7 days.');
    expect((await at(-1))[0]).to.contain('has expired');
  });
});
