import { expect } from 'chai';
import fc from 'fast-check';
import type { Context, DefinitionFacts, Event, EventType, Outcome } from '../../lib/engine/events.ts';
import { hasEnded, type Job, type Status, type Task, type TaskType } from '../../lib/engine/model.ts';
import { TRANSITIONS, transition } from '../../lib/engine/transitions.ts';
import { blankTask, type ResolvedNode } from '../../lib/engine/tree.ts';

const now = new Date('2030-01-01T00:00:00Z');
const failure = { code: 'task_failed', message: 'it failed' };
const statuses: Status[] = [
  'created',
  'sent',
  'syncing',
  'reserved',
  'confirmed',
  'executing',
  'finished',
  'error',
];
const types: TaskType[] = ['simple', 'sequential', 'parallel', 'synchronized', 'external'];
const jobs: (Job | null)[] = [
  null,
  'execute',
  'handle_error',
  'reserve',
  'cancel_reservation',
  'new_reservation',
  'cancelled_reservation',
  'pre_execute',
];

const facts = fc.record<DefinitionFacts>({
  attempts: fc.integer({ min: 1, max: 3 }),
  backoff: fc.constant(() => 10),
  handlesErrors: fc.boolean(),
  reserves: fc.boolean(),
  cancelsReservation: fc.boolean(),
  hearsNewReservation: fc.boolean(),
  hearsCancelledReservation: fc.boolean(),
  preExecutes: fc.boolean(),
  idempotent: fc.boolean(),
  maxTakeovers: fc.constant(2),
});
const epoch = fc.integer({ min: 0, max: 2 });
const output = fc.constantFrom(null, 'output');
const nodes = fc.constant<ResolvedNode[]>([]);
const inputs = fc.constantFrom({}, { child: 'edited' });

/** One generator for every type of event: a new type without one does not compile. */
const EVENTS: { [K in EventType]: fc.Arbitrary<Extract<Event, { type: K }>> } = {
  start: fc.constant({ type: 'start' }),
  add: fc.record({ type: fc.constant('add'), nodes }),
  handler_done: fc.record({ type: fc.constant('handler_done'), output, parentOutput: output, nodes }),
  handler_failed: fc.record({
    type: fc.constant('handler_failed'),
    failure: fc.constant(failure),
    final: fc.boolean(),
    chance: fc.constant(0.5),
  }),
  error_handled: fc.record({
    type: fc.constant('error_handled'),
    recovered: fc.boolean(),
    output,
    nodes,
  }),
  child_ended: fc.record({
    type: fc.constant('child_ended'),
    childId: fc.constant('child'),
    order: fc.integer({ min: 0, max: 3 }),
    failure: fc.constantFrom(null, failure),
    reservedIn: fc.option(epoch),
  }),
  update: fc.record({
    type: fc.constant('update'),
    status: fc.constantFrom('executing', 'finished', 'error', 'created', 'nonsense'),
    output,
    failure: fc.constantFrom(null, failure),
    progress: fc.constantFrom(undefined, 1),
  }),
  finish_external: fc.record({ type: fc.constant('finish_external'), data: output }),
  cancel: fc.oneof(
    fc.constant({ type: 'cancel', failure } as const),
    fc.constant({ type: 'cancel', failure, quiet: true } as const),
  ),
  expire: fc.constant({ type: 'expire' }),
  pingback: fc.constant({ type: 'pingback' }),
  query: fc.constant({ type: 'query' }),
  progress: fc.constant({ type: 'progress', state: 1 }),
  set_output: fc.constant({ type: 'set_output', output: 1 }),
  set_input: fc.constant({ type: 'set_input', input: 1 }),
  undeliverable: fc.constant({ type: 'undeliverable', failure }),
  worker_lost: fc.record({
    type: fc.constant('worker_lost'),
    workerId: fc.constantFrom('worker', 'another'),
    fence: fc.constantFrom(1, 2),
    graceful: fc.boolean(),
  }),
  invite: fc.record({
    type: fc.constant('invite'),
    epoch: fc.integer({ min: 1, max: 3 }),
    priority: fc.constant('p'),
    container: fc.constantFrom(null, 'director'),
  }),
  reserve_done: fc.record({ type: fc.constant('reserve_done'), data: output }),
  confirm: fc.record({
    type: fc.constant('confirm'),
    epoch: fc.option(epoch),
    data: output,
    seconds: fc.constant(60),
  }),
  child_reserved: fc.record({ type: fc.constant('child_reserved'), childId: fc.constant('child'), epoch }),
  child_released: fc.record({
    type: fc.constant('child_released'),
    childId: fc.constant('child'),
    epoch,
    reason: fc.constant('r'),
  }),
  reservation_expired: fc.record({ type: fc.constant('reservation_expired'), epoch }),
  release: fc.record({ type: fc.constant('release'), epoch: fc.option(epoch), reason: fc.constant('r') }),
  released: fc.record({ type: fc.constant('released'), epoch, reason: fc.constant('r') }),
  quorum_waited: fc.record({ type: fc.constant('quorum_waited'), epoch }),
  notice_done: fc.record({ type: fc.constant('notice_done'), inputs }),
  pre_execute_done: fc.record({ type: fc.constant('pre_execute_done'), inputs }),
  execute: fc.record({
    type: fc.constant('execute'),
    epoch: fc.option(epoch),
    input: fc.constantFrom(undefined, 'input'),
  }),
};
const event: fc.Arbitrary<Event> = fc.oneof(...(Object.values(EVENTS) as fc.Arbitrary<Event>[]));

const place = fc.constantFrom('local', 'sent', 'received');
const task: fc.Arbitrary<Task> = fc
  .record({
    place,
    type: fc.constantFrom(...types),
    status: fc.constantFrom(...statuses),
    job: fc.constantFrom(...jobs),
    held: fc.boolean(),
    slot: fc.boolean(),
    virtual: fc.boolean(),
    children: fc.integer({ min: 0, max: 3 }),
    childrenFinished: fc.integer({ min: 0, max: 3 }),
    childrenFailed: fc.integer({ min: 0, max: 3 }),
    childrenReserved: fc.integer({ min: 0, max: 3 }),
    quorum: fc.constantFrom(null, 1, 2),
    epoch,
    attempt: fc.integer({ min: 0, max: 3 }),
    takeovers: fc.integer({ min: 0, max: 3 }),
    expires: fc.boolean(),
    metadata: fc.record(
      {
        handler: fc.constant('director'),
        container: fc.constant('director'),
        started: fc.boolean(),
        quorumWait: fc.constantFrom(0, 5),
        reservationLost: fc.boolean(),
        errorHandled: fc.boolean(),
        resumeFrom: fc.integer({ min: 0, max: 3 }),
        ending: fc.constant({ failure, quiet: false }),
        counted: epoch,
        unnamed: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
  })
  .map((made) => {
    const { place: where, held, virtual, expires, job, ...rest } = made;
    const working = job !== null && !['finished', 'error'].includes(made.status);
    return {
      ...blankTask('task', now),
      ...rest,
      parentId: where === 'received' ? null : 'parent',
      action: virtual ? 'frestq.virtual_empty_task' : 'act',
      queue: 'work',
      isReceived: where === 'received',
      isLocal: where === 'local',
      peerId: where === 'local' ? null : 'peer',
      job: working ? job : null,
      jobQueue: working ? 'work' : null,
      workerId: working && held ? 'worker' : null,
      fence: 1,
      slot: made.slot && !['finished', 'error'].includes(made.status),
      expirationDate: expires ? new Date(now.getTime() - 1) : null,
      pingbackDate: expires ? now : null,
    } as Task;
  });

const contextOf = (given: DefinitionFacts | undefined, dialect: 'conclave' | 'frestq'): Context => ({
  now,
  node: { name: 'n', url: 'https://n.test/api/queues' },
  newId: () => 'new-id',
  facts: () => given,
  dialect: () => dialect,
  reservationTimeout: 60,
});
const context = fc
  .tuple(fc.option(facts, { nil: undefined }), fc.constantFrom('conclave' as const, 'frestq' as const))
  .map(([given, dialect]) => contextOf(given, dialect));

describe('engine: the transition table, for any task and any event (D11, D12)', () => {
  const check = (property: (task: Task, event: Event, outcome: Outcome, next: Task) => void) =>
    fc.assert(
      fc.property(task, event, context, (given, what, around) => {
        const outcome = transition(given, what, around);
        const changes = outcome.outcome === 'applied' ? outcome.changes : {};
        property(given, what, outcome, { ...given, ...changes });
      }),
      { numRuns: 4000 },
    );

  it('no event throws, and every rule leads where the table says', () => {
    check((given, what, outcome, next) => {
      if (outcome.outcome !== 'applied') return;
      expect(TRANSITIONS[given.status][what.type]!.to).to.include(next.status);
    });
  });

  it('nothing leads out of finished and error, and nothing changes there (1A.7 late updates)', () => {
    check((given, _what, outcome) => {
      if (hasEnded(given) && outcome.outcome === 'applied') expect(outcome.changes).to.deep.equal({});
    });
  });

  it('a task that ends is in nobody’s hands: no job, no worker, no slot, no timers', () => {
    check((given, _what, outcome, next) => {
      if (hasEnded(given) || !hasEnded(next) || outcome.outcome !== 'applied') return;
      expect(next).to.include({ job: null, jobQueue: null, workerId: null, slot: false });
      expect(outcome.effects).to.deep.include({ effect: 'clear_timers', taskId: 'task', kinds: 'all' });
      expect(next.error === null).to.equal(next.status === 'finished');
    });
  });

  it('a job has a queue and a worker has a job, always', () => {
    check((_given, _what, _outcome, next) => {
      expect(next.job === null).to.equal(next.jobQueue === null);
      if (next.workerId !== null) expect(next.job).not.to.equal(null);
    });
  });

  it('a worker that loses its job is told, unless it was its own report', () => {
    const own = new Set<EventType>([
      'handler_done',
      'handler_failed',
      'error_handled',
      'reserve_done',
      'notice_done',
      'pre_execute_done',
      'worker_lost',
    ]);
    check((given, what, outcome, next) => {
      if (outcome.outcome !== 'applied' || own.has(what.type)) return;
      if (given.workerId === null || next.workerId !== null) return;
      expect(outcome.effects.map(({ effect }) => effect)).to.include('abort');
    });
  });

  it('a sent task is never executed here', () => {
    check((given, what, outcome, next) => {
      if (outcome.outcome !== 'applied' || given.isReceived || given.isLocal) return;
      if (what.type !== 'handler_failed' && what.type !== 'error_handled' && given.job === null)
        expect(next.job).to.be.oneOf([null, 'new_reservation', 'cancelled_reservation', 'pre_execute']);
    });
  });

  it('the end of a received task is told to its sender, of an unnamed one to nobody', () => {
    check((given, _what, outcome, next) => {
      if (!given.isReceived || hasEnded(given) || !hasEnded(next) || outcome.outcome !== 'applied') return;
      const told = outcome.effects.some(
        (effect) => effect.effect === 'message' && effect.message.action === 'frestq.update_task',
      );
      expect(told).to.equal(given.metadata.unnamed !== true);
    });
  });

  it('an error of an update ends a sent task in whatever status it is', () => {
    for (const status of ['sent', 'syncing', 'reserved', 'confirmed', 'executing'] as const) {
      const given = { ...blankTask('t', now), status, isLocal: false, peerId: 'p' };
      const what = { type: 'update', status: 'error', output: null, failure, progress: undefined } as const;
      const outcome = transition(given, what, contextOf(undefined, 'conclave'));
      expect(outcome).to.deep.nested.include({ outcome: 'applied', 'changes.status': 'error' });
    }
  });
});
