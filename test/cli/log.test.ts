/* `conclave log …` on a node's own log, and by an outsider who has exports and certificates alone (D24). */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeExport } from '../../lib/audit/export-file.ts';
import { Sealer } from '../../lib/audit/sealer.ts';
import { systemClock } from '../../lib/engine/clock.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { createTrailStore, record } from '../../lib/store/audit.ts';
import { exportRecords } from '../../lib/store/audit-export.ts';
import { insertPeer } from '../../lib/store/peers.ts';
import { command, commandWith } from '../support/command.ts';
import { TestAuthorities } from '../support/elections.ts';
import { type NodeFolder, NodeFolders } from '../support/node-folders.ts';

describe('conclave log (D24)', function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let folder: string;
  let own: NodeFolder;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-log-'));
    own = await folders.make('A');
    const node = await folders.start(own);
    await node.stop(0);
  });
  after(async () => {
    await folders.close();
    await rm(folder, { recursive: true, force: true });
  });

  const at = (...args: string[]) => command('log', ...args, '--settings', own.settings);

  it('given a node that has started and stopped, then its own log is valid, and its export too', async () => {
    const verified = await at('verify');
    expect([verified.code, verified.out.includes('VALID')]).to.deep.equal([0, true]);
    const file = join(folder, 'own.jsonl');
    expect((await at('export', file)).code).to.equal(0);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    expect((await at('export', file)).code).to.equal(1);
    expect((await at('verify', file)).code).to.equal(0);
    const alone = await command('log', 'verify', file, '--fingerprint', '0'.repeat(64));
    expect([alone.code, alone.out.includes('CONSISTENT IN ITSELF')]).to.deep.equal([1, true]);
  });

  it('given what is no export, when it is verified, then the exit code is 2', async () => {
    const file = join(folder, 'none.jsonl');
    await writeFile(file, 'nothing\n');
    expect((await at('verify', file)).code).to.equal(2);
    expect((await at('verify', join(folder, 'nowhere'))).code).to.equal(2);
  });

  it('given filters, when the log is shown, then only what fits is, as wide as the terminal', async () => {
    const shown = await at('show', '--kind', 'start', '--json');
    expect(JSON.parse(shown.out).map(({ entry }: { entry: { kind: string } }) => entry.kind)).to.deep.equal([
      'start',
    ]);
    const args = ['log', 'show', '--settings', own.settings];
    const table = await commandWith({ COLUMNS: '100' }, ...args);
    expect(Math.max(...table.out.split('\n').map((line) => line.length))).to.be.at.most(100);
    expect(table.out).to.contain('start');
    expect((await at('show', '--since', 'never')).code).to.equal(2);
    expect(JSON.parse((await at('show', '--until', '2000-01-01', '--json')).out)).to.deep.equal([]);
  });

  it('given an election of three authorities, when an outsider has their exports and certificates, then its whole story is checked', async () => {
    const test = new TestAuthorities();
    try {
      await test.start(3);
      await test.create({ id: 7, threshold: 2 });
      await test.tally(7, await test.ballots(7, [[[0]], [[1]]]));
      const files: string[] = [];
      const certificates: string[] = [];
      for (const authority of test.authorities) {
        files.push(await exported(test, authority, '7'));
        const file = join(folder, `${authority.name}.pem`);
        await writeFile(file, authority.certificate);
        certificates.push(`${authority.node.url}=${file}`);
      }
      const args = ['--leeway', '0', '--json'];
      const ran = await command('log', 'verify', ...files, '--certificate', ...certificates, ...args);
      const { verdict, findings, logs } = JSON.parse(ran.out);
      expect(findings).to.deep.equal([]);
      expect([ran.code, verdict]).to.deep.equal([0, 'valid']);
      for (const log of logs) expect(log).to.include({ election: '7' }).and.property('messages').above(10);
      const one = await command('log', 'verify', ...files, '--certificate', certificates[0]!, ...args);
      expect([one.code, JSON.parse(one.out).verdict]).to.deep.equal([1, 'unpinned']);
    } finally {
      await test.close();
    }
  });

  async function exported(
    test: TestAuthorities,
    { name, node, services, certificate: pem }: TestAuthorities['authorities'][number],
    election: string,
  ): Promise<string> {
    const { knex } = node.database;
    for (const other of test.authorities)
      if (other.name !== name)
        await insertPeer(knex, {
          ...{ id: other.name, name: other.name, url: other.node.url, roles: ['authority'] },
          ...{ certificates: [pinCertificate(other.certificate)], dialect: 'conclave' },
        });
    await record(knex, { kind: 'note', by: 'somebody', election: '8' });
    const { fingerprint } = pinCertificate(pem);
    const signer = { certificate: fingerprint, pem, sign: services.sign as (data: Uint8Array) => Buffer };
    await new Sealer({
      ...{ store: createTrailStore(knex), clock: systemClock, node: node.url, signer: () => signer },
      log: { error: () => {} },
    }).seal();
    const file = join(folder, `${name}.jsonl`);
    const options = { node: node.url, name, certificate: { fingerprint, pem }, now: new Date(), election };
    await writeExport(file, node.url, exportRecords(knex, options), signer);
    expect(await readFile(file, 'utf8')).to.not.contain('somebody');
    return file;
  }
});
