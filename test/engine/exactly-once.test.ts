import { expect } from 'chai';
import type { Knex } from 'knex';
import { Client } from 'pg';
import { defineTask, TaskError } from '../../lib/engine/definitions.ts';
import { parallel, sequential, simple } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';
import { testServer } from '../support/postgresql.ts';

describe('engine: what a handler writes happens exactly once (D14)', () => {
  const queue = 'work';
  let federation: TestFederation;
  let node: TestNode;
  let gates: Map<string, PromiseWithResolvers<void>>;
  let calls: string[];
  const gate = (name: string) => {
    const found = gates.get(name) ?? Promise.withResolvers<void>();
    gates.set(name, found);
    return found;
  };
  const write = async (transaction: Knex, text: string) =>
    void (await transaction.raw('insert into effects (text) values (?)', [text]));
  const definitions = () => [
    defineTask<string>({ queue, action: 'write' }, async (task, ctx) => {
      await write(await ctx.tx<Knex.Transaction>(), task.input);
      ctx.add(simple({ queue, action: 'noop', label: 'below' }));
      return 'written';
    }),
    defineTask({ queue, action: 'noop' }, () => {}),
    defineTask({ queue, action: 'throw' }, async (_task, ctx) => {
      await write(await ctx.tx<Knex.Transaction>(), 'never');
      ctx.add(simple({ queue, action: 'noop' }));
      throw new TaskError('after writing');
    }),
    defineTask({ queue, action: 'gated' }, async (task, ctx) => {
      calls.push(`gated ${task.attempt}`);
      await write(await ctx.tx<Knex.Transaction>(), `call ${calls.length}`);
      gate('entered').resolve();
      await gate('leave').promise;
    }),
    defineTask({ queue, action: 'gated_without' }, async () => {
      calls.push('gated_without');
      gate('entered').resolve();
      await gate('leave').promise;
      return 'kept';
    }),
    defineTask<number>({ queue, action: 'read_within' }, async (task, ctx) => {
      const transaction = await ctx.tx<Knex.Transaction>();
      await write(transaction, String(task.input));
      return (await ctx.siblings()).length;
    }),
    defineTask({ queue, action: 'not_awaited' }, (_task, ctx) => {
      void ctx.tx<Knex.Transaction>();
    }),
    defineTask({ queue, action: 'too_late' }, (_task, ctx) => {
      gate('leave')
        .promise.then(() => ctx.tx())
        .catch((thrown) => calls.push(String(thrown)));
    }),
    defineTask({ queue, action: 'swallow' }, async (_task, ctx) => {
      const transaction = await ctx.tx<Knex.Transaction>();
      await transaction.raw('select 1 / 0').catch(() => {});
    }),
    defineTask<string>({ queue, action: 'echo' }, (task) => task.input),
    defineTask({ queue, action: 'big' }, () => 1n as unknown as Json),
    defineTask({ queue, action: 'refused_connection' }, () => {
      throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    }),
  ];

  before(async () => {
    federation = new TestFederation();
    node = await federation.add('a', { definitions: definitions(), engine: { leaseSeconds: 2 } });
    await node.database.knex.raw('create table effects (text text)');
  });
  after(() => federation.close());
  beforeEach(async () => {
    gates = new Map();
    calls = [];
    await node.database.knex.raw('delete from effects');
  });

  const run = async (action: string, data: Json = null) =>
    node.engine.ended(await node.engine.create(simple({ queue, action, data })));
  const effects = async (): Promise<string[]> =>
    (await node.database.knex.raw('select text from effects order by text')).rows.map(
      ({ text }: { text: string }) => text,
    );
  /** Ends every connection of the node, as a database does that restarts. */
  const cutConnections = async () => {
    const { rows } = await node.database.knex.raw('select current_database() as name');
    const client = new Client((await testServer()).connection);
    await client.connect();
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
      rows[0].name,
    ]);
    await client.end();
    // The pool drops what it lost; the test's own statements are not what is tested.
    await until('every connection of the pool is a new one', () =>
      Promise.all(Array.from({ length: 10 }, () => node.database.knex.raw('select 1'))).then(
        () => true,
        () => false,
      ),
    );
  };

  it('its rows, its output and its subtasks are there together', async () => {
    const task = await run('write', 'once');
    expect(task).to.include({ status: 'finished', output: 'written', children: 1 });
    expect(await effects()).to.deep.equal(['once']);
    expect((await node.engine.store.childrenOf(task.id))[0]).to.include({ label: 'below' });
  });

  it('of a handler that throws nothing is there', async () => {
    const task = await run('throw');
    expect(task).to.include({ status: 'error', children: 0 });
    expect(await effects()).to.deep.equal([]);
  });

  it('of a handler whose task was cancelled meanwhile nothing is there', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    await gate('entered').promise;
    await node.engine.cancel(id, 'not needed');
    gate('leave').resolve();
    await until('it has returned', () => node.engine.busy === 0);
    expect((await node.engine.ended(id)).error).to.include({ code: 'cancelled' });
    expect(await effects()).to.deep.equal([]);
  });

  it('a database that cuts every connection in the middle costs no task: the call is repeated, its rows are there once', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    await gate('entered').promise;
    await cutConnections();
    gate('leave').resolve();
    const task = await node.engine.ended(id);
    expect(task).to.include({ status: 'finished', attempt: 0, takeovers: 1 });
    expect(calls).to.deep.equal(['gated 0', 'gated 0']);
    expect(await effects()).to.deep.equal(['call 2']);
  });

  it('nor does it cost the work of a handler that needs no database', async () => {
    const id = await node.engine.create(simple({ queue, action: 'gated_without' }));
    await gate('entered').promise;
    await cutConnections();
    gate('leave').resolve();
    expect(await node.engine.ended(id)).to.include({ output: 'kept', takeovers: 0 });
    expect(calls).to.deep.equal(['gated_without']);
  });

  it('a connection that somebody else refuses is the handler’s failure', async () => {
    const task = await run('refused_connection');
    expect(task.error).to.include({ code: 'handler_error' });
    expect(task.takeovers).to.equal(0);
  });

  it('many handlers with transactions that read through their context as well get by with the pool there is', async () => {
    const children = Array.from({ length: 60 }, (_, data) => simple({ queue, action: 'read_within', data }));
    const root = await node.engine.ended(await node.engine.create(parallel(children)));
    expect(root.status).to.equal('finished');
    expect(await effects()).to.have.length(60);
    expect((await node.engine.store.childrenOf(root.id)).map(({ output }) => output)).to.deep.equal(
      Array.from({ length: 60 }, () => 59),
    );
  });

  it('a transaction that nobody waited for is ended with its task', async () => {
    for (let times = 0; times < 12; times += 1)
      expect((await run('not_awaited')).status).to.equal('finished');
    // Claims hold one for a moment.
    await until('none is open', async () => {
      const { rows } = await node.database.knex.raw(
        `select 1 from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      );
      return rows.length === 0;
    });
  });

  it('a handler that has returned can open none', async () => {
    expect((await run('too_late')).status).to.equal('finished');
    gate('leave').resolve();
    await until('it was refused', () => calls.length > 0);
    expect(calls[0]).to.contain('the handler has returned');
  });

  it('a handler that goes on after its transaction failed has failed', async () => {
    const task = await run('swallow');
    expect(task.error!.message).to.contain('transaction failed');
    expect(task.takeovers).to.equal(0);
  });

  it('any text comes back as it was, U+0000 and lone surrogates too', async () => {
    for (const text of ['a\u0000b', '\ud800', '𝒳']) expect((await run('echo', text)).output).to.equal(text);
  });

  it('output that is no JSON fails the task, and says so', async () => {
    expect((await run('big')).error!.message).to.contain('must be JSON');
  });

  it('a tree that is asked for again, because its commit was in doubt, is there once', async () => {
    const before = (await node.tasks()).length;
    const made = node.engine.create(sequential([simple({ queue, action: 'noop' })]));
    await cutConnections();
    expect((await node.engine.ended(await made)).status).to.equal('finished');
    expect((await node.tasks()).length).to.equal(before + 2);
  });
});
