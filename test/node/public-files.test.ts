import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { call, type NodeFolder, NodeFolders } from '../support/node-folders.ts';

describe('published data (EO-10)', function () {
  this.timeout(30_000);
  const folders = new NodeFolders();
  let folder: NodeFolder;

  before(async () => {
    folder = await folders.make('A');
    const publicFolder = join(folder.folder, 'public');
    await mkdir(join(publicFolder, '7/.hidden'), { recursive: true });
    await writeFile(join(publicFolder, '7/tally.tar.gz'), 'archive');
    await writeFile(join(publicFolder, '7/tally.tar.gz.part'), 'half');
    await writeFile(join(publicFolder, '7/<b>.xml'), '<x/>');
    await writeFile(join(publicFolder, '7/.hidden/x'), 'hidden');
    await symlink(join(folder.folder, 'key.pem'), join(publicFolder, '7/link'));
    await folders.start(folder);
  });
  after(() => folders.close());

  const get = (path: string, headers = {}) =>
    call(folder, null, 'GET', `/public_data${path}`, undefined, headers);

  it('given a file, when anybody asks for it without a certificate, then it comes, with its type and a tag', async () => {
    const answer = await get('/7/tally.tar.gz');
    expect([answer.status, answer.body]).to.deep.equal([200, 'archive']);
    expect(answer.headers['content-type']).to.equal('application/gzip');
    expect(answer.headers['x-content-type-options']).to.equal('nosniff');
    const again = await get('/7/tally.tar.gz', { 'if-none-match': String(answer.headers.etag) });
    expect(again.status).to.equal(304);
  });

  it('given a part of a file that was asked for, when it comes, then only that part', async () => {
    const answer = await get('/7/tally.tar.gz', { range: 'bytes=2-4' });
    expect([answer.status, answer.body]).to.deep.equal([206, 'chi']);
  });

  it('given a folder, when it is listed, then it names files and folders, nothing hidden, and no name is HTML', async () => {
    const page = await get('/7/');
    expect(page.body).to.contain('tally.tar.gz').and.to.contain('&#60;b&#62;.xml');
    expect(page.body).not.to.match(/hidden|link|part|<b>/);
    const json = JSON.parse((await get('/7', { accept: 'application/json' })).body);
    expect(json.entries.map(({ name }: { name: string }) => name)).to.deep.equal(['<b>.xml', 'tally.tar.gz']);
  });

  for (const path of [
    '/../key.pem',
    '/7/../../key.pem',
    '/..%2fkey.pem',
    '/%2e%2e/key.pem',
    '/7/..%5c..%5ckey.pem',
    '/7/link',
    '/7/.hidden/x',
    '/7/%00',
    '/%ff',
    '/8',
  ]) {
    it(`given ${path}, when it is asked for, then there is nothing`, async () => {
      const answer = await get(path);
      expect(answer.status).to.equal(404);
      expect(answer.body).not.to.contain('PRIVATE');
    });
  }

  it('given another method than GET, when it is used, then 405', async () => {
    const answer = await call(folder, null, 'PUT', '/public_data/7/tally.tar.gz', 'other');
    expect([answer.status, answer.headers.allow]).to.deep.equal([405, 'GET, HEAD']);
  });
});
