import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import type { Task } from '../../lib/engine/model.ts';
import { blankTask, external, parallel, sequential, simple, synchronized } from '../../lib/engine/tree.ts';
import { type Awaited, type WhyFacts, why } from '../../lib/engine/why.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

const at = (minute: number) => new Date(Date.UTC(2030, 0, 1, 12, minute));
const facts = (task: Partial<Task>, more: Partial<WhyFacts> = {}): WhyFacts => ({
  now: at(30),
  task: { ...blankTask('0123456789abcdef', at(0)), action: 'act', queue: 'work', ...task },
  peer: null,
  pending: [],
  timers: [],
  worker: null,
  holders: [],
  slots: 2,
  unfinishedChildren: 0,
  previous: null,
  dead: null,
  told: null,
  heard: null,
  director: null,
  lost: null,
  accepted: [],
  ...more,
});
const context = { node: { name: 'Alpha' }, repeats: () => false };
const sent = { isLocal: false, peerId: 'b', status: 'sent' } as const;
const peer = {
  name: 'Beta',
  url: 'https://beta.test:5000/api/queues',
  dialect: 'conclave',
  downSince: null,
  nextAttempt: null,
  lastError: null,
} as const;
const ready = { job: 'execute', jobQueue: 'work', runAt: at(5) } as const;
const message = { attempts: 0, nextAttempt: at(31), created: at(20), error: null };
const failed = { code: 'x', message: 'no luck' };

/** What is known, and what is said of it. */
const CASES: [string, WhyFacts, Awaited, string][] = [
  ['finished', facts({ status: 'finished' }), 'nothing', 'has finished at 2030-01-01T12:00:00.000Z'],
  [
    'error',
    facts({ status: 'error', error: failed }),
    'nothing',
    'ended with an error at 2030-01-01T12:00:00.000Z: no luck',
  ],
  [
    'a peer that is down',
    facts(sent, {
      peer: { ...peer, downSince: at(10), nextAttempt: at(32), lastError: 'connection refused' },
      pending: [{ ...message, attempts: 4 }],
    }),
    'peer',
    'Beta does not answer since 2030-01-01T12:10:00.000Z (connection refused); the next attempt is at 2030-01-01T12:32:00.000Z',
  ],
  [
    'a message that is refused for now',
    facts(sent, {
      peer,
      pending: [{ ...message, attempts: 2, error: { code: 'x', message: 'the queue is full' } }],
    }),
    'delivery',
    'its message to Beta was tried 2 times (the queue is full); again at 2030-01-01T12:31:00.000Z',
  ],
  [
    'a new message',
    facts(sent, { peer, pending: [message] }),
    'delivery',
    'its message to Beta is about to be sent, since 2030-01-01T12:20:00.000Z',
  ],
  [
    'a peer that has it',
    facts(sent, { peer, timers: [{ kind: 'expiration', fireAt: at(50) }] }),
    'peer',
    'Beta has it since 2030-01-01T12:00:00.000Z, and has not reported yet; it expires at 2030-01-01T12:50:00.000Z',
  ],
  [
    'a peer that executes',
    facts({ ...sent, status: 'executing', progress: { done: 3, total: 8 } }, { peer }),
    'peer',
    'Beta executes it (3 of 8), last heard of at 2030-01-01T12:00:00.000Z',
  ],
  [
    'a reservation of a peer, again',
    facts({ ...sent, status: 'syncing', epoch: 3 }, { peer }),
    'reservation',
    'waits for a reservation of Beta, since 2030-01-01T12:00:00.000Z (round 3: reservations were lost 2 times)',
  ],
  [
    'the others',
    facts(
      { ...sent, status: 'reserved', epoch: 1 },
      { peer, timers: [{ kind: 'reservation', fireAt: at(31) }] },
    ),
    'start',
    'Beta has reserved until 2030-01-01T12:31:00.000Z; the others have not all',
  ],
  [
    'a peer that was told to start',
    facts({ ...sent, status: 'confirmed', epoch: 1 }, { peer }),
    'peer',
    'Beta was told to start at 2030-01-01T12:00:00.000Z, and has not reported yet',
  ],
  [
    'an order to start',
    facts(
      { status: 'reserved', isReceived: true, isLocal: false, peerId: 'b', epoch: 1 },
      { peer, timers: [{ kind: 'reservation', fireAt: at(31) }] },
    ),
    'start',
    'has reserved until 2030-01-01T12:31:00.000Z, and waits for Beta to start',
  ],
  [
    'a decision',
    facts({ type: 'external', status: 'executing', label: 'approve' }),
    'approval',
    'waits for a decision of the operators of Alpha: approve, since 2030-01-01T12:00:00.000Z',
  ],
  [
    'a slot',
    facts(
      { ...ready },
      { slots: 1, holders: [{ id: 'fedcba98-7654', action: 'long', status: 'executing', since: at(1) }] },
    ),
    'slot',
    'waits for a slot of the queue work, since 2030-01-01T12:05:00.000Z: its only slot is held by long (fedcba98, executing since 2030-01-01T12:01:00.000Z)',
  ],
  [
    'a worker',
    facts({ ...ready }),
    'worker',
    'waits for a worker of the queue work, since 2030-01-01T12:05:00.000Z',
  ],
  [
    'a queue that nobody serves',
    facts({ ...ready }, { slots: null }),
    'worker',
    'no process that serves the queue work is known here; it waits since 2030-01-01T12:05:00.000Z',
  ],
  [
    'a retry',
    facts({ ...ready, runAt: at(31), attempt: 1, error: failed }),
    'retry',
    'attempt 1 failed (no luck); it is tried again at 2030-01-01T12:31:00.000Z',
  ],
  [
    'its handler',
    facts(
      { ...ready, workerId: 'w', progress: { done: 1, total: 2 } },
      { worker: { name: 'node-1', leaseUntil: at(31), alive: true } },
    ),
    'handler',
    'its handler runs in the worker node-1 (1 of 2), since 2030-01-01T12:00:00.000Z; its lease holds until 2030-01-01T12:31:00.000Z unless it is renewed',
  ],
  [
    'a dead worker',
    facts({ ...ready, workerId: 'w' }, { worker: { name: 'node-1', leaseUntil: at(29), alive: false } }),
    'worker',
    'the lease of its worker node-1 was not renewed, and lapsed at 2030-01-01T12:29:00.000Z; another worker takes it over within seconds, if one runs',
  ],
  [
    'its turn',
    facts({ parentId: 'p', order: 1 }, { previous: { id: 'fedcba98-7654', action: 'first' } }),
    'turn',
    'its turn has not come: first (fedcba98) before it has not got that far',
  ],
  [
    'another round',
    facts({ parentId: 'p', epoch: 2 }),
    'reservation',
    'lost its reservation, and is invited again (round 2: reservations were lost once)',
  ],
  [
    'a message on its way',
    facts(sent, { peer, pending: [{ ...message, attempts: 1 }] }),
    'delivery',
    'its message of 2030-01-01T12:20:00.000Z is on its way to Beta, which has not answered yet',
  ],
  [
    'a peer that is asked',
    facts(sent, {
      peer,
      told: { at: at(2), error: null },
      timers: [{ kind: 'pingback', fireAt: at(40) }],
    }),
    'peer',
    'Beta has it since 2030-01-01T12:02:00.000Z, and has not reported yet; it is asked at 2030-01-01T12:40:00.000Z',
  ],
  [
    'an original that may have taken it',
    facts(sent, {
      peer: { ...peer, dialect: 'frestq' },
      told: { at: at(2), error: { code: 'peer_error', message: 'it answered 500' } },
    }),
    'peer',
    'Beta has it since 2030-01-01T12:02:00.000Z, and has not reported yet; whether it took it is in doubt: it answered 500; it is an original, which cannot be asked how far it is, and the task is not sent again',
  ],
  [
    'a peer that was removed while it has the task',
    facts(sent),
    'peer',
    'a peer that was removed here (b) has it since 2030-01-01T12:00:00.000Z, and has not reported yet',
  ],
  [
    'reservations lost in every way',
    facts({ ...sent, status: 'syncing', epoch: 5 }, { peer, lost: { expired: 2, yielded: 1, other: 1 } }),
    'reservation',
    'waits for a reservation of Beta, since 2030-01-01T12:00:00.000Z (round 5: 2 reservations expired, 1 reservation gave way to an older task, 1 reservation was lost otherwise)',
  ],
  [
    'a quorum that is there',
    facts(
      { status: 'executing', type: 'parallel', children: 3 },
      { unfinishedChildren: 1, timers: [{ kind: 'quorum', fireAt: at(33) }] },
    ),
    'subtask',
    'waits for 1 of its 3 subtasks (enough of them are there; the others have until 2030-01-01T12:33:00.000Z)',
  ],
  [
    'a handler that was interrupted',
    facts({ ...ready, runAt: at(31), takeovers: 1 }),
    'retry',
    'its handler was interrupted; it is tried again at 2030-01-01T12:31:00.000Z',
  ],
  [
    'a letter that was not answered until its deadline',
    facts(
      { ...sent, status: 'error', error: failed },
      {
        peer,
        director: 'Gamma',
        dead: { status: null, error: { code: 'undeliverable', message: 'too late' }, settled: at(9) },
      },
    ),
    'nothing',
    'ended with an error at 2030-01-01T12:00:00.000Z: act (01234567) could not be told to Beta, and was given up at 2030-01-01T12:09:00.000Z: too late; see why it was away (conclave peers check), then Gamma can ask again',
  ],
  [
    'an end that a peer refuses to hear of',
    facts(
      { isReceived: true, isLocal: false, peerId: 'b', status: 'finished' },
      {
        peer,
        dead: {
          status: 404,
          error: {
            code: 'peer_refused',
            message: 'refused',
            data: { code: 'task_not_found', reason: 'no such task' },
          },
          settled: at(9),
        },
      },
    ),
    'nothing',
    'has finished at 2030-01-01T12:00:00.000Z: what became of it could not be told to Beta, and was given up at 2030-01-01T12:09:00.000Z: Beta answered 404: no such task; Beta does not know the task any more: its database may have been restored',
  ],
  [
    'nothing that is known',
    facts({ status: 'executing' }),
    'nothing',
    'is executing, and nothing is known that it waits for',
  ],
];

describe('engine: why a task waits (D18)', () => {
  for (const [what, given, waitingFor, sentence] of CASES)
    it(`${what}: ${waitingFor}`, () => {
      expect(why([given], context)).to.include({ waitingFor, sentence, taskId: given.task.id });
    });

  it('a container says what the deepest of its subtasks waits for', () => {
    const root = facts(
      { id: 'aaaaaaaa', type: 'sequential', status: 'executing', children: 3 },
      {
        unfinishedChildren: 2,
      },
    );
    const middle = facts(
      { id: 'bbbbbbbb', label: 'approvals', status: 'executing', children: 1 },
      {
        unfinishedChildren: 1,
      },
    );
    const leaf = facts({ id: 'cccccccc', type: 'external', status: 'executing', label: 'approve' });
    expect(why([root, middle, leaf], context)).to.deep.include({
      taskId: 'cccccccc',
      waitingFor: 'approval',
      sentence:
        'waits for 2 of its 3 subtasks, the first of them approvals (bbbbbbbb): waits for its subtask approve (cccccccc): waits for a decision of the operators of Alpha: approve, since 2030-01-01T12:00:00.000Z',
    });
  });

  describe('from the database', () => {
    const queue = 'work';
    let federation: TestFederation;
    let a: TestNode;
    let leave: PromiseWithResolvers<void>;
    const definitions = [
      defineTask({ queue, action: 'gated' }, async () => leave.promise),
      defineTask({ queue, action: 'retried', retry: { attempts: 2, initialDelay: 60_000 } }, () => {
        throw new Error('not yet');
      }),
    ];

    before(async () => {
      leave = Promise.withResolvers();
      federation = new TestFederation();
      a = await federation.add('a', { definitions, queues: { [queue]: { maxThreads: 1 } } });
      await federation.add('b', { definitions });
      federation.copies = () => 0;
    });
    after(async () => {
      leave.resolve();
      await federation.close();
    });

    it('a decision at the bottom of a tree', async () => {
      const id = await a.engine.create(sequential([parallel([external({ label: 'approve' })])]));
      const answer = await a.engine.why(id);
      expect(answer).to.include({ waitingFor: 'approval' });
      expect((await a.engine.store.task(answer.taskId))!.label).to.equal('approve');
    });

    it('a peer that is down, with what was tried', async () => {
      await a.database.knex.raw(
        `insert into peers (id, name, certificates, roles, down_since, next_attempt, last_error)
         values ('b', 'Beta', '[]', '{authority}', ?, ?, 'connection refused')`,
        [at(0), at(1)],
      );
      const receiver = federation.nodes.get('b')!.url;
      const id = await a.engine.create(synchronized([simple({ receiver, queue, action: 'gated' })]));
      const answer = await a.engine.why(id);
      expect(answer).to.deep.include({ waitingFor: 'peer', since: at(0), next: at(1) });
      expect(answer.sentence).to.contain('Beta does not answer since').and.contain('connection refused');
    });

    it('a handler that runs, and the slot that it holds', async () => {
      const running = await a.engine.create(simple({ queue, action: 'gated' }));
      await until('it runs', async () => (await a.engine.store.task(running))!.status === 'executing');
      expect((await a.engine.why(running)).sentence).to.contain('its handler runs in the worker a');
      const waiting = await a.engine.create(simple({ queue, action: 'gated' }));
      const answer = await a.engine.why(waiting);
      expect(answer.waitingFor).to.equal('slot');
      expect(answer.sentence).to.contain(`gated (${running.slice(0, 8)}, executing since`);
      leave.resolve();
      await a.engine.ended(waiting);
      expect(await a.engine.why(waiting)).to.include({ waitingFor: 'nothing', next: null });
    });

    it('a retry, with the last error', async () => {
      const id = await a.engine.create(simple({ queue, action: 'retried' }));
      const answer = await until('it failed once', async () => {
        const said = await a.engine.why(id);
        return said.waitingFor === 'retry' && said;
      });
      expect(answer.tried.attempts).to.equal(1);
      expect(answer.tried.lastError).to.contain('not yet');
      expect(answer.next).to.be.instanceOf(Date);
    });

    it('a task that is not there', async () => {
      const thrown = await a.engine.why('no-such-task').catch((error) => error);
      expect(thrown).to.include({ code: 'task_not_found' });
    });
  });
});
