import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import type { Knex } from 'knex';
import { defineTask } from '../../lib/engine/definitions.ts';
import type { Engine } from '../../lib/engine/engine.ts';
import { parallel, simple } from '../../lib/engine/tree.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

describe('engine: leases, fencing and takeover (D13)', () => {
  const queue = 'work';
  let federation: TestFederation;
  let node: TestNode;
  let ran: { action: string; fence?: number; aborted?: boolean }[];
  let gates: Map<string, PromiseWithResolvers<void>>;
  let atOnce: number;
  let mostAtOnce: number;
  const gate = (name: string) => {
    const found = gates.get(name) ?? Promise.withResolvers<void>();
    gates.set(name, found);
    return found;
  };
  const definitions = () => [
    defineTask({ queue, action: 'write_and_hang' }, async (task, ctx) => {
      const transaction = await ctx.tx<Knex.Transaction>();
      await transaction.raw('insert into effects (task, worker) values (?, ?)', [task.id, 'survivor']);
      return 'done by the survivor';
    }),
    defineTask({ queue, action: 'die' }, () => void ran.push({ action: 'die' })),
    defineTask({ queue, action: 'noop' }, () => void ran.push({ action: 'noop' })),
    defineTask({ queue, action: 'gated' }, async (_task, ctx) => {
      ran.push({ action: 'gated' });
      gate('entered').resolve();
      await gate('leave').promise;
      ran.push({ action: 'left', aborted: ctx.signal.aborted });
      return 'late';
    }),
    defineTask({ queue, action: 'heeds' }, async (_task, ctx) => {
      ran.push({ action: 'heeds' });
      gate('entered').resolve();
      await new Promise((_resolve, reject) => {
        ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason), { once: true });
      });
    }),
    defineTask({ queue: 'narrow', action: 'count' }, async () => {
      atOnce += 1;
      mostAtOnce = Math.max(mostAtOnce, atOnce);
      await new Promise((resolve) => setImmediate(resolve));
      atOnce -= 1;
    }),
  ];

  beforeEach(async () => {
    ran = [];
    gates = new Map();
    atOnce = 0;
    mostAtOnce = 0;
    federation = new TestFederation();
    node = await federation.add('a', {
      definitions: definitions(),
      engine: { works: false, leaseSeconds: 1 },
      queues: { narrow: { maxThreads: 3 } },
    });
    await node.database.knex.raw('create table effects (task text, worker text)');
  });
  afterEach(async () => {
    gate('leave').resolve();
    await federation.close();
  });

  const another = (options: Partial<ConstructorParameters<typeof Engine>[0]> = {}) =>
    node.another({ works: true, ...options });
  const taskOf = async (id: string) => (await node.engine.store.task(id))!;

  /** A worker process; resolves when it has said `line`. */
  const workerProcess = async (line: string): Promise<ChildProcess> => {
    const options = { address: await addressOf(node), url: node.url, leaseSeconds: 1 };
    const child = spawn(process.execPath, [
      new URL('./worker-process.ts', import.meta.url).pathname,
      JSON.stringify(options),
    ]);
    let problems = '';
    child.stderr.on('data', (data) => {
      problems += data;
    });
    for await (const said of createInterface({ input: child.stdout })) if (said === line) return child;
    throw new Error(`the worker process ended: ${problems}`);
  };

  it('a process killed in the middle of a handler is taken over in seconds, and what it wrote happened once', async () => {
    const id = await node.engine.create(simple({ queue, action: 'write_and_hang' }));
    const child = await workerProcess('hanging');
    expect(await taskOf(id)).to.include({ status: 'executing', fence: 1, slot: true });
    const killed = Date.now();
    child.kill('SIGKILL');
    await once(child, 'exit');
    await another();
    const ended = await node.engine.ended(id);
    expect(Date.now() - killed).to.be.lessThan(5000);
    expect(ended).to.include({ status: 'finished', output: 'done by the survivor', fence: 2, takeovers: 1 });
    const { rows } = await node.database.knex.raw('select task, worker from effects');
    expect(rows).to.deep.equal([{ task: id, worker: 'survivor' }]);
  });

  it('a worker known to be dead by its name is not waited for', async () => {
    const id = await node.engine.create(simple({ queue, action: 'noop' }));
    const { store } = node.engine;
    await store.registerWorker('dead-worker', 'an earlier run', 3600);
    await store.claim({ queue, workerId: 'dead-worker', slots: 9, limit: 9, now: new Date() });
    await another({ isDeadWorker: (name) => name === 'an earlier run' });
    expect((await node.engine.ended(id)).status).to.equal('finished');
  });

  it('a task that kills every worker ends in an error after so many takeovers', async () => {
    const id = await node.engine.create(simple({ queue, action: 'noop' }));
    const { store } = node.engine;
    const engine = await another();
    await engine.stop();
    await node.database.knex.raw(
      `update tasks set status = 'executing', job = 'execute', job_queue = ?, worker_id = 'gone', fence = 7,
         takeovers = 5, slot = true where id = ?`,
      [queue, id],
    );
    ran.length = 0;
    await another();
    const ended = await until('it is given up', async () => {
      const task = await store.task(id);
      return task?.status === 'error' && task;
    });
    expect(ended.error).to.include({ code: 'worker_lost' });
    expect(ended.error!.message).to.contain('died 6 times');
    expect(ended).to.include({ slot: false, workerId: null });
    expect(ran).to.deep.equal([]);
  });

  it('what a worker reports whose task was taken over is refused, and its transaction rolled back', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    const engine = await another();
    await gate('entered').promise;
    const { workerId, fence } = await taskOf(id);
    // Another worker has the task now.
    await node.database.knex.raw(`update tasks set worker_id = 'other', fence = ? where id = ?`, [
      fence + 1,
      id,
    ]);
    await node.database.knex.raw(
      `insert into workers (id, name, lease_until) values ('other', 'other', now() + interval '1 hour')`,
    );
    expect(workerId).to.be.a('string');
    gate('leave').resolve();
    await until('the stale handler has returned', () => engine.busy === 0);
    expect(await taskOf(id)).to.include({ status: 'executing', workerId: 'other', output: null });
  });

  it('a lapsed lease: the handler is aborted, the worker goes on under a new one', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    const engine = await another();
    await gate('entered').promise;
    const before = await taskOf(id);
    // As another worker does with a lease that lapsed.
    await node.database.knex.raw('delete from workers');
    await until('it is claimed again', async () => (await taskOf(id)).fence > before.fence);
    gate('leave').resolve();
    expect(await node.engine.ended(id)).to.include({ status: 'finished', fence: before.fence + 1 });
    await until('both calls have returned', () => engine.busy === 0);
    expect(ran.map(({ action }) => action)).to.deep.equal(['gated', 'gated', 'left', 'left']);
    expect(ran.filter(({ aborted }) => aborted === true)).to.have.length(1);
  });

  it('a claim whose answer got lost is offered again (nobody works on what the database says is held)', async () => {
    await another();
    const { store } = node.engine;
    const lost = await node.engine.create(parallel([simple({ queue, action: 'gated' })]));
    await gate('entered').promise;
    const [child] = await store.childrenOf(lost);
    // The same worker, under a claim of which it never heard.
    await node.database.knex.raw('update tasks set fence = fence + 1 where id = ?', [child!.id]);
    await until('it is claimed anew', async () => (await taskOf(child!.id)).fence === child!.fence + 2);
    gate('leave').resolve();
    expect((await node.engine.ended(lost)).status).to.equal('finished');
  });

  it('a graceful stop gives the task back, without counting it as a death, and another worker has it at once', async () => {
    const id = await node.engine.create(simple({ queue, action: 'heeds' }));
    const engine = await another();
    await gate('entered').promise;
    await engine.stop(0);
    expect(await taskOf(id)).to.include({
      status: 'executing',
      job: 'execute',
      workerId: null,
      slot: false,
      takeovers: 0,
      attempt: 0,
    });
    const { rows } = await node.database.knex.raw('select * from workers');
    expect(rows).to.deep.equal([]);
  });

  it('while a stop waits for its handlers longer than a lease, nobody takes their tasks over', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    const engine = await another({ leaseSeconds: 1 });
    await gate('entered').promise;
    await another({ leaseSeconds: 1 });
    const { fence } = await taskOf(id);
    const stopping = engine.stop(20);
    const { rows: begun } = await node.database.knex.raw(`select now() + interval '3 seconds' as over`);
    await until('a lease that nobody renews is over, and the other worker has looked', async () => {
      const { rows } = await node.database.knex.raw('select now() > ? as over', [begun[0].over]);
      return rows[0].over as boolean;
    });
    expect(await taskOf(id)).to.include({ fence, status: 'executing' });
    gate('leave').resolve();
    await stopping;
    expect((await node.engine.ended(id)).fence).to.equal(fence);
  });

  it('a handler that ends within the grace counts; one that heeds nothing is left behind', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    const engine = await another();
    await gate('entered').promise;
    await engine.stop(0);
    expect(await taskOf(id)).to.include({ workerId: null, takeovers: 0, job: 'execute' });
    await another();
    await until('another has it', async () => (await taskOf(id)).fence === 2);
    gate('leave').resolve();
    expect(await node.engine.ended(id)).to.include({ status: 'finished', fence: 2 });
  });

  it('the concurrency of a queue holds over two engines', async () => {
    const children = Array.from({ length: 120 }, () => simple({ queue: 'narrow', action: 'count' }));
    const id = await node.engine.create(parallel(children));
    await Promise.all([another(), another()]);
    expect((await node.engine.ended(id)).childrenFinished).to.equal(120);
    expect(mostAtOnce).to.equal(3);
  });

  it('a process at its capacity waits without spinning, and takes up the rest', async () => {
    const children = Array.from({ length: 20 }, () => simple({ queue, action: 'gated' }));
    const id = await node.engine.create(parallel(children));
    const engine = await another({ capacity: 2 });
    await gate('entered').promise;
    await until('it is full', () => engine.busy === 2);
    // The event loop turns: a timer fires.
    await new Promise((resolve) => setImmediate(resolve));
    expect(engine.busy).to.equal(2);
    gate('leave').resolve();
    expect((await node.engine.ended(id)).status).to.equal('finished');
  });

  it('ready jobs are claimed in batches', async () => {
    const children = Array.from({ length: 50 }, () => simple({ queue, action: 'noop' }));
    const id = await node.engine.create(parallel(children));
    const claimed = await node.engine.store.claim({
      queue,
      workerId: 'batch',
      slots: 40,
      limit: 30,
      now: new Date(),
    });
    expect(claimed).to.have.length(30);
    const rest = await node.engine.store.claim({
      queue,
      workerId: 'batch',
      slots: 40,
      limit: 30,
      now: new Date(),
    });
    expect(rest).to.have.length(10);
    expect(new Set([...claimed, ...rest].map((task) => task.id)).size).to.equal(40);
    await another();
    expect((await node.engine.ended(id)).childrenFinished).to.equal(50);
  });
});

async function addressOf(node: TestNode) {
  const { rows } = await node.database.knex.raw('select current_database() as database');
  const { testServer } = await import('../support/postgresql.ts');
  return { ...(await testServer()).connection, database: rows[0].database };
}
