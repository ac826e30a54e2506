import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { TreeNode } from '../../lib/engine/tree.ts';
import { simple } from '../../lib/engine/tree.ts';
import { createNodeCertificate } from '../../lib/node/certificates.ts';
import type { ElectionRequest } from '../../tasks/election/election.ts';
import { evidenceText, type Order, ordersOf, signerOf, signOrder } from '../../tasks/election/orders.ts';
import { sessionsOf } from '../../tasks/election/records.ts';
import { parseElectionRequest, requestHash } from '../../tasks/election/request.ts';
import { parseTallyRequest, tallyRequestHash } from '../../tasks/election/tally-request.ts';
import { command } from '../support/command.ts';
import { question, TestAuthorities } from '../support/elections.ts';

interface Creation {
  request: ElectionRequest;
  request_hash: string;
  sessions: string[];
  order: { certificate: string; signature: string };
}

describe('evidence against a director that shows authorities different worlds', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();
  let folder: string;
  const director = () => test.authorities[0]!;
  const signed = (order: Order) => signOrder(director().services, order);

  /** What an authority's operator would hand over. */
  const exported = async (name: string, election: string): Promise<string> => {
    const { services } = test.authorities.find((authority) => authority.name === name)!;
    const file = join(folder, `${name}-${election}.json`);
    await writeFile(file, evidenceText(await ordersOf(services, election)));
    return file;
  };
  const otherElection = (data: Creation): Creation => {
    const request = parseElectionRequest(
      { ...data.request, title: 'Another election' },
      { maxQuestions: 15, defaultGroup: 'P-256' },
    );
    const [request_hash, { sessions }] = [requestHash(request), data];
    const order = signed({ kind: 'election', election_id: request.id, request_hash, sessions });
    return { request, request_hash, sessions, order };
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-evidence-'));
    await test.start(3);
  });
  afterEach(() => {
    test.federation.alter = (_from, _to, message) => message;
  });
  after(async () => {
    await test.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('given one that orders two elections under one session, when two authorities export what they were given, then together it convicts the director, and neither part alone', async () => {
    test.federation.alter = (_from, to, message) =>
      to === 'auth3' && message.action === 'generate_private_info'
        ? { ...message, data: otherElection(message.data as unknown as Creation) as never }
        : message;
    const root = await test.create({ id: 1, questions: [question('President?', ['Alice', 'Bob'])] });
    expect(root.status).to.equal('error');
    for (const { services } of test.authorities)
      for (const session of await sessionsOf(services.db, '1')) expect(session.publicKey).to.equal(null);
    const [one, other] = [await exported('auth2', '1'), await exported('auth3', '1')];
    for (const file of [one, other]) {
      const { code, out } = await command('evidence', 'check', file);
      expect(code, out).to.equal(1);
    }
    const { code, out } = await command('evidence', 'check', one, other, '--json');
    const { contradictions } = JSON.parse(out);
    expect([code, contradictions.length]).to.deep.equal([0, 1]);
    const certificate = director().certificate;
    expect(contradictions[0].signer).to.equal(signerOf({ certificate } as never));
    expect((await command('evidence', 'check', one, other)).out).to.contain(contradictions[0].signer);
  });

  it('given one that orders another tally of an authority under the same id, then the authority refuses and has the proof by itself', async () => {
    await test.create({ id: 2, questions: [question('President?', ['Alice', 'Bob'])] });
    const [first, second] = [[], ['x']].map((lines) => parseTallyRequest(test.votesRequest(2, lines)));
    const ask = async (request: ReturnType<typeof parseTallyRequest>, order?: object) => {
      const request_hash = tallyRequestHash(request);
      const data = {
        request,
        request_hash,
        tally_id: 'one',
        order: order ?? signed({ kind: 'tally', election_id: 2, request_hash, tally_id: 'one' }),
      } as never;
      const { engine } = director().node;
      const at = { receiver: test.authorities[1]!.node.url, queue: 'orchestra_performer' };
      const task: TreeNode = simple({ ...at, action: 'review_tally', data });
      return engine.ended(await engine.create(task));
    };
    expect((await ask(first!)).error).to.equal(null);
    const refused = await ask(second!);
    expect(refused.error?.code).to.equal('disagreement');
    expect(refused.error?.message).to.contain('ordered two different things: tally one of election 2');
    expect((await command('evidence', 'check', await exported('auth2', '2'))).code).to.equal(0);

    const request = parseTallyRequest(test.votesRequest(2, ['y']));
    for (const order of [
      signed({ kind: 'tally', election_id: 2, request_hash: tallyRequestHash(first!), tally_id: 'one' }),
      signOrder(test.authorities[2]!.services, {
        kind: 'tally',
        election_id: 2,
        request_hash: tallyRequestHash(request),
        tally_id: 'one',
      }),
    ])
      expect((await ask(request, order)).error?.message).to.contain(
        'not signed by the authority that sends it',
      );
  });

  it('given evidence that was forged, when it is checked, then it is refused', async () => {
    const file = await exported('auth2', '2');
    const text = await readFile(file, 'utf8');
    const evidence = JSON.parse(text);
    const [{ order, signature }] = evidence.orders;
    const stranger = await createNodeCertificate({ name: 'auth1', hosts: ['127.0.0.1'] });
    const forged: [string, unknown][] = [
      ['another hash', { order: { ...order, request_hash: '0'.repeat(64) } }],
      ['another certificate', { certificate: stranger.certificate }],
      ['another signature', { signature: `${signature.slice(0, -8)}AAAAAAA=` }],
      ['no certificate', { certificate: 'none' }],
      ['a member too many', { comment: 'believe me' }],
    ];
    for (const [what, change] of forged) {
      const orders = [{ ...evidence.orders[0], ...(change as object) }, ...evidence.orders.slice(1)];
      await writeFile(file, JSON.stringify({ version: 1, orders }));
      const { code, notes } = await command('evidence', 'check', file);
      expect(code, what).to.equal(2);
      expect(notes, what).to.contain(file);
    }
    await writeFile(file, text.replace('"version": 1', '"version": 1, "version": 1'));
    expect((await command('evidence', 'check', file)).code).to.equal(2);
  });
});
