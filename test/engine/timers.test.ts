import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import { external, sequential, simple } from '../../lib/engine/tree.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

describe('engine: timers (D17, 1A.7 pingback and expiration never acted on)', () => {
  const queue = 'work';
  let federation: TestFederation;
  let leave: PromiseWithResolvers<void>;
  let aborted: string[];
  const definitions = (name: string) => [
    defineTask({ queue, action: 'gated' }, async (_task, ctx) => {
      ctx.signal.addEventListener('abort', () => aborted.push(name), { once: true });
      await leave.promise;
      return 'done';
    }),
    defineTask({ queue, action: 'twice', idempotent: true }, () => 'again'),
    defineTask({ queue, action: 'told' }, async (_task, ctx) => {
      ctx.progress({ done: 1, total: 4 });
      await leave.promise;
    }),
    defineTask(
      { queue, action: 'retried', retry: { attempts: 3, initialDelay: 40, maximalDelay: 60 } },
      (task) => {
        throw new Error(`attempt ${task.attempt}`);
      },
    ),
  ];

  before(async () => {
    federation = new TestFederation();
    await federation.add('a', { definitions: definitions('a') });
    await federation.add('b', { definitions: definitions('b') });
  });
  after(async () => {
    leave.resolve();
    await federation.close();
  });
  beforeEach(() => {
    leave = Promise.withResolvers();
    aborted = [];
    federation.copies = () => 1;
    federation.dialects.clear();
  });

  const node = (name: string): TestNode => federation.nodes.get(name)!;
  const soon = (milliseconds: number) => new Date(Date.now() + milliseconds);
  const timersOf = async (name: string, id: string) =>
    (await node(name).database.knex.raw('select kind from timers where task_id = ?', [id])).rows;
  const messagesTo = (to: string, action: string, id: string) =>
    federation.delivered.filter(
      ({ to: receiver, message }) => receiver === to && message.action === action && message.taskId === id,
    );

  it('a sent task that expires ends here and at the peer, whose handler is aborted', async () => {
    const receiver = node('b').url;
    const id = await node('a').engine.create(
      simple({ receiver, queue, action: 'gated', expirationDate: soon(200) }),
    );
    const ended = await node('a').engine.ended(id);
    expect(ended.error).to.include({ code: 'expired' });
    await until('the handler was aborted', () => aborted.includes('b'));
    expect((await node('b').engine.ended(id)).status).to.equal('error');
    expect(await timersOf('a', id)).to.deep.equal([]);
    expect(await timersOf('b', id)).to.deep.equal([]);
  });

  it('a message of a task that expired before it was sent is never sent, and the peer is not bothered', async () => {
    federation.copies = () => 0;
    const receiver = node('b').url;
    const id = await node('a').engine.create(
      simple({ receiver, queue, action: 'gated', expirationDate: soon(50) }),
    );
    await node('a').engine.ended(id);
    const { rows } = await node('a').database.knex.raw(
      'select action, state from messages where task_id = ? order by seq',
      [id],
    );
    expect(rows).to.deep.equal([
      { action: 'gated', state: 'withdrawn' },
      { action: 'conclave.cancel_task', state: 'pending' },
    ]);
    federation.copies = () => 1;
    await federation.deliver('a', 'b');
    expect(messagesTo('b', 'conclave.cancel_task', id)[0]!.receipt.outcome).to.equal('ignored');
    expect(await node('b').engine.store.task(id)).to.equal(undefined);
  });

  it('a task that ended has no timers left', async () => {
    const id = await node('a').engine.create(
      sequential([external({ label: 'x', expirationDate: soon(60_000) })], { expirationDate: soon(60_000) }),
    );
    const [child] = await node('a').engine.store.childrenOf(id);
    expect(await timersOf('a', child!.id)).to.deep.equal([{ kind: 'expiration' }]);
    await node('a').engine.finishExternal(child!.id, null);
    expect(await timersOf('a', child!.id)).to.deep.equal([]);
    expect(await timersOf('a', id)).to.deep.equal([]);
  });

  it('at its pingback date the peer is asked, and again later; its answer counts though its update was lost', async () => {
    federation.copies = (from, _to, { action }) => (from === 'b' && action === 'frestq.update_task' ? 0 : 1);
    const receiver = node('b').url;
    const id = await node('a').engine.create(
      simple({ receiver, queue, action: 'gated', pingbackDate: soon(100) }),
    );
    await until('it was asked', () => messagesTo('b', 'conclave.query_task', id).length > 0);
    expect(await timersOf('a', id)).to.deep.equal([{ kind: 'pingback' }]);
    leave.resolve();
    await node('b').engine.ended(id);
    // The update of its end is gone for good; the answer to the next question is not.
    await node('b').database.knex.raw(`delete from messages where task_id = ? and not is_received`, [id]);
    federation.copies = () => 1;
    expect(await node('a').engine.ended(id)).to.include({ status: 'finished', output: 'done' });
    expect(messagesTo('b', 'conclave.query_task', id).length).to.be.greaterThan(1);
    expect(await timersOf('a', id)).to.deep.equal([]);
  });

  it('an original, which cannot answer, is sent the task again if that does no harm', async () => {
    federation.dialects.set('b', 'frestq');
    federation.copies = (_from, to) => (to === 'b' ? 1 : 0);
    const receiver = node('b').url;
    const pingbackDate = soon(100);
    const again = await node('a').engine.create(simple({ receiver, queue, action: 'twice', pingbackDate }));
    const once = await node('a').engine.create(simple({ receiver, queue, action: 'gated', pingbackDate }));
    await until('it was sent again', () => messagesTo('b', 'twice', again).length > 1);
    expect(messagesTo('b', 'gated', once)).to.have.length(1);
    expect(messagesTo('b', 'conclave.query_task', once)).to.have.length(0);
    await node('a').engine.cancel(again, 'the test is over');
    await node('a').engine.cancel(once, 'the test is over');
  });

  it('a peer that has lost the task says so, and the task ends', async () => {
    const receiver = node('b').url;
    const id = await node('a').engine.create(
      simple({ receiver, queue, action: 'gated', pingbackDate: soon(200) }),
    );
    await until('b has it', async () => (await node('b').engine.store.task(id)) !== undefined);
    leave.resolve();
    federation.copies = (from) => (from === 'b' ? 0 : 1);
    await node('b').engine.ended(id);
    await node('b').database.knex.raw('delete from tasks where id = ?', [id]);
    expect((await node('a').engine.ended(id)).error).to.include({ code: 'task_not_found' });
  });

  it('the sender sees the progress that the receiver’s handler reports (FQ-T9)', async () => {
    const receiver = node('b').url;
    const id = await node('a').engine.create(simple({ receiver, queue, action: 'told' }));
    await until('a has seen it', async () => {
      const { progress } = (await node('a').engine.store.task(id))!;
      return (progress as { done?: number } | null)?.done === 1;
    });
    leave.resolve();
    expect((await node('a').engine.ended(id)).status).to.equal('finished');
  });

  it('a handler that throws is called again after a pause that grows, as often as its action says (D15)', async () => {
    const id = await node('a').engine.create(simple({ queue, action: 'retried' }));
    const waiting = await until('the first retry waits', async () => {
      const task = await node('a').engine.store.task(id);
      return task?.attempt === 1 && task.workerId === null && task;
    });
    const pause = waiting.runAt.getTime() - waiting.modifiedDate.getTime();
    expect(pause).to.be.within(20, 40);
    expect(waiting).to.include({ slot: false, status: 'executing' });
    const ended = await node('a').engine.ended(id);
    expect(ended.error!.message).to.contain('attempt 2');
  });

  it('a timer that cannot be applied keeps no other from firing, and no retry from its turn', async () => {
    const { knex } = node('a').database;
    const broken = await node('a').engine.create(external({ label: 'broken', expirationDate: soon(60_000) }));
    // A row that the engine cannot have written.
    await knex.raw(`update tasks set task_metadata = 'null' where id = ?`, [broken]);
    await knex.raw(`update timers set fire_at = now() where task_id = ?`, [broken]);
    const id = await node('a').engine.create(external({ label: 'other', expirationDate: soon(100) }));
    expect((await node('a').engine.ended(id)).error).to.include({ code: 'expired' });
    const retried = await node('a').engine.create(simple({ queue, action: 'retried' }));
    expect((await node('a').engine.ended(retried)).attempt).to.equal(2);
    expect((await node('a').engine.store.task(broken))!.status).to.equal('executing');
    await knex.raw('delete from timers where task_id = ?', [broken]);
  });
});
