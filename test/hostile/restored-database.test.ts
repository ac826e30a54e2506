import { expect } from 'chai';
import type { Task } from '../../lib/engine/model.ts';
import { simple } from '../../lib/engine/tree.ts';
import { requestTally } from '../../tasks/tally/request.ts';
import { question, TestAuthorities, type TestAuthority } from '../support/elections.ts';

type Reply = { election_id: number; active: number[]; commitments: Record<string, string> };

describe('a database that forgot what its authority answered (D42)', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  let lines: string[];
  const authority = (name: string): TestAuthority => test.authorities.find((other) => other.name === name)!;
  const randomness = async (name: string): Promise<Buffer> => {
    const { services } = authority(name);
    const row = await services.db('tally_sessions').orderBy('tally', 'desc').first('sealed_randomness');
    return (row as { sealed_randomness: Buffer }).sealed_randomness;
  };
  const ask = async (name: string, action: string, data: object): Promise<Task> => {
    const { engine } = authority('auth1').node;
    const task = { receiver: authority(name).node.url, queue: 'mixnet_queue', action, data: data as never };
    return engine.ended(await engine.create(simple(task)));
  };
  const asked = async (name: string, action: string): Promise<Task[]> =>
    (await authority(name).node.tasks()).filter((task) => task.action === action);

  before(async () => {
    await test.start(2, { multipleTallies: true });
    await test.create({ id: 1, questions: [question('President?', ['Alice', 'Bob'])] });
    expect((await test.callbackOf(1, 'POST /election')).body.status).to.equal('finished');
    lines = await test.ballots(1, [[[0]], [[1]]]);
  });
  afterEach(() => test.interceptors.clear());
  after(() => test.close());

  it('given a backup from before the answer, when it is restored and another challenge comes, then no second answer is given with that nonce', async () => {
    let backup: Buffer | undefined;
    test.interceptors.set('auth2', async (operation, run) => {
      if (operation === 'replyToCommitments') backup ??= await randomness('auth2');
      return run();
    });
    let judging: (value: unknown) => void = () => {};
    let release: (value: unknown) => void = () => {};
    const held = new Promise((resolve) => (judging = resolve));
    const released = new Promise((resolve) => (release = resolve));
    test.interceptors.set('auth1', async (operation, run) => {
      if (operation === 'failingDecryptors') {
        judging(undefined);
        await released;
      }
      return run();
    });
    const root = await requestTally(authority('auth1').services, test.votesRequest(1, lines));
    await held;
    const [first] = await asked('auth2', 'decryption_reply');
    const input = first!.input as unknown as Reply;
    const restore = (): Promise<number> =>
      authority('auth2').services.db('tally_sessions').update({ sealed_randomness: backup! });

    await restore();
    const same = await ask('auth2', 'decryption_reply', input);
    expect(same.output, 'the same challenge').to.deep.equal(first!.output);

    await restore();
    const commitments = { ...input.commitments, 1: input.commitments[2]! };
    const second = await ask('auth2', 'decryption_reply', { ...input, commitments });
    expect(second.error?.code, JSON.stringify(second.output)).to.equal('commitment_lost');
    expect(second.error?.message).to.contain('was its database restored?');
    expect(second.output).to.equal(null);

    release(undefined);
    expect((await authority('auth1').node.engine.ended(root)).error).to.equal(null);
    await test.callbackOf(1, 'POST /tally');
  });

  it('given a database whose tables are made anew after the commitment, when the answer is due, then the authority commits anew and stays', async () => {
    let due: (value: unknown) => void = () => {};
    const held = new Promise((resolve) => (due = resolve));
    test.federation.copies = (_from, to, { action }) => {
      if (to !== 'auth2' || action !== 'decryption_reply') return 1;
      due(undefined);
      return 0;
    };
    const before = (await asked('auth2', 'decryption_commitment')).length;
    const tally = test.tally(1, lines);
    await held;
    // As reading a dump does: other files on the disk.
    await authority('auth2').services.db.raw('vacuum full tally_sessions');
    test.federation.copies = () => 1;
    await test.federation.deliver('auth1', 'auth2');
    expect((await tally).error).to.equal(null);
    expect((await test.callbackOf(1, 'POST /tally')).body.data).not.to.have.property('left_out');
    expect((await asked('auth2', 'decryption_commitment')).length - before).to.equal(2);
  });

  it('given a backup from before a tally, when it is restored everywhere, then other votes are not decrypted, the same ones are, and an operator may allow others', async () => {
    const settings = [...test.settings.values()];
    for (const each of settings) each.multipleTallies = false;
    const restore = async (): Promise<void> => {
      for (const { services } of test.authorities) await services.db('tallies').delete();
    };
    const outcome = async (tally: Promise<Task>): Promise<Task> => {
      const root = await tally;
      await test.callbackOf(1, 'POST /tally');
      return root;
    };
    await restore();
    const other = await outcome(test.tally(1, lines.slice(1)));
    expect(JSON.stringify(other.error)).to.contain('already_tallied').and.to.contain('was it restored?');
    expect((await outcome(test.tally(1, lines))).error).to.equal(null);

    await restore();
    for (const each of settings) each.autoAccept = false;
    const forced = outcome(test.tally(1, lines.slice(1), { force: true }));
    for (const { name } of test.authorities)
      await test.decide(name, 'approve_election_tally', { status: 'accepted' });
    expect((await forced).error).to.equal(null);
  });

  it('given a backup from after the review of another list, when it is restored, then an order to decrypt that list is refused', async () => {
    for (const each of test.settings.values())
      Object.assign(each, { autoAccept: true, multipleTallies: false });
    const { services } = authority('auth2');
    const [tally] = await services.db('tallies').where({ status: 'published' });
    const [session] = await services.db('election_sessions').select('session_id');
    await services
      .db('tallies')
      .where({ id: tally.id })
      .update({ status: 'mixing', lists_hash: 'f'.repeat(64), request: { ...tally.request, force: false } });
    const input = { election_id: 1, tally_id: tally.tally_id, session_id: session.session_id, from: 2 };
    const { error } = await ask('auth2', 'decryption_factors', input);
    expect(error?.code, error?.message).to.equal('already_tallied');
  });
});
