/* The audit trail of running nodes: what they do is sealed, and they keep each other's heads (D24). */
import { expect } from 'chai';
import { checkSignature, headerHash, parseHeader } from '../../lib/audit/block.ts';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { listHeads } from '../../lib/store/audit.ts';
import { NodeFolders, trust } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';

const greet = defineTask({ queue: 'say_queue', action: 'greet' }, () => 'hello');

interface Row {
  number: string;
  hash: string;
  header: string;
  entries: string;
}

describe('the audit trail of running nodes (D24)', () => {
  let folders: NodeFolders;

  before(() => {
    folders = new NodeFolders();
  });
  after(() => folders.close());

  const blocks = async ({ database }: RunningNode): Promise<Row[]> =>
    await database.knex('log_sealed').orderBy('number');
  const entries = (rows: readonly Row[]) =>
    rows.flatMap((row) => row.entries.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>));

  it('given two nodes that exchange tasks, then each seals what it did, and keeps what the other has signed', async () => {
    const [a, b] = [await folders.make('A'), await folders.make('B')];
    const [alice, bob] = [await folders.start(a), await folders.start(b, { definitions: [greet] })];
    await trust(alice, b);
    await trust(bob, a);
    const ask = async () =>
      alice.engine.ended(
        await alice.engine.create(simple({ receiver: b.url, queue: 'say_queue', action: 'greet' })),
      );
    await ask();
    // What was sealed is told with the next messages.
    const kept = await until('heads on both sides', async () => {
      await ask();
      const [heads] = await Promise.all([
        Promise.all([listHeads(alice.database.knex), listHeads(bob.database.knex)]),
      ]);
      return heads.every((each) => each.length > 0) && heads;
    });
    for (const [index, [head]] of kept.entries()) {
      const signer = [bob, alice][index]!;
      const row = (await blocks(signer)).find(({ number }) => Number(number) === head!.number)!;
      expect(head).to.include({ hash: row.hash, node: signer.url });
      expect(checkSignature({ pem: head!.pem, fingerprint: head!.certificate }, head!)).to.equal(true);
    }
    await alice.stop();
    const viewer = await folders.start(a);
    const rows = await blocks(viewer);
    let previous = '0'.repeat(64);
    for (const row of rows) {
      expect(parseHeader(row.header)).to.include({ previous, number: Number(row.number) });
      expect(headerHash(row.header)).to.equal(row.hash);
      previous = row.hash;
    }
    const kinds = entries(rows).map(({ kind }) => kind);
    expect(kinds.slice(0, 2)).to.deep.equal(['peers', 'start']);
    expect(kinds).to.include.members(['sent', 'received', 'delivered', 'peer_head', 'stop']);
    expect(entries(rows).find(({ kind }) => kind === 'peers')!.peers).to.be.an('array');
  });
});
