import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { defineContainer, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import type { IncomingMessage, Task } from '../../lib/engine/model.ts';
import { simple, synchronized, type TreeNode } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

/** What the performers and the director are told to do, by action or node. */
interface Script {
  /** Resolves when a performer's handler may end. */
  mayEnd: Promise<void>;
  reserve: (node: string, task: TaskView, ctx: HandlerContext) => Promise<Json> | Json;
  preExecute: (task: TaskView, ctx: HandlerContext) => Promise<void> | void;
}

describe('engine: synchronized tasks (FQ-T4, D16)', () => {
  const queue = 'performer_queue';
  const happened: string[] = [];
  let script: Script;
  let federation: TestFederation;
  const reservationData: Record<string, Json> = {};

  const definitions = (node: string) => [
    defineTask(
      { queue, action: 'sync.perform' },
      async (task) => {
        happened.push(`${node}:start`);
        await script.mayEnd;
        return { seen: task.input, lost: task.reservationLost };
      },
      {
        reserve: (task, ctx) => script.reserve(node, task, ctx),
        cancelReservation: (_task, _ctx) => void happened.push(`${node}:cancel`),
      },
    ),
    defineTask({ queue, action: 'sync.fail' }, () => {
      throw new TaskError('performing failed');
    }),
    defineContainer({
      name: 'director',
      newReservation: (child) => {
        happened.push(`new ${child.receiverUrl.slice(8, 9)}`);
        reservationData[child.id] = child.reservationData;
      },
      cancelledReservation: (child) => void happened.push(`cancelled ${child.receiverUrl.slice(8, 9)}`),
      preExecute: (task, ctx) => script.preExecute(task, ctx),
    }),
  ];

  before(async () => {
    federation = new TestFederation();
    const engine = { reservationTimeout: 30 };
    const queues = { [queue]: { maxThreads: 1 } };
    for (const name of ['a', 'b', 'c'])
      await federation.add(name, { definitions: definitions(name), engine, queues });
    await federation.add('d', { definitions: definitions('d'), engine: { reservationTimeout: 0.25 } });
  });
  after(() => federation.close());
  beforeEach(() => {
    happened.length = 0;
    for (const id of Object.keys(reservationData)) delete reservationData[id];
    federation.copies = () => 1;
    script = {
      mayEnd: Promise.resolve(),
      reserve: (node) => {
        happened.push(`${node}:reserve`);
        return { port: node === 'b' ? 6000 : 6010 };
      },
      preExecute: () => void happened.push('pre_execute'),
    };
  });

  const node = (name: string): TestNode => federation.nodes.get(name)!;
  const at = (name: string, options: Partial<Parameters<typeof simple>[0]> = {}): TreeNode =>
    simple({
      receiver: node(name).url,
      queue,
      action: 'sync.perform',
      data: { election: 17 },
      ...options,
    });
  const childrenOf = (director: string, id: string): Promise<Task[]> =>
    node(director).engine.store.childrenOf(id);
  const statusesOf = async (director: string, id: string) =>
    (await childrenOf(director, id)).map(({ status }) => status);
  const task = async (name: string, id: string) => (await node(name).engine.store.task(id))!;
  const send = (to: string, from: string, action: string, taskId: string, data: Json) =>
    node(to).engine.receive([message(from, action, taskId, data)]);
  const message = (from: string, action: string, taskId: string, data: Json): IncomingMessage => ({
    peerId: from,
    messageId: randomUUID(),
    senderUrl: node(from).url,
    queue: 'internal.frestq',
    action,
    taskId,
    data,
    infoText: null,
    pingbackDate: null,
    expirationDate: null,
    asyncData: null,
  });
  const hold = (action: string, to: string) => {
    federation.copies = (_from, receiver, { action: given }) => (given === action && receiver === to ? 0 : 1);
  };
  const letThrough = async () => {
    federation.copies = () => 1;
    for (const from of federation.nodes.keys())
      for (const to of federation.nodes.keys()) await federation.deliver(from, to);
  };

  it('all start together, when all have reserved, and each sees the reservations of all, as in the recorded exchange', async () => {
    let mayReserve = (): void => {};
    const blocked = new Promise<void>((resolve) => {
      mayReserve = resolve;
    });
    script.reserve = async (name) => {
      if (name === 'c') await blocked;
      happened.push(`${name}:reserve`);
      return { port: name === 'b' ? 6000 : 6010 };
    };
    script.preExecute = async (container, ctx) => {
      happened.push('pre_execute');
      for (const child of await ctx.childrenOf(container.id))
        ctx.setInput(child.id, { ...(child.input as object), reservation_data: { ...reservationData } });
    };
    const { engine } = node('a');
    const id = await engine.create(synchronized([at('a'), at('b'), at('c')], { handler: 'director' }));
    await until('two have reserved', async () => {
      const statuses = await statusesOf('a', id);
      return statuses.filter((status) => status === 'reserved').length === 2;
    });
    expect(happened).not.to.include.oneOf(['a:start', 'b:start']).and.not.include('pre_execute');
    mayReserve();
    expect(await engine.ended(id)).to.include({ status: 'finished', epoch: 1 });
    const children = await childrenOf('a', id);
    const [local, first, second] = children.map((child) => child.id);
    const expected = { [local!]: { port: 6010 }, [first!]: { port: 6000 }, [second!]: { port: 6010 } };
    for (const child of children)
      expect(child.output).to.deep.equal({
        seen: { election: 17, reservation_data: expected },
        lost: false,
      });
    expect(happened.indexOf('pre_execute')).to.be.lessThan(happened.indexOf('a:start'));
    expect(happened.filter((what) => what.startsWith('new'))).to.have.members(['new a', 'new b', 'new c']);
    expect(happened.filter((what) => what.endsWith('start'))).to.have.members([
      'a:start',
      'b:start',
      'c:start',
    ]);
  });

  it('messages of the exchange have the fields of the original’s, and ours beside them (FQ-I2…I4)', async () => {
    const { engine } = node('a');
    const seen = federation.delivered.length;
    const id = await engine.create(synchronized([at('b')]));
    await engine.ended(id);
    const sent = (action: string) =>
      federation.delivered.slice(seen).find(({ message: { action: given } }) => given === action)!.message;
    const [child] = await childrenOf('a', id);
    expect(sent('frestq.synchronize_task')).to.include({ taskId: child!.id, queue: 'internal.frestq' });
    expect(sent('frestq.synchronize_task').data).to.deep.include({
      task_id: child!.id,
      action: 'sync.perform',
      queue_name: queue,
      pingback_date: null,
      expiration_date: null,
      input_data: { election: 17 },
    });
    expect(sent('frestq.confirm_task_reservation').data).to.deep.equal({
      reservation_data: { port: 6000 },
      reservation_expiration_seconds: 30,
      epoch: 1,
    });
    expect(sent('frestq.execute_synchronized').data).to.deep.equal({
      action: 'sync.perform',
      queue_name: queue,
      input_data: { election: 17 },
      epoch: 1,
    });
  });

  it('every message twice changes nothing', async () => {
    federation.copies = () => 2;
    const { engine } = node('a');
    const id = await engine.create(synchronized([at('b'), at('c')], { handler: 'director' }));
    expect((await engine.ended(id)).status).to.equal('finished');
    expect(happened.filter((what) => what.endsWith(':start'))).to.have.members(['b:start', 'c:start']);
    expect(happened.filter((what) => what.endsWith(':reserve'))).to.have.members(['b:reserve', 'c:reserve']);
  });

  it('when one performer refuses, none starts, and the others free what they reserved (FQ-A6)', async () => {
    script.reserve = (name) => {
      if (name === 'c') throw new TaskError('no room');
      happened.push(`${name}:reserve`);
      return null;
    };
    const { engine } = node('a');
    const id = await engine.create(synchronized([at('a'), at('b'), at('c')]));
    const ended = await engine.ended(id);
    expect(ended.error).to.include({ code: 'subtasks_failed' });
    expect(ended.error!.message).to.contain('no room');
    const [, second] = await childrenOf('a', id);
    await until('the slots are free', async () =>
      (await Promise.all([task('b', second!.id), ...(await childrenOf('a', id))])).every(
        ({ slot, status }) => !slot && status === 'error',
      ),
    );
    expect(happened.filter((what) => what.endsWith('start'))).to.deep.equal([]);
    for (const name of ['a', 'b'])
      if (happened.includes(`${name}:reserve`)) expect(happened).to.include(`${name}:cancel`);
  });

  it('a refusal of preExecute ends it, and calls the reservations off', async () => {
    script.preExecute = () => {
      throw new TaskError('the ports clash');
    };
    const { engine } = node('a');
    const id = await engine.create(synchronized([at('b')], { handler: 'director' }));
    expect((await engine.ended(id)).error).to.include({ message: 'the ports clash' });
    await until('the performer freed its reservation', () => happened.includes('b:cancel'));
    const [child] = await childrenOf('a', id);
    await until('it ended', async () => (await task('b', child!.id)).status === 'error');
    expect((await task('b', child!.id)).slot).to.equal(false);
    expect(happened).not.to.include('b:start');
  });

  it('preExecute may edit the inputs of its own children only', async () => {
    script.preExecute = (_container, ctx) => ctx.setInput('another-task', { forged: true });
    const { engine } = node('a');
    const ended = await engine.ended(await engine.create(synchronized([at('b')], { handler: 'director' })));
    expect(ended.error!.message).to.contain('another-task is not a child');
  });

  it('a reservation that expires before the others reserve begins a new epoch, and in one of them all start', async () => {
    // d's reservations hold for a quarter of a second; c's invitation is on its way for longer.
    hold('frestq.synchronize_task', 'c');
    const { engine } = node('d');
    const id = await engine.create(synchronized([at('d'), at('c')], { handler: 'director' }));
    await until('the second epoch', async () => (await task('d', id)).epoch >= 2);
    await until(
      'both sides heard of it',
      () => happened.includes('cancelled d') && happened.includes('d:cancel'),
    );
    await letThrough();
    const ended = await engine.ended(id);
    expect(ended).to.include({ status: 'finished' });
    expect(ended.epoch).to.be.greaterThan(1);
    expect(happened.filter((what) => what.endsWith(':start'))).to.have.members(['d:start', 'c:start']);
  });

  it('a late confirmation of an earlier epoch counts for nothing', async () => {
    hold('frestq.synchronize_task', 'c');
    const { engine } = node('d');
    const id = await engine.create(synchronized([at('d'), at('c')]));
    const child = (await childrenOf('d', id))[1]!;
    await until('the second epoch', async () => (await task('d', id)).epoch >= 2);
    const [late] = await send('d', 'c', 'frestq.confirm_task_reservation', child.id, {
      reservation_data: 'late',
      reservation_expiration_seconds: 30,
      epoch: 1,
    });
    expect(late!.outcome).to.equal('ignored');
    expect(await task('d', child.id)).to.include({ status: 'syncing', reservationData: null });
    await engine.cancel(id, 'enough seen');
  });

  it('a notice under way when the epoch changes does not count for the new one', async () => {
    let entered = (): void => {};
    let leave = (): void => {};
    const inHook = new Promise<void>((resolve) => {
      entered = resolve;
    });
    const mayLeave = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const hooked = new TestFederation();
    try {
      const performers = definitions('x').slice(0, 1);
      const director = defineContainer({
        name: 'slow',
        newReservation: async (child) => {
          if (!child.receiverUrl.includes('//y.')) return;
          entered();
          await mayLeave;
        },
      });
      await hooked.add('x', { definitions: [...performers, director] });
      await hooked.add('y', { definitions: performers });
      await hooked.add('z', { definitions: performers });
      const x = hooked.nodes.get('x')!;
      const children = ['y', 'z'].map((name) =>
        simple({ receiver: hooked.nodes.get(name)!.url, queue, action: 'sync.perform' }),
      );
      const id = await x.engine.create(synchronized(children, { handler: 'slow' }));
      const [first, second] = await x.engine.store.childrenOf(id);
      await inHook;
      await until('z is counted', async () => (await x.engine.store.task(id))!.childrenReserved === 1);
      // z's reservation goes while the director hears of y's, and y, invited anew, does not confirm.
      hooked.copies = (_from, to) => (to === 'y' || to === 'z' ? 0 : 1);
      await x.engine.receive([
        {
          ...message('b', 'conclave.reservation_cancelled', second!.id, { epoch: 1, reason: 'test' }),
          peerId: 'z',
        },
      ]);
      leave();
      await until('the hook has returned', () => x.engine.busy === 0);
      expect(await x.engine.store.task(id)).to.include({
        epoch: 2,
        childrenReserved: 0,
        status: 'executing',
      });
      expect(await x.engine.store.task(first!.id)).to.include({ status: 'syncing', job: null });
    } finally {
      leave();
      await hooked.close();
    }
  });

  it('the order to start finds a performer that lost its reservation: it starts all the same, and knows', async () => {
    hold('frestq.execute_synchronized', 'b');
    const { engine } = node('a');
    const id = await engine.create(synchronized([at('b')]));
    const [child] = await childrenOf('a', id);
    await until('the start is decided', async () => (await task('a', child!.id)).status === 'confirmed');
    await send('b', 'a', 'conclave.cancel_reservation', child!.id, { epoch: 1, reason: 'test' });
    await until('b gave up', async () => (await task('b', child!.id)).status === 'created');
    await letThrough();
    expect((await engine.ended(id)).status).to.equal('finished');
    expect((await task('a', child!.id)).output).to.deep.equal({ seen: { election: 17 }, lost: true });
  });

  it('the order to start finds a performer that waits for a slot again: it starts all the same', async () => {
    let end = (): void => {};
    script.mayEnd = new Promise((resolve) => {
      end = resolve;
    });
    const blocking = await node('b').engine.create(simple({ queue, action: 'sync.perform' }));
    await until('the slot is taken', () => happened.includes('b:start'));
    const id = 'invited-by-an-original';
    const invitation = {
      action: 'sync.perform',
      queue_name: queue,
      input_data: 1,
      pingback_date: null,
      expiration_date: null,
    };
    await send('b', 'c', 'frestq.synchronize_task', id, invitation);
    expect(await task('b', id)).to.include({ status: 'syncing', job: 'reserve' });
    await send('b', 'c', 'frestq.execute_synchronized', id, { input_data: 2 });
    await until('it runs', async () => (await task('b', id)).status === 'executing');
    end();
    await node('b').engine.ended(blocking);
    expect((await node('b').engine.ended(id)).output).to.deep.equal({ seen: 2, lost: true });
  });

  it('an order for a task that was never invited has no effect', async () => {
    const id = await node('a').engine.create(at('b'));
    await until('it came', async () => (await node('b').engine.store.task(id)) !== undefined);
    const [receipt] = await send('b', 'a', 'frestq.execute_synchronized', id, { input_data: 'x' });
    expect(receipt!.outcome).to.equal('ignored');
    const [invited] = await send('b', 'a', 'frestq.synchronize_task', id, {
      action: 'sync.perform',
      queue_name: queue,
      input_data: 1,
      pingback_date: null,
      expiration_date: null,
    });
    expect(invited!.outcome).to.equal('ignored');
    expect((await node('a').engine.ended(id)).status).to.equal('finished');
    expect(happened).to.deep.equal(['b:start']);
  });

  it('two directors that want the same two slots do not deadlock: the younger gives way (wound–wait)', async () => {
    // Each director reserves its own slot first, and its invitation to the other is held until both have.
    hold('frestq.synchronize_task', 'b');
    const older = await node('a').engine.create(synchronized([at('a'), at('b')]));
    await until('a holds its slot', async () => (await statusesOf('a', older))[0] === 'reserved');
    federation.copies = (_from, _to, { action }) => (action === 'frestq.synchronize_task' ? 0 : 1);
    const younger = await node('b').engine.create(synchronized([at('b'), at('a')]));
    await until('b holds its slot', async () => (await statusesOf('b', younger))[0] === 'reserved');
    await letThrough();
    const ended = await Promise.all([node('a').engine.ended(older), node('b').engine.ended(younger)]);
    expect(ended.map(({ status }) => status)).to.deep.equal(['finished', 'finished']);
    expect(ended[1]!.epoch).to.be.greaterThan(1);
    expect(ended[0]!.epoch).to.equal(1);
  });

  it('three directors that wait for one slot get it by the age of their trees, not by when their invitations came', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    script.mayEnd = promise;
    const { engine } = node('a');
    const holding = await engine.create(synchronized([at('a')]));
    await until('the slot is held', () => happened.includes('a:start'));
    hold('frestq.synchronize_task', 'a');
    const oldest = await node('b').engine.create(synchronized([at('a', { data: 'oldest' })]));
    const younger = await engine.create(synchronized([at('a', { data: 'younger' })]));
    await until('the younger waits', async () => (await statusesOf('a', younger))[0] === 'syncing');
    await letThrough();
    await until('the oldest waits', async () =>
      (await node('a').tasks()).some(({ input }) => input === 'oldest'),
    );
    happened.length = 0;
    resolve();
    await Promise.all([engine.ended(holding), engine.ended(younger), node('b').engine.ended(oldest)]);
    // Each has reserved once: no slot was taken from anybody.
    expect(happened.filter((what) => what.startsWith('a:'))).to.deep.equal([
      'a:reserve',
      'a:start',
      'a:reserve',
      'a:start',
    ]);
    const [first, second] = await Promise.all([
      node('b').engine.store.task(oldest),
      engine.store.task(younger),
    ]);
    expect([first?.epoch, second?.epoch]).to.deep.equal([1, 1]);
    expect(first!.modifiedDate.getTime()).to.be.lessThan(second!.modifiedDate.getTime());
  });

  it('with a quorum, a missing peer is waited for so long, and left out (D16)', async () => {
    hold('frestq.synchronize_task', 'c');
    const { engine } = node('a');
    const id = await engine.create(
      synchronized([at('a'), at('b'), at('c')], { quorum: 2, quorumWait: 0.05 }),
    );
    expect((await engine.ended(id)).status).to.equal('finished');
    expect(await statusesOf('a', id)).to.deep.equal(['finished', 'finished', 'error']);
    await letThrough();
    expect(happened.filter((what) => what.endsWith(':start'))).to.have.members(['a:start', 'b:start']);
  });

  it('with a quorum, a reservation that failed is not counted for the start', async () => {
    hold('frestq.synchronize_task', 'c');
    const { engine } = node('a');
    const id = await engine.create(synchronized([at('a'), at('b'), at('c')], { quorum: 2, quorumWait: 60 }));
    const children = await childrenOf('a', id);
    await until('two have reserved', async () => (await task('a', id)).childrenReserved === 2);
    await send('a', 'b', 'frestq.update_task', children[1]!.id, { status: 'error', output_data: null });
    expect(await task('a', id)).to.include({ childrenReserved: 1, childrenFailed: 1, status: 'executing' });
    await letThrough();
    expect((await engine.ended(id)).status).to.equal('finished');
    expect(await statusesOf('a', id)).to.deep.equal(['finished', 'error', 'finished']);
  });

  it('invitations waiting for slots never hide the job that frees one', async () => {
    const { engine, database } = node('a');
    let end = (): void => {};
    script.mayEnd = new Promise((resolve) => {
      end = resolve;
    });
    // One reservation holds the only slot; more jobs than one claim takes wait for it.
    hold('frestq.synchronize_task', 'b');
    const first = await engine.create(synchronized([at('a'), at('b')]));
    await until('it is reserved', async () => (await statusesOf('a', first))[0] === 'reserved');
    await engine.create(
      synchronized(
        Array.from({ length: 600 }, () => simple({ queue, action: 'sync.perform' })),
        { handler: 'director', quorum: 1 },
      ),
    );
    await database.knex.raw(`update tasks set run_at = run_at - interval '1 hour' where job = 'reserve'`);
    await engine.cancel(first, 'frees the slot');
    await until('the slot was freed', () => happened.includes('a:cancel'));
    end();
    const roots = (
      await database.knex.raw(`select id from tasks where parent_id is null and status = 'executing'`)
    ).rows as { id: string }[];
    for (const { id } of roots) await engine.cancel(id, 'the test is over');
  });

  it('given more tasks at once than their queue runs here, when they are created, then that is refused, unless a quorum fits', async () => {
    const { engine } = node('a');
    const two = () => [1, 2].map(() => simple({ queue, action: 'sync.perform' }));
    const refused = await engine.create(synchronized(two())).catch((thrown) => thrown);
    expect(refused).to.include({ code: 'invalid_tree' });
    expect(refused.message).to.include('2 tasks of the queue performer_queue').and.to.include('max_threads');
    const nested = await engine.create(synchronized([at('b'), ...two()])).catch((thrown) => thrown);
    expect(nested).to.include({ code: 'invalid_tree' });
    const root = await engine.create(synchronized(two(), { quorum: 1 }));
    await engine.cancel(root, 'the test is over');
  });
});
