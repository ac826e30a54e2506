/* What is entered into the trail with the messages of two nodes, and what is made of it (D24). */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { expect } from 'chai';
import {
  entriesHash,
  entryHash,
  headerHash,
  headStatement,
  makeBlock,
  NO_PREVIOUS,
  parseHeader,
} from '../../lib/audit/block.ts';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import { createTrailStore, record } from '../../lib/store/audit.ts';
import { TestFederation, type TestNode } from '../support/nodes.ts';

const queue = 'work';
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = { certificate: 'ab'.repeat(32), sign: (data: Uint8Array) => sign('sha256', data, privateKey) };

describe('audit trail (D24)', () => {
  const federation = new TestFederation();
  let a: TestNode;
  let b: TestNode;

  before(async () => {
    const definitions = [defineTask({ queue, action: 'echo' }, (task) => task.input)];
    a = await federation.add('a', { definitions });
    b = await federation.add('b', { definitions });
    const data = { z: 1, ä: ['\u0000', 1e21, null], a: { y: 0.1, x: 'é' } };
    await a.engine.ended(await a.engine.create(simple({ queue, action: 'echo', receiver: b.url, data })));
  });

  after(() => federation.close());

  async function entriesOf({ database }: TestNode) {
    const { rows } = await database.knex.raw(
      'select entries from log_entries where block is null order by id',
    );
    const lines = rows.flatMap(({ entries }: { entries: string }) => entries.split('\n')) as string[];
    return lines.map((line) => JSON.parse(line) as Record<string, string>);
  }

  it('given a task that was sent and answered, when both logs are read, then each message has one digest', async () => {
    const [ours, theirs] = await Promise.all([entriesOf(a), entriesOf(b)]);
    const digests = (entries: typeof ours, kind: string) =>
      Object.fromEntries(entries.filter((one) => one.kind === kind).map((one) => [one.message, one.digest]));
    expect(Object.keys(digests(ours, 'sent'))).to.have.length(1);
    expect(digests(theirs, 'received')).to.deep.equal(digests(ours, 'sent'));
    expect(digests(ours, 'received')).to.deep.equal(digests(theirs, 'sent'));
  });

  it('given a transaction that is rolled back, when it has recorded an entry, then there is none', async () => {
    const before = (await entriesOf(a)).length;
    const failed = a.database.knex.transaction(async (transaction) => {
      await record(transaction, { kind: 'approval', by: 'someone' });
      throw new Error('no');
    });
    expect(await failed.catch((thrown: Error) => thrown.message)).to.equal('no');
    expect(await entriesOf(a)).to.have.length(before);
  });

  it('given entries that claim to be messages, when they are recorded, then they are refused', async () => {
    const refused = await record(a.database.knex, { kind: 'received' }).catch((thrown) => thrown);
    expect(refused.code).to.equal('invalid_request');
  });

  it('given what waits, when it is sealed twice, then blocks follow one another, and nobody changes them', async () => {
    const { knex } = a.database;
    const trail = createTrailStore(knex);
    const seal = () =>
      trail.seal(2, ({ previous, hashes }) =>
        makeBlock({ node: a.url, previous, hashes, date: new Date(), signer }),
      );
    const first = await seal();
    await record(knex, { kind: 'stop', reason: 'test' });
    const second = await seal();
    if (first.outcome !== 'sealed' || second.outcome !== 'sealed') throw new Error('not sealed');
    expect(parseHeader(first.block.header)).to.deep.include({ number: 1, previous: NO_PREVIOUS });
    expect(parseHeader(second.block.header)).to.deep.include({ number: 2, previous: first.block.hash });
    expect(headerHash(second.block.header)).to.equal(second.block.hash);
    const { rows } = await knex.raw('select * from log_sealed order by number');
    for (const row of rows) {
      const lines: string[] = row.entries.split('\n');
      expect(parseHeader(row.header)?.entries).to.equal(entriesHash(lines.map((line) => entryHash(line))));
      expect(row.hashes.toString('hex')).to.equal(lines.map((line) => entryHash(line)).join(''));
    }
    const { head } = await trail.look();
    expect(head?.hash).to.equal(second.block.hash);
    expect(
      verify('sha256', headStatement(head!), publicKey, Buffer.from(head!.signature, 'base64')),
    ).to.equal(true);
    for (const statement of [
      'update log_blocks set header = header',
      'delete from log_blocks',
      'truncate log_blocks',
      'update log_entries set entries = entries',
      'update log_entries set block = 7',
      'delete from log_entries',
      'truncate log_entries',
    ]) {
      const refused = await knex.raw(statement).catch((thrown: Error) => thrown.message);
      expect(refused).to.match(/never changed/);
    }
  });
});
