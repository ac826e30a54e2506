import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { createNodeCertificate } from '../../lib/node/certificates.ts';
import { fingerprintWords } from '../../lib/protocol/fingerprint-words.ts';
import { command } from '../support/command.ts';
import { type NodeFolder, NodeFolders } from '../support/node-folders.ts';

describe('conclave init and peers (D22)', function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let a: NodeFolder;
  let b: NodeFolder;
  let file: string;
  const atA = (...args: string[]) => command('peers', ...args, '--settings', a.settings);

  before(async () => {
    [a, b] = [await folders.make('A'), await folders.make('B')];
    const exported = await command('peers', 'export', '--settings', b.settings);
    expect(exported.notes).to.contain(fingerprintWords(b.fingerprint).join(' '));
    file = await folders.write('b.json', exported.out);
  });
  after(() => folders.close());

  it('given a folder that init made, when it is looked at, then secrets are private and nothing is overwritten', async () => {
    for (const name of ['key.pem', 'key-encryption.key']) {
      expect((await stat(join(a.folder, name))).mode & 0o777).to.equal(0o600);
    }
    const again = await command('init', a.folder, '--name', 'A');
    expect([again.code, again.notes.includes('exists already')]).to.deep.equal([2, true]);
  });

  it("given a peer's file, when nobody compared the fingerprint, then it is not added; a wrong one is a failure", async () => {
    const unasked = await atA('add', file);
    expect([unasked.code, unasked.notes.includes('--fingerprint')]).to.deep.equal([2, true]);
    const wrong = await atA('add', file, '--fingerprint', a.fingerprint);
    expect([wrong.code, wrong.notes.includes('not the one that you were told')]).to.deep.equal([1, true]);
    expect(JSON.parse((await atA('list', '--json')).out)).to.deep.equal([]);
  });

  it('given the words of the fingerprint, when the peer is added, then it is listed with its roles', async () => {
    const words = fingerprintWords(b.fingerprint).join(' ').toLowerCase();
    const added = await atA('add', file, '--fingerprint', words);
    expect(added).to.deep.include({ code: 0, out: 'B is a peer of A now.\n' });
    const [peer] = JSON.parse((await atA('list', '--json')).out);
    expect(peer).to.deep.include({ name: 'B', url: b.url, roles: ['authority'] });
    expect((await atA('list')).out)
      .to.contain(b.fingerprint.slice(0, 16))
      .and.not.to.contain('CERTIFICATE');
    const twice = await atA('add', file, '--yes');
    expect([twice.code, twice.notes.includes('there is a peer B already')]).to.deep.equal([1, true]);
  });

  it('given a peer that does not know us, one that does, and none, when they are checked, then it says at which end to look', async () => {
    const silent = await atA('check');
    expect([silent.code, silent.out.includes('nothing listens there')]).to.deep.equal([1, true]);
    const node = await folders.start(b);
    const refused = await atA('check');
    expect([refused.code, refused.out.includes('send its operator our file')]).to.deep.equal([1, true]);
    await node.peers.add({ name: 'A', url: a.url, certificates: [a.certificate], roles: ['authority'] });
    const well = await atA('check', '--json');
    expect([well.code, JSON.parse(well.out)[0].state]).to.satisfy(
      ([code, state]: [number, string]) => code === 0 && state.startsWith('node B, version'),
    );
  });

  it('given a new certificate of the peer, when it is rotated, then both count; and at its end the new one alone', async () => {
    const next = await createNodeCertificate({ name: 'B', hosts: ['127.0.0.1'] });
    const pem = await folders.write('b-next.pem', next.certificate);
    const begun = await atA('rotate', 'B', pem, '--fingerprint', next.fingerprint, '--json');
    expect(JSON.parse(begun.out).certificates).to.have.length(2);
    const ended = await atA('rotate', 'B', '--complete', '--json');
    expect(
      JSON.parse(ended.out).certificates.map((each: { fingerprint: string }) => each.fingerprint),
    ).to.deep.equal([next.fingerprint]);
    const checked = await atA('check');
    expect([checked.code, checked.out.includes('another server answers there')]).to.deep.equal([1, true]);
  });

  it('given a node of the original, when its certificate is added, then it needs a name and no file', async () => {
    const original = await createNodeCertificate({ name: 'old', hosts: ['old.example'] });
    const pem = await folders.write('old.pem', original.certificate);
    const nameless = await atA('add', '--certificate', pem, '--yes');
    expect(nameless.code).to.equal(2);
    const url = 'https://old.example:5000/api/queues';
    const added = await atA('add', '--certificate', pem, '--name', 'Old', '--url', url, '--yes', '--json');
    expect(JSON.parse(added.out)).to.include({ name: 'Old', url });
  });

  it('given a peer, when it is removed, then it is gone; an unknown one is named with those that there are', async () => {
    expect((await atA('remove', 'Old')).code).to.equal(0);
    const unknown = await atA('remove', 'Old');
    expect([unknown.code, unknown.notes.includes('there are: B')]).to.deep.equal([1, true]);
  });

  it("given the node's own file, when it is added to itself, then it is refused", async () => {
    const own = await folders.write(
      'a.json',
      (await command('peers', 'export', '--settings', a.settings)).out,
    );
    const { code, notes } = await atA('add', own, '--yes');
    expect([code, notes.includes('this node itself')]).to.deep.equal([2, true]);
  });
});
