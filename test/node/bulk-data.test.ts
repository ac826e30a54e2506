import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { call, type NodeFolder, NodeFolders, newCaller, trust } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';

const queue = 'bulk_queue';
const read = defineTask({ queue, action: 'read' }, async (_task, ctx) => {
  const path = ctx.asyncData('list');
  return { path, text: await readFile(path, 'utf8') };
});

describe('bulk data (D17, D35)', function () {
  this.timeout(30_000);
  const folders = new NodeFolders();
  let a: NodeFolder;
  let b: NodeFolder;
  let alice: RunningNode;
  let bob: RunningNode;
  let bobsId: string;
  let file: string;

  before(async () => {
    [a, b] = [await folders.make('A'), await folders.make('B')];
    const options = { definitions: [read] };
    [alice, bob] = [await folders.start(a, options), await folders.start(b, options)];
    bobsId = await trust(alice, b);
    await trust(bob, a);
    file = await folders.write('list', 'many ciphertexts');
  });
  after(() => folders.close());

  it('given a shared file, when a task brings it to its reader, then the handler has it, and it is gone afterwards', async () => {
    const reference = await alice.services.share(file, [bobsId]);
    const id = await alice.engine.create(
      simple({ receiver: bob.url, queue, action: 'read', asyncData: { list: reference } }),
    );
    const { output, error } = await alice.engine.ended(id);
    expect(error).to.equal(null);
    expect(output).to.deep.include({ text: 'many ciphertexts' });
    await until('the folder of the task is removed', async () => {
      const left = await readdir(join(b.folder, 'private/incoming')).catch(() => []);
      return left.length === 0;
    });
  });

  it('given a task to this node itself, when it brings a file, then the handler has it too', async () => {
    const reference = await alice.services.share(file, []);
    const id = await alice.engine.create(simple({ queue, action: 'read', asyncData: { list: reference } }));
    expect((await alice.engine.ended(id)).output).to.deep.include({ text: 'many ciphertexts' });
  });

  it('given a shared file, when somebody else than its readers asks for it, then there is nothing', async () => {
    const { url, sha256 } = await alice.services.share(file, [bobsId]);
    const path = new URL(url).pathname;
    const other = await newCaller('other');
    await trust(alice, { name: 'other', ...other });
    expect((await call(a, other, 'GET', path)).status).to.equal(404);
    expect((await call(a, a, 'GET', path)).status).to.equal(403);
    expect((await call(a, await newCaller('stranger'), 'GET', path)).status).to.equal(403);
    expect((await call(a, b, 'GET', `${path}x`)).status).to.equal(404);
    const answer = await call(a, b, 'GET', path);
    expect([answer.status, answer.body]).to.deep.equal([200, 'many ciphertexts']);
    expect([answer.headers.etag, answer.headers['content-length']]).to.deep.equal([`"${sha256}"`, '16']);
    expect((await call(a, b, 'GET', path, undefined, { 'if-none-match': `"${sha256}"` })).status).to.equal(
      304,
    );
  });

  it('given the same file and readers twice, when it is shared, then it has one URL; withdrawn, none', async () => {
    const first = await alice.services.share(file, [bobsId]);
    const second = await alice.services.share(file, [bobsId]);
    expect(second).to.deep.equal(first);
    await alice.services.withdraw(join(file, '..'));
    expect((await call(a, b, 'GET', new URL(first.url).pathname)).status).to.equal(404);
  });

  it('given a file that changed after it was shared, when a task brings it, then the task fails and says so', async () => {
    const changing = await folders.write('changing', 'before');
    const reference = await alice.services.share(changing, [bobsId]);
    await writeFile(changing, 'after!');
    const id = await alice.engine.create(
      simple({ receiver: bob.url, queue, action: 'read', asyncData: { list: reference } }),
    );
    const { error } = await alice.engine.ended(id);
    expect(error?.message).to.contain('SHA-256');
  });

  it('given a peer that cannot give the file now, when a task brings it, then the task waits, says why, and goes on', async () => {
    const moved = await folders.write('moved', 'there again');
    const reference = await alice.services.share(moved, [bobsId]);
    await rename(moved, `${moved}.away`);
    const id = await alice.engine.create(
      simple({ receiver: bob.url, queue, action: 'read', asyncData: { list: reference } }),
    );
    // More often than a handler without retries is called.
    const sentence = await until('it was tried twice', async () => {
      const task = await bob.engine.store.task(id);
      return (task?.metadata.unfetched ?? 0) >= 2 && (await bob.engine.why(id)).sentence;
    });
    expect(sentence).to.match(
      /bulk data list \(11 bytes\) could not be fetched from \w+, tried \d+ times \(.*status 500.*\); it is tried again at/,
    );
    await rename(`${moved}.away`, moved);
    const { output, error } = await alice.engine.ended(id);
    expect(error).to.equal(null);
    expect(output).to.deep.include({ text: 'there again' });
  });

  it('given bulk data at somebody who is no peer, when a task names it, then it is not fetched', async () => {
    const reference = { url: 'https://127.0.0.1:1/api/data/x', sha256: '0'.repeat(64), size: 1 };
    const id = await alice.engine.create(simple({ queue, action: 'read', asyncData: { list: reference } }));
    expect((await alice.engine.ended(id)).error?.message).to.contain('is not at a peer of this node');
  });
});
