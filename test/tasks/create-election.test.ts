import { expect } from 'chai';
import type { Task } from '../../lib/engine/model.ts';
import { simple } from '../../lib/engine/tree.ts';
import { createNodeCertificate } from '../../lib/node/certificates.ts';
import { requestElection } from '../../tasks/create-election/request.ts';
import { describeElection } from '../../tasks/election/description.ts';
import { type ElectionRequest, electionKey } from '../../tasks/election/election.ts';
import { signOrder } from '../../tasks/election/orders.ts';
import { openPartySecret } from '../../tasks/election/party-secret.ts';
import { findElection, sessionsOf } from '../../tasks/election/records.ts';
import { parseElectionRequest, requestHash } from '../../tasks/election/request.ts';
import { parseTallyRequest, tallyRequestHash } from '../../tasks/election/tally-request.ts';
import { question, TestAuthorities } from '../support/elections.ts';
import { until } from '../support/nodes.ts';
import { olderRequest } from './election/requests.ts';

/** The tree as an operator sees it: names and types, indented. */
function drawn(tasks: readonly Task[], root: string, depth = 0): string[] {
  const task = tasks.find(({ id }) => id === root)!;
  const children = tasks.filter(({ parentId }) => parentId === root).sort((a, b) => a.order - b.order);
  return [
    `${'  '.repeat(depth)}${task.action}.${task.queue} - ${task.type}`,
    ...children.flatMap(({ id }) => drawn(tasks, id, depth + 1)),
  ];
}

describe('creating an election, against everybody', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  const authority = (name: string) => test.authorities.find((other) => other.name === name)!;
  const failureOf = async (id: number) => {
    const { body } = await test.callbackOf(id, 'POST /election');
    expect(body.status).to.equal('error');
    return body.data as { message: string; code: string; node?: string; details?: Record<string, unknown> };
  };

  before(() => test.start(3));
  afterEach(() => {
    test.interceptors.clear();
    test.federation.alter = (_from, _to, message) => message;
    for (const settings of test.settings.values()) settings.autoAccept = true;
  });
  after(() => test.close());

  it('given three mistakes and a stranger in a request, when it arrives, then the caller is told all of them at once (EO 1B.6: validation failures were printed, and 202 was the answer)', async () => {
    const { services } = test.authorities[0]!;
    const wrong = test.request({ id: 0, title: '', threshold: 9 });
    const refused = await requestElection(services, wrong).catch((thrown: unknown) => thrown);
    const { problems } = (refused as { data: { problems: string[] } }).data;
    expect(problems.map((problem) => problem.split(':')[0])).to.deep.equal(['id', 'title', 'threshold']);

    const { certificate } = await createNodeCertificate({ name: 'stranger', hosts: ['127.0.0.1'] });
    const request = test.request({ id: 1 }) as { authorities: { name: string; ssl_cert: string }[] };
    request.authorities[2]!.ssl_cert = certificate;
    const unknown = await requestElection(services, request).catch((thrown: unknown) => thrown);
    expect((unknown as Error).message).to.contain(
      'authorities[2].ssl_cert: the certificate of auth3 is not pinned',
    );
    request.authorities[0]!.ssl_cert = test.authorities[2]!.certificate;
    const other = await requestElection(services, request).catch((thrown: unknown) => thrown);
    expect((other as { code: string }).code).to.equal('not_an_authority');
  });

  it('given an operator who denies, when it says why, then who and why reach the caller, and the id is free again (EO 1B.6: error callbacks carried no reason)', async () => {
    test.settings.get('auth2')!.autoAccept = false;
    for (const reason of ['the questions are wrong', 'the dates are wrong']) {
      const created = test.create({ id: 2 });
      await test.decide('auth2', 'approve_election', { status: 'denied', reason });
      expect((await created).status).to.equal('error');
      const { message, code, node, details } = await failureOf(2);
      expect(message).to.contain(`auth2 denied the request: ${reason}`);
      expect({ code, node }).to.deep.equal({ code: 'task_not_accepted', node: 'auth2' });
      expect(details).to.deep.equal({ authority: 'auth2', reason });
    }
  });

  it('given three operators who are asked, when one denies, then nobody else is asked any more, and every authority has recorded why', async () => {
    for (const settings of test.settings.values()) settings.autoAccept = false;
    const reason = 'not this year';
    const created = test.create({ id: 9 });
    const approvalAt = (name: string) =>
      until(`an approval at ${name}`, async () =>
        (await authority(name).node.tasks()).find(
          ({ label, input }) =>
            label === 'approve_election' && (input as { election_id?: unknown }).election_id === 9,
        ),
      );
    const asked = { auth1: await approvalAt('auth1'), auth3: await approvalAt('auth3') };
    await test.decide('auth2', 'approve_election', { status: 'denied', reason });
    expect((await created).status).to.equal('error');
    await failureOf(9);
    for (const [name, { id }] of Object.entries(asked)) {
      const { engine } = authority(name).node;
      const ended = await engine.ended(id);
      expect(ended.status).to.equal('error');
      expect(ended.error?.message).to.contain(`auth2 denied the request: ${reason}`);
      const decision = await engine.finishExternal(id, { status: 'accepted' }).catch((thrown) => thrown);
      expect(decision.code).to.equal('task_ended');
    }
    for (const name of ['auth1', 'auth3']) {
      const { services } = authority(name);
      const known = await until(`the failed election at ${name}`, async () => {
        const [row] = await services.db('elections').where({ key: '9', status: 'failed' });
        return row as { reason: string } | undefined;
      });
      expect(known.reason).to.contain(`auth2 denied the request: ${reason}`);
    }
  });

  it('given an impatient caller that sends a request twice, then the second is refused, and the first goes on', async () => {
    test.settings.get('auth2')!.autoAccept = false;
    const { services } = test.authorities[0]!;
    const both = [1, 2].map(() => requestElection(services, test.request({ id: 3 })));
    const answers = await Promise.allSettled(both);
    const refused = answers.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(refused.map(({ reason }) => reason.code)).to.deep.equal(['election_exists']);
    await test.decide('auth2', 'approve_election', { status: 'denied' });
    expect((await failureOf(3)).message).to.contain('no reason was given');
  });

  it('given a request that the director began anew, when the operator approves the first one, then that approval counts for nothing', async () => {
    test.settings.get('auth2')!.autoAccept = false;
    const [director, authority] = test.authorities;
    const ask = async (title: string) => {
      const { requestHash: hash, request } = normalised(test.request({ id: 4, title }));
      const sessions = [session(0)];
      const ordered = { kind: 'election', election_id: 4, request_hash: hash, sessions } as const;
      const order = signOrder(director!.services, ordered);
      const data = { request, request_hash: hash, sessions, order } as never;
      const task = { queue: 'orchestra_performer', action: 'generate_private_info', data };
      return director!.node.engine.create(simple({ receiver: authority!.node.url, ...task }));
    };
    const first = await ask('Harmless');
    const shown = await until('the first request', async () =>
      (await authority!.node.tasks()).find(
        (task) => task.label === 'approve_election' && task.status === 'executing',
      ),
    );
    const second = await ask('Harmful');
    await until('the second request', async () => {
      const known = await findElection(authority!.services.db, '4');
      return known?.request.title === 'Harmful';
    });
    await authority!.node.engine.finishExternal(shown.id, { status: 'accepted' });
    const ended = await director!.node.engine.ended(first);
    expect(ended.error?.message).to.contain('given up before it was approved');
    expect((await findElection(authority!.services.db, '4'))?.status).to.equal('requested');
    await director!.node.engine.cancel(second, 'the test is over');
  });

  it('given what each authority is asked, when another than the director asks, then it is refused everywhere (EO 1B.6: senders were not checked)', async () => {
    const [, authority, other] = test.authorities;
    await test.create({ id: 5 });
    const [created] = await sessionsOf(authority!.services.db, '5');
    const session_id = created!.sessionId;
    const about = { election_id: 5, session_id, tally_id: 'x', lists_hash: '', from: 0, party: 1 };
    const request = parseTallyRequest(test.votesRequest(5, []));
    const unsigned = { certificate: '', signature: 'AAAA' };
    const asked: [string, string, object][] = [
      ['orchestra_performer', 'confirm_public_key', { ...about, dealings: [{}] }],
      ['orchestra_performer', 'compare_public_key', about],
      [
        'orchestra_performer',
        'review_tally',
        { request, request_hash: tallyRequestHash(request), tally_id: 'x', order: unsigned },
      ],
      ['mixnet_queue', 'perform_tally', about],
      ['mixnet_queue', 'shuffle', about],
      ['mixnet_queue', 'verify_shuffle', { ...about, signature: '0'.repeat(128) }],
      ['mixnet_queue', 'decryption_factors', { ...about, from: 1 }],
      ['mixnet_queue', 'decryption_commitment', { ...about, from: 1, active: [1] }],
      ['mixnet_queue', 'decryption_reply', { ...about, from: 1, active: [1], commitments: {} }],
      ['orchestra_performer', 'compare_tally', { ...about, with: [1] }],
      ['orchestra_performer', 'give_up', { ...about, reason: 'I do not like it' }],
      ['orchestra_performer', 'generate_private_info_mixnet', about],
      ['orchestra_performer', 'publish_election', about],
      ['orchestra_performer', 'check_tally_approval', about],
      ['orchestra_director', 'send_callback', { url: 'https://manager.test/callback', body: {} }],
      ['orchestra_director', 'create_election', {}],
    ];
    for (const [queue, action, data] of asked) {
      const task = simple({ receiver: authority!.node.url, queue, action, data: data as never });
      const { error } = await other!.node.engine.ended(await other!.node.engine.create(task));
      expect(['not_an_authority', 'local_only'], `${action}: ${JSON.stringify(error)}`).to.include(
        error!.code,
      );
    }
  });

  it('given a director that gives a creation up, when another one has begun meanwhile, then that one is not meant', async () => {
    test.settings.get('auth2')!.autoAccept = false;
    const [director, authority] = test.authorities;
    const created = test.create({ id: 11 });
    await until('the election at auth2', () => findElection(authority!.services.db, '11'));
    const giveUp = async (session_id: string) => {
      const data = { election_id: 11, session_id, tally_id: null, reason: 'too late' };
      const task = { queue: 'orchestra_performer', action: 'give_up', data };
      const { engine } = director!.node;
      return await engine.ended(await engine.create(simple({ receiver: authority!.node.url, ...task })));
    };
    expect((await giveUp('0-of-an-earlier-one')).output).to.deep.equal({ given_up: false });
    expect((await findElection(authority!.services.db, '11'))?.status).to.equal('requested');
    const [session] = await sessionsOf(authority!.services.db, '11');
    expect((await giveUp(session!.sessionId)).output).to.deep.equal({ given_up: true });
    expect((await findElection(authority!.services.db, '11'))?.status).to.equal('failed');
    await test.decide('auth2', 'approve_election', { status: 'accepted' });
    expect((await created).error?.message).to.contain('given up before it was approved');
    await failureOf(11);
  });

  it('given a director that shows an authority another request than it names, then the authority refuses (D32)', async () => {
    const [director, authority] = test.authorities;
    const { request } = normalised(test.request({ id: 6 }));
    const order = { certificate: '', signature: 'AAAA' };
    const data = { request, request_hash: '0'.repeat(64), sessions: [session(0)], order } as never;
    const task = {
      receiver: authority!.node.url,
      queue: 'orchestra_performer',
      action: 'generate_private_info',
      data,
    };
    const { error } = await director!.node.engine.ended(await director!.node.engine.create(simple(task)));
    expect(error!.code).to.equal('disagreement');
    expect(await findElection(authority!.services.db, '6')).to.equal(undefined);
  });

  it('given a director that changes the title for one authority only, then the signed keys do not fit, and it is caught (D32)', async () => {
    test.federation.alter = (_from, to, message) => {
      if (to !== 'auth3' || message.action !== 'generate_private_info') return message;
      const data = message.data as { request: ElectionRequest; [key: string]: unknown };
      const { request, requestHash: hash } = normalised({ ...data.request, title: 'Another election' });
      const { services } = test.authorities[0]!;
      const sessions = data.sessions as string[];
      const ordered = { kind: 'election', election_id: 7, request_hash: hash, sessions } as const;
      const order = signOrder(services, ordered);
      return { ...message, data: { ...data, request, request_hash: hash, order } as never };
    };
    await test.create({ id: 7 });
    const { message, code } = await failureOf(7);
    expect(code).to.equal('proof_invalid');
    expect(message).to.contain('auth3 gave no valid keys: they are not signed with its certificate');
  });

  it('given a director that tells an authority another commitment of it, then it opens no dealing (D46)', async () => {
    test.federation.alter = (_from, to, message) => {
      if (to !== 'auth2' || message.action !== 'frestq.execute_synchronized') return message;
      const data = message.data as { input_data: { dealing_commitments: string[] } };
      const [first, , third] = data.input_data.dealing_commitments;
      const dealing_commitments = [first, '0'.repeat(64), third];
      return {
        ...message,
        data: { ...data, input_data: { ...data.input_data, dealing_commitments } } as never,
      };
    };
    await test.create({ id: 8 });
    expect((await failureOf(8)).message).to.contain('the commitment of this authority was changed');
  });

  it('given a director that shows authorities different commitments, then nobody gets a key (D46)', async () => {
    test.federation.alter = (_from, to, message) => {
      if (to !== 'auth2' || message.action !== 'frestq.execute_synchronized') return message;
      const data = message.data as { input_data: { dealing_commitments: string[] } };
      const [first, second] = data.input_data.dealing_commitments;
      const dealing_commitments = [first, second, '0'.repeat(64)];
      return {
        ...message,
        data: { ...data, input_data: { ...data.input_data, dealing_commitments } } as never,
      };
    };
    await test.create({ id: 9 });
    expect((await failureOf(9)).code).to.equal('proof_invalid');
    const [created] = await sessionsOf(test.authorities[1]!.services.db, '9');
    expect(created!.publicKey).to.equal(null);
  });

  it('given a dealer that opens another dealing than it promised, then it is named (D46)', async () => {
    test.interceptors.set('auth2', async (operation, run) => {
      const result = await run();
      return operation === 'deal' ? { ...result, hash: (await run()).hash } : result;
    });
    await test.create({ id: 10 });
    expect((await failureOf(10)).message).to.contain(
      'auth2 cheated in the key generation: dealing-commitment-mismatch',
    );
  });

  it('given an authority that complains without reason, with or without evidence, then it is named, not the dealer (D46)', async () => {
    const accusations = [
      { outcome: 'refused', reason: 'dealing-malformed', detail: '' },
      { outcome: 'complaint', reason: 'share-inconsistent', complaint: { version: 1 } },
    ];
    for (const [index, accusation] of accusations.entries()) {
      test.interceptors.set('auth3', async (operation, run) => {
        const result = await run();
        return operation === 'openDealings' ? { outcomes: [{ dealer: 2, ...accusation }] } : result;
      });
      await test.create({ id: 11 + index });
      const { message, code } = await failureOf(11 + index);
      expect(code).to.equal('proof_invalid');
      expect(message).to.contain('auth3 cheated in the key generation: it accuses auth2 falsely');
    }
  });

  it('given an authority that says it has another key when it is asked, then it is named with both hashes (D32; EO 1B.6: authorities never compared anything)', async () => {
    const compared = new Set<string>();
    test.federation.alter = (from, to, message) => {
      if (message.action === 'compare_hashes' && to === 'auth3') compared.add(message.taskId!);
      if (message.action !== 'frestq.update_task' || from !== 'auth3' || !compared.has(message.taskId!))
        return message;
      const error = { code: 'disagreement', message: 'auth2 and auth3 have different hashes', node: 'auth3' };
      return { ...message, data: { status: 'error', output_data: null, error } as never };
    };
    await test.create({ id: 13 });
    const { message, code, node } = await failureOf(13);
    expect({ code, node }).to.deep.equal({ code: 'disagreement', node: 'auth3' });
    expect(message).to.contain('auth3 have different hashes');
  });

  it('given the seed’s request, while keys are generated, then the tree has the shape of the tutorial; and the election is created (EO-17, D30)', async () => {
    let begun: (value: unknown) => void = () => {};
    let release: (value: unknown) => void = () => {};
    const dealing = new Promise((resolve) => (begun = resolve));
    const released = new Promise((resolve) => (release = resolve));
    test.interceptors.set('auth3', async (operation, run) => {
      if (operation === 'deal') {
        begun(undefined);
        await released;
      }
      return run();
    });
    const [director] = test.authorities;
    const request = { ...olderRequest(), authorities: test.request({ id: 1 }).authorities };
    const root = await requestElection(director!.services, request);
    await dealing;
    const tree = drawn(await director!.node.tasks(), root);
    expect(tree).to.deep.equal([
      'create_election.orchestra_director - sequential',
      '  frestq.virtual_empty_task.internal.frestq - parallel',
      '    generate_private_info.orchestra_performer - sequential',
      '      generate_private_info_mixnet.orchestra_performer - sequential',
      '    generate_private_info.orchestra_performer - simple',
      '    generate_private_info.orchestra_performer - simple',
      '  merge_protinfo.orchestra_director - sequential',
      '    frestq.virtual_empty_task.internal.frestq - synchronized',
      '      generate_public_key.orchestra_performer - sequential',
      '      generate_public_key.orchestra_performer - simple',
      '      generate_public_key.orchestra_performer - simple',
      '  return_election.orchestra_director - simple',
    ]);
    release(undefined);
    expect((await director!.node.engine.ended(root)).status).to.equal('finished');
    const { body } = await test.callbackOf('vota1', 'POST /election');
    expect(body.session_data).to.have.length(1);
  });

  it('given a created election, then no authority keeps what opens the sealed shares, which are no secret (EO-8)', async () => {
    for (const { services } of test.authorities) {
      const election = (await findElection(services.db, electionKey(5)))!;
      expect(openPartySecret(services, election).encryption).to.equal('0'.repeat(64));
    }
  });

  it('given a long request, when an operator is asked, then everything that is hashed is in the task’s data (D33)', async () => {
    for (const settings of test.settings.values()) settings.autoAccept = false;
    const questions = [question('President?', ['Alice', 'Bob']), question('Treasurer?', ['Carol', 'Dave'])];
    const created = test.create({ id: 20, questions });
    for (const { name } of test.authorities) {
      const asked = await test.decide(name, 'approve_election', { status: 'accepted' });
      const data = asked.input as unknown as {
        request: ElectionRequest;
        request_hash: string;
        description: string;
      };
      expect(data.request_hash).to.equal(requestHash(data.request));
      expect(data.description).to.equal(describeElection(data.request));
      expect(asked.infoText).to.contain('* Title: New Directive Board').and.to.contain(data.request_hash);
    }
    expect((await created).error).to.equal(null);
  });
});

function session(question: number): string {
  return `${question}-${crypto.randomUUID()}`;
}

function normalised(request: unknown): { request: ElectionRequest; requestHash: string } {
  const parsed = parseElectionRequest(request);
  return { request: parsed, requestHash: requestHash(parsed) };
}
