/** The contract of `lib/engine/store.ts`: what the engine relies on holds for PostgreSQL and under simulation alike. */
import { expect } from 'chai';
import type { IncomingMessage, OutgoingMessage, Task } from '../../lib/engine/model.ts';
import { blankTask } from '../../lib/engine/tree.ts';
import { HANDLER_TRANSACTIONS, STORES, type TestedStore } from './stores.ts';

const T0 = new Date('2030-01-01T00:00:00.000Z');
const at = (seconds: number): Date => new Date(T0.getTime() + seconds * 1000);

function task(id: string, changes: Partial<Task> = {}): Task {
  return { ...blankTask(id, T0), queue: 'q', action: 'act', ...changes };
}

function job(id: string, changes: Partial<Task> = {}): Task {
  return task(id, { job: 'execute', jobQueue: 'q', runAt: T0, ...changes });
}

function incoming(messageId: string, peerId = 'p'): IncomingMessage {
  const dates = { pingbackDate: null, expirationDate: null, asyncData: null, infoText: null };
  return {
    peerId,
    messageId,
    senderUrl: 'https://p',
    queue: 'q',
    action: 'act',
    taskId: 't',
    data: 1,
    ...dates,
  };
}

function outgoing(messageId: string, taskId: string | null, peerId = 'p'): OutgoingMessage {
  const dates = { pingbackDate: null, expirationDate: null, asyncData: null, infoText: null, deadline: null };
  return { messageId, peerId, queue: 'q', action: 'act', taskId, data: { of: messageId }, ...dates };
}

for (const { name, open } of STORES) {
  describe(`engine store: ${name}`, function () {
    this.timeout(20_000);
    let store: TestedStore;
    before(async () => {
      store = await open();
    });
    beforeEach(() => store.empty());
    after(() => store.close());

    const insert = (...tasks: Task[]): Promise<void> =>
      store.engine.transaction((transaction) => transaction.insertTasks(tasks));
    const change = (id: string, changes: Partial<Task>): Promise<void> =>
      store.engine.transaction(async (transaction) => {
        const tasks = await transaction.lock([id]);
        const before = tasks.find((one) => one.id === id)!;
        await transaction.updateTasks([{ before, after: { ...before, ...changes } }]);
      });
    const claim = (limit = 10, slots = 10, now = at(1)) =>
      store.engine.claim({ queue: 'q', workerId: 'w', slots, limit, now });
    const ids = (tasks: readonly { id: string }[]): string[] => tasks.map(({ id }) => id).sort();

    it('given a task with everything, when it is read, then it is the same', async () => {
      const whole = task('t', {
        type: 'synchronized',
        input: { deep: [1, null, 'ä'] },
        output: 'out',
        reservationData: [true],
        metadata: { handler: 'h', counted: 2 },
        error: { code: 'cancelled', message: 'why', data: { x: 1 } },
        progress: 0.5,
        expirationDate: at(9),
        pingbackDate: at(8),
        quorum: 2,
        fence: 3,
        priority: 'p',
        infoText: 'info',
        peerId: 'p',
        label: 'l',
      });
      await insert(whole);
      expect(await store.engine.task('t')).to.deep.equal(whole);
      expect(await store.engine.task('other')).to.equal(undefined);
    });

    it('given work that throws, when its transaction ends, then nothing of it is there', async () => {
      const failed = store.engine.transaction(async (transaction) => {
        await transaction.insertTasks([task('t')]);
        await transaction.recordOutgoing([outgoing('m', 't')], T0);
        throw new Error('no');
      });
      await failed.then(
        () => expect.fail(),
        (thrown) => expect(thrown).to.have.property('message', 'no'),
      );
      expect(await store.engine.task('t')).to.equal(undefined);
      expect(await store.outbox.peersWithPendingMessages()).to.deep.equal([]);
    });

    it('given an open transaction, when others read, then they see what was before; itself, what it did', async () => {
      await insert(task('t'));
      const open = await store.engine.begin(new AbortController().signal);
      const [locked] = await open.engine.lock(['t']);
      await open.engine.updateTasks([{ before: locked!, after: { ...locked!, status: 'executing' } }]);
      await open.engine.insertTasks([task('child', { rootId: 't', parentId: 't' })]);
      expect((await open.task('t'))?.status).to.equal('executing');
      expect(ids(await open.childrenOf('t'))).to.deep.equal(['child']);
      expect((await store.engine.task('t'))?.status).to.equal('created');
      expect(await store.engine.childrenOf('t')).to.deep.equal([]);
      expect(await open.isAlive()).to.equal(true);
      await open.commit();
      expect((await store.engine.task('t'))?.status).to.equal('executing');
      expect(ids(await store.engine.childrenOf('t'))).to.deep.equal(['child']);
    });

    it('given an open transaction, when it is rolled back, then nothing of it is there, and its tree is free', async () => {
      await insert(task('t'));
      const open = await store.engine.begin(new AbortController().signal);
      const [locked] = await open.engine.lock(['t']);
      await open.engine.updateTasks([{ before: locked!, after: { ...locked!, status: 'executing' } }]);
      await open.rollback();
      await change('t', { output: 'free' });
      expect(await store.engine.task('t')).to.include({ status: 'created', output: 'free' });
    });

    it('given a tree, when a task of it is locked, then its root, all above it, and what comes next are there', async () => {
      await insert(
        task('root'),
        task('above', { rootId: 'root', parentId: 'root', order: 0 }),
        task('named', { rootId: 'root', parentId: 'above', order: 0 }),
        task('next', { rootId: 'root', parentId: 'above', order: 1 }),
        task('later', { rootId: 'root', parentId: 'above', order: 2 }),
        task('uncle', { rootId: 'root', parentId: 'root', order: 1 }),
        task('other'),
      );
      await store.engine.transaction(async (transaction) => {
        const locked = await transaction.lock(['named', 'nowhere']);
        expect(ids(locked)).to.deep.equal(['above', 'named', 'next', 'root', 'uncle']);
        expect(ids(await transaction.load(['later']))).to.deep.equal(['later']);
        const byOrder = [{ parentId: 'above', match: { order: 2 } }];
        expect(ids(await transaction.children(byOrder))).to.deep.equal(['later']);
        const byStatus = [{ parentId: 'root', match: { statuses: ['created' as const] } }];
        expect(ids(await transaction.children(byStatus))).to.deep.equal(['above', 'uncle']);
      });
    });

    it('given a locked tree, when another wants it, then that one waits, and sees what was committed', async () => {
      await insert(task('t'));
      const open = await store.engine.begin(new AbortController().signal);
      const [locked] = await open.engine.lock(['t']);
      const waiting = store.engine.transaction(async (transaction) => (await transaction.lock(['t']))[0]);
      await open.engine.updateTasks([{ before: locked!, after: { ...locked!, output: 'first' } }]);
      await open.commit();
      expect((await waiting)?.output).to.equal('first');
    });

    it('given one task inserted twice, when both commit, then the second runs again and finds it', async () => {
      await insert(task('t'));
      let attempts = 0;
      const found = await store.engine.transaction(async (transaction) => {
        attempts += 1;
        if (attempts === 1) await transaction.insertTasks([task('t')]);
        return transaction.lock(['t']);
      });
      expect([attempts, ids(found)]).to.deep.equal([2, ['t']]);
    });

    it('given ready jobs, when they are claimed, then the oldest first, with a new fence, a slot and a holder', async () => {
      await insert(
        job('b', { runAt: at(-2), fence: 7 }),
        job('a', { runAt: at(-1) }),
        job('c'),
        job('later', { runAt: at(60) }),
        job('held', { workerId: 'x' }),
        job('elsewhere', { jobQueue: 'r', queue: 'r' }),
        job('notice', { job: 'pre_execute', status: 'executing', runAt: at(-9) }),
      );
      const claimed = await claim(3);
      expect(ids(claimed)).to.deep.equal(['a', 'b', 'notice']);
      const b = claimed.find(({ id }) => id === 'b');
      expect(b).to.include({ fence: 8, slot: true, status: 'executing', workerId: 'w' });
      expect(claimed.find(({ id }) => id === 'notice')).to.include({ slot: false, status: 'executing' });
      expect(await store.engine.task('b')).to.deep.equal(b);
      expect(ids(await claim())).to.deep.equal(['c']);
    });

    it('given a queue with few slots, when jobs are claimed, then no more than that; a start that lost its own goes first', async () => {
      await insert(
        job('taken', { slot: true, workerId: 'x', status: 'executing' }),
        job('start', { epoch: 2, status: 'confirmed', runAt: at(0.5) }),
        job('one'),
        job('two'),
        job('reserving', { job: 'reserve', status: 'syncing', runAt: at(0.5) }),
      );
      expect(ids(await claim(10, 3))).to.deep.equal(['one', 'start']);
      expect(await claim(10, 3)).to.deep.equal([]);
      expect((await claim(10, 5)).map(({ id, slot }) => [id, slot])).to.deep.include(['two', true]);
    });

    it('given reservations that wait, when a slot is free for one, then the oldest tree has it, however late it came', async () => {
      const reserve = (id: string, runAt: Date, priority: string): Task =>
        job(id, { job: 'reserve', status: 'syncing', type: 'sequential', epoch: 1, runAt, priority });
      await insert(
        reserve('young', T0, '2030-01-01T00:00:00.300Z young'),
        job('start', { runAt: at(0.1) }),
        reserve('later', at(2), '2030-01-01T00:00:00.000Z later'),
        reserve('old', at(0.9), '2030-01-01T00:00:00.100Z old'),
        reserve('middle', at(0.2), '2030-01-01T00:00:00.200Z middle'),
      );
      expect(ids(await claim(10, 1))).to.deep.equal(['old']);
      // The turn of all others is as it was.
      expect(ids(await claim(10, 3))).to.deep.equal(['middle', 'start']);
      expect(ids(await claim(10, 4))).to.deep.equal(['young']);
      expect(await claim(10, 9)).to.deep.equal([]);
    });

    it('given a task that a transaction has locked, when jobs are claimed, then it is passed over', async () => {
      await insert(job('locked'), job('free'));
      const open = await store.engine.begin(new AbortController().signal);
      await open.engine.lock(['locked']);
      expect(ids(await claim())).to.deep.equal(['free']);
      const holding = { id: 'locked', workerId: 'w', fence: 0, progress: 1 };
      expect(await store.engine.reportProgress([holding])).to.deep.equal([]);
      await open.rollback();
      expect(ids(await claim())).to.deep.equal(['locked']);
    });

    it('given reservations and older trees that wait, when slots are full, then the youngest give way, one each', async () => {
      const reserved = { status: 'reserved', slot: true, epoch: 1 } as const;
      const waiting = { job: 'reserve', status: 'syncing', epoch: 1 } as const;
      await insert(
        task('young', { ...reserved, priority: '3' }),
        task('middle', { ...reserved, priority: '2' }),
        job('old', { ...waiting, priority: '1' }),
        job('youngest', { ...waiting, priority: '9' }),
      );
      const wounded = (slots: number) => store.engine.wounded({ queue: 'q', slots, now: at(1) });
      expect(await wounded(2)).to.deep.equal([{ id: 'young', epoch: 1 }]);
      expect(await wounded(3)).to.deep.equal([]);
    });

    it('given jobs, when it is asked which queues are ready and how many wait, then it says so', async () => {
      await insert(job('a'), job('b', { runAt: at(60) }), job('c', { workerId: 'x' }));
      expect(await store.engine.ready(['q', 'r'], at(1))).to.deep.equal(['q']);
      expect(await store.engine.ready(['q'], at(-1))).to.deep.equal([]);
      expect(await store.engine.waiting('q', 10)).to.equal(2);
      expect(await store.engine.waiting('q', 1)).to.equal(1);
    });

    it('given workers, when a lease lapses or is removed, then what it held is nobody’s', async () => {
      await store.engine.registerWorker('w', 'one', 60);
      await store.engine.registerWorker('x', 'two', -1);
      await insert(job('a', { workerId: 'w', fence: 1 }), job('b', { workerId: 'x', fence: 2 }));
      expect(await store.engine.heldBy('w')).to.deep.equal([{ id: 'a', workerId: 'w', fence: 1 }]);
      expect(await store.engine.orphans()).to.deep.equal([{ id: 'b', workerId: 'x', fence: 2 }]);
      expect(await store.engine.workers()).to.deep.equal([{ id: 'w', name: 'one' }]);
      expect(await store.engine.renewLease('x', 60)).to.equal(false);
      expect(await store.engine.renewLease('w', 60)).to.equal(true);
      await store.engine.removeWorker('w');
      expect(ids(await store.engine.orphans())).to.deep.equal(['a', 'b']);
    });

    it('given progress, when the claim still holds, then it is stored, otherwise not', async () => {
      await insert(job('t', { workerId: 'w', fence: 4 }));
      const report = { id: 't', workerId: 'w', progress: { done: 1 } };
      expect(await store.engine.reportProgress([{ ...report, fence: 3 }])).to.deep.equal([]);
      expect(await store.engine.reportProgress([{ ...report, fence: 4 }])).to.deep.equal(['t']);
      expect((await store.engine.task('t'))?.progress).to.deep.equal({ done: 1 });
    });

    it('given a message that was recorded, when it is asked for, then of that peer only; recorded again, then never', async () => {
      const record = (message: IncomingMessage) =>
        store.engine.transaction((transaction) =>
          transaction.recordIncoming([{ message, taskId: 't', status: 200, failure: null }], T0),
        );
      await record(incoming('m'));
      const seen = await store.engine.transaction((transaction) =>
        transaction.processed([incoming('m'), incoming('m', 'other'), incoming('n')]),
      );
      expect([...seen]).to.deep.equal(['p/m']);
      await record(incoming('m', 'other'));
      const twice: { code?: string } = await record(incoming('m')).catch((thrown) => thrown);
      expect(twice.code).to.equal('23505');
    });

    it('given messages, when they are withdrawn or buried, then those that were tried are not withdrawn', async () => {
      await store.addPeer('p');
      await insert(task('t'), task('u'));
      await store.engine.transaction((transaction) =>
        transaction.recordOutgoing([outgoing('tried', 't'), outgoing('buried', 'u')], T0),
      );
      const take = (limit: number) =>
        store.outbox.takeMessages({ peerId: 'p', limit, now: at(1), leaseUntil: at(2) });
      expect((await take(1)).map(({ messageId }) => messageId)).to.deep.equal(['tried']);
      await store.engine.transaction(async (transaction) => {
        await transaction.recordOutgoing([outgoing('untried', 't')], T0);
      });
      await store.engine.transaction(async (transaction) => {
        await transaction.withdraw(['t'], T0);
        await transaction.bury([{ messageId: 'buried', failure: { code: 'x', message: 'y' } }], T0);
      });
      const left = await store.outbox.takeMessages({ peerId: 'p', limit: 9, now: at(9), leaseUntil: at(10) });
      expect(left.map(({ messageId }) => messageId)).to.deep.equal(['tried']);
    });

    it('given timers, when they are set, cleared and taken, then each is taken once', async () => {
      await insert(task('t'), task('u'));
      await store.engine.transaction((transaction) =>
        transaction.setTimers([
          { taskId: 't', kind: 'expiration', fireAt: at(1), epoch: 0 },
          { taskId: 't', kind: 'reservation', fireAt: at(2), epoch: 5 },
          { taskId: 'u', kind: 'quorum', fireAt: at(3), epoch: 1 },
        ]),
      );
      expect(await store.engine.nextDue()).to.deep.equal(at(1));
      await store.engine.transaction((transaction) =>
        transaction.clearTimers([
          { taskId: 't', kinds: ['expiration', 'pingback'] },
          { taskId: 'u', kinds: 'all' },
        ]),
      );
      expect(await store.engine.dueTimers(at(1), 10)).to.deep.equal([]);
      const [due] = await store.engine.dueTimers(at(9), 10);
      expect(due).to.include({ taskId: 't', kind: 'reservation', epoch: 5 });
      const taken = () => store.engine.transaction((transaction) => transaction.takeTimers([due!.timerId]));
      expect([...(await taken())]).to.deep.equal([due!.timerId]);
      expect([...(await taken())]).to.deep.equal([]);
      expect(await store.engine.nextDue()).to.equal(null);
    });

    it('given handlers that all want a transaction, when one waits and its task ends, then it waits no more', async () => {
      const never = new AbortController().signal;
      const open = [];
      for (let count = 0; count < HANDLER_TRANSACTIONS; count += 1)
        open.push(await store.engine.begin(never));
      const abort = new AbortController();
      const waiting = store.engine.begin(abort.signal).catch((thrown) => thrown);
      const next = store.engine.begin(never);
      abort.abort(new Error('it ended'));
      expect(await waiting).to.have.property('message', 'it ended');
      await open.shift()!.rollback();
      open.push(await next);
      for (const transaction of open) await transaction.rollback();
    });
  });
}
