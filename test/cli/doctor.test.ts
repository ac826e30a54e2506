/* `conclave doctor` finds what was really broken, and nothing where all is well. */
import { createServer } from 'node:net';
import { expect } from 'chai';
import type { Finding } from '../../lib/cli/doctor.ts';
import { createNodeCertificate } from '../../lib/node/certificates.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { command } from '../support/command.ts';
import { type NodeFolder, NodeFolders, trust } from '../support/node-folders.ts';

describe('conclave doctor', function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let folder: NodeFolder;
  let peer: NodeFolder;
  let node: RunningNode;
  let other: RunningNode;

  before(async () => {
    [folder, peer] = [await folders.make('Auth1'), await folders.make('Auth2')];
    [node, other] = [await folders.start(folder), await folders.start(peer)];
    await trust(node, peer);
    await trust(other, folder);
  });
  after(() => folders.close());

  async function examine(): Promise<{ code: number; findings: Finding[] }> {
    const { code, out } = await command('--settings', folder.settings, 'doctor', '--json');
    return { code, findings: JSON.parse(out).findings };
  }
  const problems = ({ findings }: { findings: readonly Finding[] }) => findings.filter(({ ok }) => !ok);

  it('given a node and a peer that work, then nothing is wrong, and it says what was looked at', async () => {
    const found = await examine();
    expect(problems(found)).to.deep.equal([]);
    expect(found.code).to.equal(0);
    expect(found.findings.map(({ check }) => check)).to.include.members([
      ...['database', 'data folder', 'own certificate', 'process', 'peer Auth2', 'messages', 'audit trail'],
    ]);
    const { code, out } = await command('--settings', folder.settings, 'doctor');
    expect(code).to.equal(0);
    expect(out).to.contain('ok       peer Auth2: answers after');
  });

  it('given a certificate that ends soon, dead letters, a fork, and a peer that has stopped, then each is found, with a cure', async () => {
    const { certificate } = await createNodeCertificate({
      name: 'Late',
      hosts: ['late.example'],
      validityDays: 5,
    });
    const late = await trust(node, { name: 'Late', certificate });
    const { knex } = node.database;
    const sent = {
      sender_url: folder.url,
      receiver_url: '',
      queue_name: 'q',
      action: 'a',
      is_received: false,
    };
    await knex('messages').insert({ ...sent, id: 'dead', peer_id: late, state: 'dead' });
    await knex('peer_heads').insert({
      ...{ peer_id: late, number: 3, hash: 'a', node: '', certificate: '', signature: '', pem: '' },
      ...{ first_seen: new Date(), kept: 'fork' },
    });
    await other.stop(0);
    const found = await examine();
    expect(found.code).to.equal(1);
    expect(problems(found).map(({ check, text }) => `${check}: ${text}`)).to.satisfy((texts: string[]) =>
      [
        /^certificate of Late: valid until .*, in \d days$/,
        /^peer Auth2: .*connection refused/,
        /^messages: 1 to Late were refused or given up$/,
        /^audit trail: Late has signed 2 different logs$/,
      ].every((wanted) => texts.some((text) => wanted.test(text))),
    );
    expect(problems(found).every(({ cure }) => cure !== null && cure.length > 10)).to.equal(true);
  });

  it('given a node that does not run, then it says so; and that another program has its port, if one does', async () => {
    await node.stop(0);
    const process = async () => (await examine()).findings.find(({ check }) => check === 'process')!;
    expect((await process()).text).to.equal('it does not run here');
    const squatter = createServer();
    await new Promise<void>((resolve) =>
      squatter.listen(Number(new URL(folder.url).port), '127.0.0.1', resolve),
    );
    try {
      expect((await process()).text).to.contain('it does not answer as this node');
    } finally {
      squatter.close();
    }
  });
});
