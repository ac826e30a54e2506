/* Heads of peers' logs: what is believed, what is kept, and what contradicts it (D24). */
import { createPrivateKey, sign } from 'node:crypto';
import { expect } from 'chai';
import { checkSignature, headStatement, type SignedHead } from '../../lib/audit/block.ts';
import { HeadKeeper, type HeadOwner } from '../../lib/audit/heads.ts';
import { createNodeCertificate } from '../../lib/node/certificates.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { createTrailStore, listHeads } from '../../lib/store/audit.ts';
import { TestFederation, type TestNode } from '../support/nodes.ts';

const URL = 'https://peer.example:5000/api/queues';

describe('heads of peers (D24)', () => {
  const federation = new TestFederation();
  let node: TestNode;
  let now = Date.parse('2031-01-01T00:00:00Z');
  let logged: string[] = [];
  let keys: Awaited<ReturnType<typeof createNodeCertificate>>;
  let serial = 0;

  before(async () => {
    node = await federation.add('a', { definitions: [] });
    keys = await createNodeCertificate({ name: 'Peer', hosts: ['peer.example'] });
  });
  after(() => federation.close());

  const log = {
    warn: ({ event }: { event?: string }) => void logged.push(event!),
    error: ({ event }: { event?: string }) => void logged.push(event!),
  };

  function peer(): HeadOwner {
    serial += 1;
    const { fingerprint } = pinCertificate(keys.certificate);
    return {
      id: `peer-${serial}`,
      name: 'Peer',
      url: URL,
      certificates: [{ pem: keys.certificate, fingerprint }],
    };
  }

  function head(number: number, hash: string, changes: Partial<SignedHead> = {}): string {
    const { fingerprint: certificate } = pinCertificate(keys.certificate);
    const fields = { number, hash: hash.repeat(64).slice(0, 64), node: URL, certificate, ...changes };
    const signature = sign('sha256', headStatement(fields), createPrivateKey(keys.privateKey));
    return JSON.stringify({ ...fields, signature: signature.toString('base64'), ...changes });
  }

  /** Tells a keeper each of these, minutes apart. */
  async function tell(owner: HeadOwner, ...heads: readonly string[]) {
    logged = [];
    const store = createTrailStore(node.database.knex);
    const clock = { now: () => new Date(now) };
    const keeper = new HeadKeeper({ store, clock, check: checkSignature, log });
    for (const each of heads) {
      now += 120_000;
      keeper.received(owner, each);
      await keeper.idle();
    }
    return (await listHeads(node.database.knex, owner.id)).map(({ number, kept }) => `${number} ${kept}`);
  }

  it('given heads that grow, when minutes pass, then each is entered into the own log', async () => {
    const owner = peer();
    expect(await tell(owner, head(1, 'a'), head(5, 'b'))).to.deep.equal(['1 entered', '5 entered']);
    const { rows } = await node.database.knex.raw(
      "select entries from log_entries where entries like '%peer_head%' order by id desc limit 1",
    );
    expect(JSON.parse(rows[0].entries)).to.include({ kind: 'peer_head', peer: owner.id, number: 5 });
    expect(logged).to.deep.equal([]);
  });

  it('given two heads of one number, when both are signed, then both are kept as evidence of a fork', async () => {
    const owner = peer();
    expect(await tell(owner, head(3, 'a'), head(3, 'b'))).to.deep.equal(['3 entered', '3 fork']);
    expect(logged).to.deep.equal(['log_forked']);
    const { rows } = await node.database.knex.raw(
      `select entries from log_entries where entries like '%"kind":"fork"%' order by id desc limit 1`,
    );
    const entry = JSON.parse(rows[0].entries);
    expect([entry.hash[0], entry.other.hash[0]]).to.deep.equal(['b', 'a']);
    expect([entry.signature, entry.other.signature]).to.not.include(undefined);
  });

  it('given a head that is older than one of minutes ago, when it is told, then it is entered, with that one', async () => {
    expect(await tell(peer(), head(9, 'a'), head(4, 'b'))).to.deep.equal(['4 entered', '9 entered']);
    expect(logged).to.deep.equal(['log_went_back']);
  });

  const refused: readonly [string, () => string][] = [
    [
      'whose signature is of another head',
      () => head(2, 'a', { number: 3 }).replace('"number":3', '"number":4'),
    ],
    ['of a certificate that is not pinned', () => head(2, 'a', { certificate: 'f'.repeat(64) })],
    ['of another node', () => head(2, 'a', { node: 'https://other.example/api/queues' })],
    ['that is no JSON', () => 'head'],
    ['with a further field', () => head(2, 'a').replace('{', '{"more":1,')],
    ['that is too long', () => head(2, 'a').padEnd(5000)],
    ['whose signature is no signature', () => head(2, 'a', { signature: 'AAAA' })],
  ];
  for (const [what, text] of refused) {
    it(`given a head ${what}, when it is told, then it is not kept, and that is logged`, async () => {
      expect(await tell(peer(), text())).to.deep.equal([]);
      expect(logged).to.deep.equal(['head_refused']);
    });
  }
});
