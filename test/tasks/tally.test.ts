import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Task } from '../../lib/engine/model.ts';
import { simple } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { signOrder } from '../../tasks/election/orders.ts';
import type { ElectionResults } from '../../tasks/election/results.ts';
import { parseTallyRequest, tallyRequestHash } from '../../tasks/election/tally-request.ts';
import { requestTally, resetTally } from '../../tasks/tally/request.ts';
import { verifyTally } from '../../tasks/tally/verification.ts';
import { question, TestAuthorities, type TestAuthority } from '../support/elections.ts';
import { until } from '../support/nodes.ts';

const DIRECTOR = 'auth1';

describe('tallying, against everybody: two of three authorities', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  let lines: string[];

  const authority = (name: string): TestAuthority => test.authorities.find((other) => other.name === name)!;
  const told = async (id: number): Promise<Record<string, unknown>> =>
    (await test.callbackOf(id, 'POST /tally')).body.data!;
  const tarballs = async (id: number, names: readonly string[]): Promise<Buffer[]> =>
    Promise.all(names.map((name) => readFile(join(test.published(name, id), 'tally.tar.gz'))));
  /** A task of the director's own making, beside what its workflow asks. */
  const ask = async (name: string, task: Omit<Parameters<typeof simple>[0], 'receiver'>): Promise<Task> => {
    const { engine } = authority(DIRECTOR).node;
    return engine.ended(await engine.create(simple({ receiver: authority(name).node.url, ...task })));
  };

  before(async () => {
    await test.start(3, { multipleTallies: true });
    const questions = [question('President?', ['Alice', 'Bob']), question('Treasurer?', ['Carol', 'Dave'])];
    await test.create({ id: 1, threshold: 2, questions });
    expect((await test.callbackOf(1, 'POST /election')).body.status).to.equal('finished');
    lines = await test.ballots(1, [
      [[0], [1]],
      [[1], []],
      [[0], [1]],
    ]);
  });
  afterEach(async () => {
    const { engine, tasks } = authority(DIRECTOR).node;
    for (const { id, action, status } of await tasks())
      if (action === 'tally_election' && status !== 'finished' && status !== 'error')
        await engine.cancel(id, 'the test is over');
    test.interceptors.clear();
    test.federation.copies = () => 1;
    test.federation.alter = (_from, _to, message) => message;
    for (const settings of test.settings.values())
      Object.assign(settings, { autoAccept: true, multipleTallies: true });
  });
  after(() => test.close());

  it('given an authority that is switched off, when a tally is requested, then the others make it, and the caller is told who was left out (D34)', async () => {
    test.federation.copies = (from, to) => (from === 'auth3' || to === 'auth3' ? 0 : 1);
    expect((await test.tally(1, lines)).error).to.equal(null);
    const { left_out } = await told(1);
    expect(left_out).to.have.length(1);
    expect(left_out).to.have.nested.property('[0].authority', 'auth3');
    const [first, second] = await tarballs(1, ['auth1', 'auth2']);
    expect(first!.equals(second!)).to.equal(true);
  });

  it('given a shuffler whose proof is wrong, then it is named and left out, and the tally goes on (D34)', async () => {
    test.interceptors.set('auth2', async (operation, run, { directory }) => {
      const result = await run();
      if (operation === 'shuffle') await spoil(join(directory, 'proofs', 'PoSReply02.bt'));
      return result;
    });
    expect((await test.tally(1, lines)).error).to.equal(null);
    const { left_out } = (await told(1)) as { left_out: { authority: string; reason: string }[] };
    expect(left_out.map((out) => out.authority)).to.deep.equal(['auth2']);
    expect(left_out[0]!.reason).to.contain('auth2 gave an invalid proof (shuffle of question 1)');
    const [first, third] = await tarballs(1, ['auth1', 'auth3']);
    expect(first!.equals(third!)).to.equal(true);
  });

  it('given an authority that decrypts wrongly, then it is named and left out, and the tally goes on (D34)', async () => {
    test.interceptors.set('auth3', async (operation, run) => {
      const result = await run();
      if (operation !== 'replyToCommitments') return result;
      const { reply } = result as { reply: string };
      return { ...result, reply: reply.slice(0, -1) + (reply.endsWith('0') ? '1' : '0') };
    });
    expect((await test.tally(1, lines)).error).to.equal(null);
    expect((await told(1)).left_out).to.deep.equal([
      { authority: 'auth3', reason: 'its proof of correct decryption is not valid' },
    ]);
    expect(await totals(test, 1)).to.deep.equal([
      [2, 1],
      [0, 2],
    ]);
  });

  it('given an authority that stops in the middle of its shuffle, then it is left out when its time is over, and the tally goes on (D34)', async () => {
    test.settings.get(DIRECTOR)!.tallyStepSeconds = 6;
    const { release } = hold(test, 'auth2', 'shuffle');
    const root = await test.tally(1, lines);
    expect(root.error).to.equal(null);
    release();
    const asked = (await authority(DIRECTOR).node.tasks()).filter(
      ({ action, label, rootId }) => action === 'shuffle' && label === '2' && rootId === root.id,
    );
    expect(asked, 'it is waited for once, not once for each question').to.have.length(1);
    test.settings.get(DIRECTOR)!.tallyStepSeconds = 30;
    const { left_out } = (await told(1)) as { left_out: { authority: string; reason: string }[] };
    expect(left_out.map((out) => out.authority)).to.deep.equal(['auth2']);
    expect(left_out[0]!.reason).to.contain('expired');
  });

  it('given an authority that cannot publish, then the others do, and it is named (D34)', async () => {
    test.interceptors.set('auth3', async (operation, run) => {
      if (operation === 'assembleDecryption')
        throw new ConclaveError('cancelled', { reason: 'the disk is full' });
      return run();
    });
    expect((await test.tally(1, lines)).error).to.equal(null);
    expect((await told(1)).left_out).to.deep.equal([
      { authority: 'auth3', reason: 'cancelled: the disk is full' },
    ]);
  });

  it('given a director that tries everything while the list is mixed, then no authority shuffles or decrypts anything else (D32, D46)', async () => {
    const { held, release } = hold(test, DIRECTOR, 'verifyShuffle');
    const root = await requestTally(authority(DIRECTOR).services, test.votesRequest(1, lines));
    await held;
    const asked = await until('the shuffle of auth2', async () =>
      (await authority('auth2').node.tasks()).findLast(
        ({ action, status, input }) =>
          action === 'shuffle' && status === 'finished' && (input as { tally_id: string }).tally_id === root,
      ),
    );
    const verified = await until('auth3 to verify it', async () =>
      (await authority('auth3').node.tasks()).findLast(
        ({ action, status, input }) =>
          action === 'verify_shuffle' &&
          status === 'finished' &&
          (input as { party: number }).party === 2 &&
          (input as { tally_id: string }).tally_id === root,
      ),
    );
    const { party: _party, signature, ...about } = verified.input as Record<string, never>;
    const mixnet = (name: string, action: string, data: object, more: object = {}) =>
      ask(name, { queue: 'mixnet_queue', action, data: { ...about, ...data } as never, ...more });
    const proof = (name: string, file: string) =>
      join(
        authority(name).services.privateFolder,
        'elections',
        '1',
        'tallies',
        about.tally_id!,
        about.session_id!,
        'proof',
        file,
      );
    const before = await readFile(proof('auth3', 'proofs/Ciphertexts02.bt'));

    // The approved list, unshuffled, as if it were the output of auth2.
    const names = ['PermutationCommitment02', 'PoSCommitment02', 'PoSReply02', 'Ciphertexts02'];
    const { share } = authority(DIRECTOR).services;
    const forged = await share(proof(DIRECTOR, 'Ciphertexts.bt'), ['auth3']);
    const asyncData = Object.fromEntries(names.map((name) => [`proofs/${name}.bt`, forged]));
    const passed = await mixnet('auth3', 'verify_shuffle', { party: 2, signature }, { asyncData });
    expect(passed.error?.message).to.contain('it is not signed with its key');
    expect(await readFile(proof('auth3', 'proofs/Ciphertexts02.bt'))).to.deep.equal(before);

    // A step again, or with other parameters.
    const again = await mixnet('auth2', 'shuffle', { from: 1 });
    expect(again.output).to.have.property('signature', (asked.output as { signature: string }).signature);
    expect((await mixnet('auth2', 'shuffle', { from: 0 })).error?.code).to.equal('disagreement');
    expect((await mixnet('auth3', 'decryption_factors', { from: 1 })).error?.message).to.contain(
      'only a list that 2 authorities have shuffled',
    );

    // Another list under an id that was approved.
    const other = test.votesRequest(1, lines.slice(0, 1));
    const review = await authority('auth3').node.tasks();
    const known = review.findLast(({ action }) => action === 'review_tally')!.input as { request: object };
    const review_tally = { queue: 'orchestra_performer', action: 'review_tally' };
    const reviewedAgain = await ask('auth3', { ...review_tally, data: known as never });
    expect(reviewedAgain.error?.message).to.contain('was reviewed already');
    const request = { ...known.request, ...other };
    const data = reviewInputOf(authority(DIRECTOR), request, about.tally_id!);
    const reviewed = await ask('auth3', { ...review_tally, data });
    expect(reviewed.error?.message).to.contain('ordered two different things');

    // A file that was exchanged on the disk of the authority.
    await copyFile(proof('auth3', 'Ciphertexts.bt'), proof('auth3', 'proofs/Ciphertexts02.bt'));
    const exchanged = await mixnet('auth3', 'decryption_factors', { from: 2 });
    expect(exchanged.error?.message).to.contain('is not the one that was verified here');
    await writeFile(proof('auth3', 'proofs/Ciphertexts02.bt'), before);

    release();
    expect((await authority(DIRECTOR).node.engine.ended(root)).error).to.equal(null);
    expect(await told(1)).not.to.have.property('left_out');
    const after = await mixnet('auth3', 'decryption_factors', { from: 2 });
    expect(after.error?.message).to.contain('is published');
  });

  it('given two orders to answer with one commitment, when both are under way at once, then one answer is given (D42)', async () => {
    const { held, release } = hold(test, 'auth2', 'replyToCommitments');
    const root = await requestTally(authority(DIRECTOR).services, test.votesRequest(1, lines));
    await held;
    const first = (await authority('auth2').node.tasks()).findLast(
      ({ action }) => action === 'decryption_reply',
    )!;
    let replied = false;
    let reached: (value: unknown) => void = () => {};
    const second = new Promise((resolve) => (reached = resolve));
    test.interceptors.set('auth2', async (operation, run) => {
      const result = await run();
      if (operation !== 'replyToCommitments' || replied) return result;
      replied = true;
      reached(undefined);
      await until(
        'the first answer',
        async () => (await authority('auth2').node.engine.store.task(first.id))?.status === 'finished',
      );
      return result;
    });
    const beside = ask('auth2', { queue: 'mixnet_queue', action: 'decryption_reply', data: first.input });
    await second;
    release();
    expect((await beside).error?.message).to.contain('another answer is being made');
    expect((await authority(DIRECTOR).node.engine.ended(root)).error).to.equal(null);
    await told(1);
  });

  it('given two questions and operators who are asked, when they approve, then every question is mixed; one who denies is named (EO 1B.6: the approval of the first question was gone for the second)', async () => {
    for (const settings of test.settings.values()) settings.autoAccept = false;
    const tally = test.tally(1, [...lines, 'nonsense']);
    await test.decide('auth3', 'approve_election_tally', {
      status: 'denied',
      reason: 'I have not seen these votes',
    });
    await test.decide('auth2', 'approve_election_tally', { status: 'accepted' });
    const asked = await test.decide('auth1', 'approve_election_tally', { status: 'accepted' });
    const { votes, description } = asked.input as { votes: object; description: string };
    expect(votes).to.include({ accepted: 3, invalid: 1 });
    expect(description).to.contain('* Ballots: 3 accepted, 1 refused');
    expect((await tally).error).to.equal(null);
    expect((await told(1)).left_out).to.deep.equal([
      {
        authority: 'auth3',
        reason: 'task not accepted: auth3 denied the request: I have not seen these votes',
      },
    ]);
  });

  it('given too many who deny a tally, then who and why reach the caller (EO 1B.6: error callbacks carried no reason)', async () => {
    for (const name of ['auth2', 'auth3']) test.settings.get(name)!.autoAccept = false;
    const tally = test.tally(1, lines);
    await test.decide('auth3', 'approve_election_tally', { status: 'denied', reason: 'too early' });
    await test.decide('auth2', 'approve_election_tally', { status: 'no' });
    expect((await tally).status).to.equal('error');
    const { message, code } = await told(1);
    expect(code).to.equal('task_not_accepted');
    expect(message)
      .to.contain('auth3 denied the request: too early')
      .and.to.contain('auth2 denied the request: no reason was given');
  });

  it('given a director whose own operator denies, then the others are asked no more, and have recorded why', async () => {
    for (const settings of test.settings.values()) settings.autoAccept = false;
    const tally = test.tally(1, lines);
    const asked = await Promise.all(
      ['auth2', 'auth3'].map((name) =>
        until(`an approval at ${name}`, async () => {
          const task = (await authority(name).node.tasks()).findLast(
            ({ label, status }) => label === 'approve_election_tally' && status === 'executing',
          );
          return task === undefined ? undefined : { name, id: task.id };
        }),
      ),
    );
    await test.decide(DIRECTOR, 'approve_election_tally', { status: 'denied', reason: 'count them later' });
    expect((await tally).status).to.equal('error');
    await told(1);
    for (const { name, id } of asked) {
      const { node, services } = authority(name);
      expect((await node.engine.ended(id)).error?.message).to.contain('count them later');
      const recorded = await until(`the failed tally at ${name}`, async () => {
        const [row] = await services.db('tallies').orderBy('id', 'desc').limit(1);
        return row.status === 'failed' ? (row as { reason: string }) : undefined;
      });
      expect(recorded.reason).to.contain('count them later');
    }
  });

  it('given a director that shows authorities different votes, then they do not agree, and no list is mixed (D32, D46)', async () => {
    const fewer = parseTallyRequest(test.votesRequest(1, lines.slice(1)));
    test.federation.alter = (_from, _to, message) =>
      message.action !== 'review_tally'
        ? message
        : {
            ...message,
            data: reviewInputOf(authority(DIRECTOR), fewer, (message.data as { tally_id: string }).tally_id),
          };
    expect((await test.tally(1, lines)).status).to.equal('error');
    const { message, code } = await told(1);
    expect(code).to.equal('disagreement');
    expect(message).to.contain('the authorities do not agree on the list of ballots');
  });

  it('given votes that are not those of the hash, then nobody tallies them', async () => {
    const request = test.votesRequest(1, lines);
    test.votes.set(request.votes_url as string, Buffer.from('other votes'));
    const root = await requestTally(authority(DIRECTOR).services, request);
    await authority(DIRECTOR).node.engine.ended(root);
    expect((await told(1)).code).to.equal('votes_hash_mismatch');
  });

  it('given no ballot that counts, then there is a result without proofs; given one, then there are proofs', async () => {
    expect((await test.tally(1, ['nonsense'])).error).to.equal(null);
    await told(1);
    const { services } = authority(DIRECTOR);
    const empty = join(test.published(DIRECTOR, 1), 'tally.tar.gz');
    const { ok, steps, results } = await verifyTally(empty, { mixnet: services.mixnet });
    expect(ok, JSON.stringify(steps.at(-1))).to.equal(true);
    expect(results?.questions.map(({ totals: { total_votes: votes } }) => votes)).to.deep.equal([0, 0]);
    expect((await test.tally(1, lines.slice(0, 1))).error).to.equal(null);
    await told(1);
    expect(await totals(test, 1)).to.deep.equal([
      [1, 0],
      [0, 1],
    ]);
  });

  it('given an election that was tallied, then every authority decides for itself whether it is tallied again, and the older tally is kept (EO-31, EO-38, EO-52)', async () => {
    for (const settings of test.settings.values()) settings.multipleTallies = false;
    const again = (changes: object = {}) =>
      requestTally(authority(DIRECTOR).services, test.votesRequest(1, lines, changes)).catch(
        (thrown: unknown) => thrown,
      );
    expect(await again()).to.have.property('code', 'already_tallied');
    expect(await again({ force: true }), 'the caller cannot decide it').to.have.property(
      'code',
      'already_tallied',
    );
    expect(await resetTally(authority(DIRECTOR).services, 1)).to.be.greaterThan(0);
    expect((await test.tally(1, lines)).status).to.equal('error');
    const { message, code } = await told(1);
    expect(code).to.equal('already_tallied');
    expect(message).to.contain('auth2').and.to.contain('auth3');
    for (const name of ['auth2', 'auth3']) await resetTally(authority(name).services, 1);
    const [before] = await tarballs(1, ['auth2']);
    expect((await test.tally(1, lines)).error).to.equal(null);
    await told(1);
    const kept = (await readdir(test.published('auth2', 1)))
      .filter((name) => /^tally_.*\.tar\.gz$/.test(name))
      .sort();
    const older = await Promise.all(kept.map((name) => readFile(join(test.published('auth2', 1), name))));
    expect(older.some((file) => file.equals(before!))).to.equal(true);
    expect(await readdir(test.published('auth2', 1))).to.include(`${kept.at(-1)}.sha256`);
  });

  it('given a tally that was decrypted but never published, then other votes are not decrypted, and the same ones are (EO-31)', async () => {
    for (const name of ['auth1', 'auth2', 'auth3']) await resetTally(authority(name).services, 1);
    for (const settings of test.settings.values()) settings.multipleTallies = false;
    for (const name of ['auth1', 'auth2', 'auth3'])
      test.interceptors.set(name, async (operation, run) => {
        if (operation === 'assembleDecryption') throw new ConclaveError('cancelled', { reason: 'a test' });
        return run();
      });
    expect((await test.tally(1, lines.slice(1))).status).to.equal('error');
    await told(1);
    test.interceptors.clear();
    expect((await test.tally(1, lines)).status).to.equal('error');
    expect((await told(1)).code).to.equal('already_tallied');
    expect((await test.tally(1, lines.slice(1))).error).to.equal(null);
    await told(1);
  });

  it('given a tally under way, when another one is requested, then it is refused', async () => {
    const request = test.votesRequest(1, lines);
    const both = [1, 2].map(() => requestTally(authority(DIRECTOR).services, request));
    const answers = await Promise.allSettled(both);
    const refused = answers.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused.map(({ reason }) => reason.code)).to.deep.equal(['tally_running']);
    const begun = answers.find(({ status }) => status === 'fulfilled') as PromiseFulfilledResult<string>;
    expect((await authority(DIRECTOR).node.engine.ended(begun.value)).error).to.equal(null);
    await told(1);
  });
});

/** Each question's points, by answer, as the director published them. */
async function totals(test: TestAuthorities, id: number): Promise<number[][]> {
  const tarball = await readFile(join(test.published(DIRECTOR, id), 'tally.tar.gz'));
  const text = tarball.toString('latin1');
  const start = text.indexOf('{\n    "election_id"');
  const results = JSON.parse(text.slice(start, text.indexOf('\n}', start) + 2)) as ElectionResults;
  return results.questions.map(({ answers }) => answers.map((answer) => answer.total_count));
}

async function spoil(path: string): Promise<void> {
  const bytes = await readFile(path);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(path, bytes);
}

/** Holds the next operation of an authority until it is released. */
function hold(
  test: TestAuthorities,
  name: string,
  wanted: string,
): { held: Promise<unknown>; release(): void } {
  let reached: (value: unknown) => void = () => {};
  let release: (value: unknown) => void = () => {};
  const held = new Promise((resolve) => (reached = resolve));
  const released = new Promise((resolve) => (release = resolve));
  test.interceptors.set(name, async (operation, run) => {
    if (operation === wanted) {
      reached(undefined);
      await released;
    }
    return run();
  });
  return { held, release: () => release(undefined) };
}

/** An order to review that a director signs. */
function reviewInputOf({ services }: TestAuthority, given: object, tally_id: string): never {
  const request = parseTallyRequest(given);
  const request_hash = tallyRequestHash(request);
  const ordered = { kind: 'tally', election_id: request.election_id, request_hash, tally_id } as const;
  return { request, request_hash, tally_id, order: signOrder(services, ordered) } as never;
}
