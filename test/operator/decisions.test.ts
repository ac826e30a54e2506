import { expect } from 'chai';
import type { Knex } from 'knex';
import { approval, pendingApprovals } from '../../lib/operator/approvals.ts';
import { decide } from '../../lib/operator/decisions.ts';
import { election } from '../../lib/operator/elections.ts';
import type { OperatorEntry, OperatorServices } from '../../lib/operator/services.ts';
import { finishTask } from '../../lib/operator/tasks.ts';
import { question, TestAuthorities, type TestAuthority } from '../support/elections.ts';
import { until } from '../support/nodes.ts';

describe('operators decide on elections (D33)', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  const recorded: OperatorEntry[] = [];

  function operatorsOf(
    { node, services, certificate }: TestAuthority,
    approvalsRequired = 1,
  ): OperatorServices {
    const none = () => undefined;
    const impossible = async () => {
      throw new Error('not in this test');
    };
    return {
      node: { name: node.name, url: node.url },
      db: node.database.knex as Knex,
      engine: node.engine,
      peers: {
        list: () => [],
        byId: none,
        byFingerprint: none,
        byUrl: none,
        add: impossible,
        addCertificate: impossible,
        removeCertificate: impossible,
        remove: impossible,
      },
      elections: services,
      approvalsRequired,
      certificate: () => certificate,
      peerFile: () => '',
      record: async (_transaction, entry) => void recorded.push(entry),
      requestElection: impossible,
      requestTally: impossible,
      reach: impossible,
    };
  }

  const waiting = (operators: OperatorServices, electionId: number) =>
    until('an approval waits', async () =>
      (await pendingApprovals(operators)).find(({ election_id }) => election_id === String(electionId)),
    );
  const codeOf = (promise: Promise<unknown>) =>
    promise.then(
      () => 'none',
      (thrown: { code: string }) => thrown.code,
    );

  before(async () => {
    await test.start(2);
    for (const settings of test.settings.values()) settings.autoAccept = false;
  });
  beforeEach(() => void recorded.splice(0));
  after(() => test.close());

  it('given a request, when two authorities look at it, then both see the same hash; a denial reaches the callback; the next request shows what changed', async () => {
    const [one, two] = test.authorities.map((authority) => operatorsOf(authority)) as [
      OperatorServices,
      OperatorServices,
    ];
    const ended = test.create({
      id: 1,
      title: 'First',
      questions: [question('President?', ['Alice', 'Bob'])],
    });
    const [here, there] = [await waiting(one, 1), await waiting(two, 1)];
    expect(here.hash).to.deep.equal(there.hash);
    const view = await approval(one, here.id, 'Ana');
    expect(view.election.questions[0]!.answers.map(({ text }) => text)).to.deep.equal(['Alice', 'Bob']);
    expect(view.election.request_hash.hex).to.equal(view.hash.hex);
    expect(view.election.authorities.map(({ is_self }) => is_self)).to.deep.equal([true, false]);
    expect(view.previous).to.equal(null);

    const reason = 'the title is wrong';
    const denied = await decide(one, {
      id: here.id,
      hash: here.hash.hex,
      operator: 'Ana',
      decision: 'deny',
      reason,
    });
    expect(denied.status).to.equal('denied');
    expect((await ended).status).to.equal('error');
    const { body } = await test.callbackOf(1, 'POST /election');
    expect(body.data!.message).to.contain(reason);
    expect(recorded).to.deep.include({
      kind: 'denial',
      by: 'Ana',
      task: here.id,
      election: '1',
      of: 'election',
      hash: here.hash.hex,
      reason,
      status: 'denied',
    });

    const again = test.create({
      id: 1,
      title: 'Second',
      questions: [question('President?', ['Alice', 'Bob'])],
    });
    const next = await waiting(one, 1);
    const changed = await approval(one, next.id, 'Ana');
    expect(changed.changes).to.deep.equal([
      { path: 'title', change: 'changed', before: 'First', after: 'Second' },
    ]);
    expect(changed.previous).to.include({ status: 'denied', reason });
    await decide(one, { id: next.id, hash: next.hash.hex, operator: 'Ana', decision: 'deny', reason });
    await again;
  });

  it('given settings that want two operators, when one accepts twice, by another hash, or round the approval, then nothing is accepted until a second one does', async () => {
    const [one, two] = [operatorsOf(test.authorities[0]!, 2), operatorsOf(test.authorities[1]!)];
    const ended = test.create({ id: 2, questions: [question('President?', ['Alice', 'Bob'])] });
    const [here, there] = [await waiting(one, 2), await waiting(two, 2)];
    await decide(two, { id: there.id, hash: there.hash.hex, operator: 'Eva', decision: 'accept' });
    const accept = { id: here.id, hash: here.hash.hex, decision: 'accept' } as const;
    expect((await decide(one, { ...accept, operator: 'Ana' })).status).to.equal('waiting');
    expect(await codeOf(decide(one, { ...accept, operator: 'Ana' }))).to.equal('already_decided');
    expect(await codeOf(decide(one, { ...accept, hash: '0'.repeat(64), operator: 'Ben' }))).to.equal(
      'approval_changed',
    );
    const round = finishTask(one, here.id, { data: { status: 'accepted' }, operator: 'Ben' });
    expect(await codeOf(round)).to.equal('is_approval');
    expect((await approval(one, here.id, 'Ana')).can_decide.allowed).to.equal(false);
    expect((await decide(one, { ...accept, operator: 'Ben' })).status).to.equal('accepted');
    expect((await ended).error).to.equal(null);
    const made = await election(one, '2');
    expect(made.status).to.equal('created');
    expect(made.sessions[0]!.key_hash!.hex).to.equal((await election(two, '2')).sessions[0]!.key_hash!.hex);
    expect(await codeOf(decide(one, { ...accept, operator: 'Eva' }))).to.equal('task_ended');
  });
});
