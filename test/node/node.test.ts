import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import { call, NodeFolders, newCaller, trust } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';

const SLOW_NODE = fileURLToPath(new URL('./slow-node.ts', import.meta.url));
const greet = defineTask(
  { queue: 'say_queue', action: 'greet' },
  ({ input }, ctx) => `${ctx.node.name} greets ${String(input)}`,
);

describe('a node', function () {
  this.timeout(60_000);
  let folders: NodeFolders;

  beforeEach(() => {
    folders = new NodeFolders();
  });
  afterEach(() => folders.close());

  it('given two nodes that trust each other, when one sends a task, then the other executes it', async () => {
    const [a, b] = [await folders.make('A'), await folders.make('B')];
    const [alice, bob] = [await folders.start(a), await folders.start(b, { definitions: [greet] })];
    await trust(alice, b);
    await trust(bob, a);
    const id = await alice.engine.create(
      simple({ receiver: bob.url, queue: 'say_queue', action: 'greet', data: 'Alice' }),
    );
    expect((await alice.engine.ended(id)).output).to.equal('B greets Alice');
  });

  it('given a peer that was not told of us, when we send it a task, then both sides say so and whose certificate it is', async () => {
    const [a, b] = [await folders.make('A'), await folders.make('B')];
    const [heardByA, heardByB]: [string[], string[]] = [[], []];
    const alice = await folders.start(a, {}, heardByA);
    await folders.start(b, { definitions: [greet] }, heardByB);
    await trust(alice, b);
    const id = await alice.engine.create(simple({ receiver: b.url, queue: 'say_queue', action: 'greet' }));
    const refusedAtB = await until('a refusal at the receiver', () =>
      heardByB.find((line) => line.includes('unknown_certificate')),
    );
    expect(refusedAtB).to.contain(a.fingerprint).and.to.contain('conclave peers add');
    const said = await until('the reason at the sender', async () => {
      const { sentence } = await alice.engine.why(id);
      const task = await alice.engine.store.task(id);
      return `${sentence} ${task?.error?.message ?? ''}`.includes('not one of a peer') && sentence;
    });
    expect(said).to.contain('B');
  });

  it('given a peer that is down, when a task waits for it, then why says so, since when, and what comes next', async () => {
    const a = await folders.make('A');
    const gone = await folders.make('Gone');
    const alice = await folders.start(a);
    await trust(alice, gone);
    const id = await alice.engine.create(simple({ receiver: gone.url, queue: 'say_queue', action: 'greet' }));
    const why = await until('the peer is known to be down', async () => {
      const found = await alice.engine.why(id);
      return found.waitingFor === 'peer' && found;
    });
    expect(why.sentence).to.match(/Gone does not answer since .*connection refused/);
    expect(why.next).to.be.instanceOf(Date);
  });

  it('given a task whose handler runs, when the process is killed and another starts, then the task is executed to its end', async () => {
    const folder = await folders.make('Survivor');
    const first = await folders.spawn(folder, [SLOW_NODE, 'wait']);
    const viewer = await folders.start(
      { ...folder, settings: await elsewhere(folder.settings) },
      { definitions: [] },
    );
    const id = await until('the task that the first process created', async () => {
      const [row] = await viewer.database.knex('tasks').where({ action: 'slow' }).whereNotNull('worker_id');
      return row?.id as string | undefined;
    });
    const exit = once(first, 'exit');
    first.kill('SIGKILL');
    await exit;
    expect((await viewer.engine.store.task(id))?.status).to.equal('executing');
    await folders.spawn(folder, [SLOW_NODE, 'finish']);
    const task = await viewer.engine.ended(id, AbortSignal.timeout(15_000));
    expect(task.output).to.equal('done by the process that came after');
  });

  it('given a node in use, when it stops, then requests are refused, and its ports and its worker are gone', async () => {
    const folder = await folders.make('A');
    const node = await folders.start(folder);
    const { knex } = node.database;
    expect(await knex('workers')).to.have.length(1);
    await node.stop(1);
    await node.stop(1);
    const failed = await call(folder, folder, 'GET', '/public_api/check_state').catch((error) => error.code);
    expect(failed).to.equal('ECONNREFUSED');
  });

  it('given a port that is taken, when a node starts, then it says which, and leaves nothing running', async () => {
    const a = await folders.make('A');
    const port = Number(new URL(a.url).port);
    const b = await folders.make('B', {
      listen: { federation: { host: '127.0.0.1', port }, health: { port: 0 } },
    });
    await folders.start(a);
    const error = await folders.start(b).catch((thrown) => thrown);
    expect(error.code).to.equal('EADDRINUSE');
    expect(error.message).to.contain(String(port));
  });

  it('given a rotated certificate, when the node reads it again, then new connections see the new one', async () => {
    const folder = await folders.make('A');
    const node = await folders.start(folder);
    const next = await newCaller('A');
    await writeFile(node.settings.tls.certificate, next.certificate);
    await writeFile(node.settings.tls.key, next.privateKey);
    await node.reloadIdentity();
    const before = await call(folder, folder, 'GET', '/public_api/check_state');
    const after = await call(folder, next, 'GET', '/public_api/check_state');
    expect([before.status, after.status]).to.deep.equal([403, 202]);
    expect(node.services.certificate).to.equal(next.certificate);
  });

  it('given health ports, when they are asked, then they say alive, ready, and the metrics of the contract', async () => {
    const folder = await folders.make('A');
    const node = await folders.start(folder, { definitions: [greet] });
    await trust(node, await folders.make('Peer'));
    const id = await node.engine.create(simple({ queue: 'say_queue', action: 'greet', data: 'you' }));
    await node.engine.ended(id);
    await call(folder, folder, 'GET', '/public_api/check_state');
    const ask = async (path: string) => await fetch(`http://127.0.0.1:${folder.healthPort}${path}`);
    expect((await ask('/healthz')).status).to.equal(200);
    expect(await (await ask('/readyz')).json()).to.deep.equal({ status: 'ready', problems: [] });
    const metrics = await (await ask('/metrics')).text();
    expect(metrics).to.match(
      /conclave_tasks\{type="simple",status="finished"\} 1|conclave_tasks\{type="sequential",status="finished"\} 1/,
    );
    expect(metrics).to.contain('conclave_peer_up{peer="Peer"} 1');
    expect(metrics).to.contain('conclave_jobs_running 0');
    expect(metrics).to.match(
      /conclave_request_seconds_count\{route="\/public_api",method="GET",status="202"\} 1/,
    );
    expect((await ask('/other')).status).to.equal(404);
  });
});

/** The same node's settings with other ports: a second process on the same database. */
async function elsewhere(settings: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  const raw = JSON.parse(await readFile(settings, 'utf8'));
  raw.listen = { federation: { host: '127.0.0.1', port: 0 }, health: { port: 0 } };
  const path = settings.replace('conclave.json', 'elsewhere.json');
  await writeFile(path, JSON.stringify(raw));
  return path;
}
