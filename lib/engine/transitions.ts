/**
 * The state machine of a task, as a table (D3, D11, D12): status × event → possible statuses, and what is done.
 *
 * What is not in the table has no effect. In particular nothing leads out of `finished` and `error`. The tables
 * in `docs/engine.md` are printed from this one.
 */
import {
  applied,
  type Context,
  type Event,
  type EventOf,
  type EventType,
  ignored,
  type Outcome,
} from './events.ts';
import { hasEnded, type Status, type Task } from './model.ts';
import * as flow from './rules/flow.ts';
import * as reservations from './rules/reservations.ts';
import * as sync from './rules/synchronized.ts';

export interface Rule<K extends EventType> {
  readonly to: readonly Status[];
  readonly does: string;
  readonly apply: (task: Task, event: EventOf<K>, context: Context) => Outcome;
}

export type Table = { readonly [S in Status]: { readonly [K in EventType]?: Rule<K> } };

function rule<K extends EventType>(to: Status[], does: string, apply: Rule<K>['apply']): Rule<K> {
  return { to, does, apply };
}

/** Rules that hold in every status of a task that has not ended. */
function always(status: Status) {
  return {
    add: rule<'add'>([status], 'subtasks are appended', flow.add),
    cancel: rule<'cancel'>(
      ['error', status],
      'it and everything below it ends, once a reservation is freed; a peer is told',
      flow.cancel,
    ),
    expire: rule<'expire'>(['error', status], 'as cancel, because its time is over', flow.expire),
    pingback: rule<'pingback'>([status], 'the receiver is asked for the state', flow.pingback),
    query: rule<'query'>([status], 'the sender is told the state', flow.query),
    progress: rule<'progress'>([status], 'stored, and told to the sender', flow.progress),
    set_output: rule<'set_output'>([status], 'output data is replaced', flow.setOutput),
    set_input: rule<'set_input'>([status], 'input data is replaced', flow.setInput),
    undeliverable: rule<'undeliverable'>(
      ['error', status],
      'the peer cannot get the task',
      flow.undeliverable,
    ),
    worker_lost: rule<'worker_lost'>(
      [status, 'error'],
      'the job is offered to other workers',
      flow.workerLost,
    ),
    handler_failed: rule<'handler_failed'>(
      [status, 'error'],
      'another attempt later, or its error handler, or an error',
      flow.handlerFailed,
    ),
    notice_done: rule<'notice_done'>(
      [status, 'error'],
      'the next job, if the status asks for one',
      reservations.noticeDone,
    ),
  };
}

const update = rule<'update'>(
  ['executing', 'finished', 'error'],
  'the receiver reported progress, result or error',
  flow.update,
);
const refusal = rule<'update'>(['error', 'syncing', 'reserved'], 'only an error is believed', flow.update);
const invited = rule<'invite'>(
  ['syncing', 'reserved'],
  'reserve, or renew the reservation',
  reservations.invite,
);
const ordered = rule<'execute'>(['confirmed'], 'the handler is to run', reservations.execute);

export const TRANSITIONS: Table = {
  created: {
    ...always('created'),
    start: rule<'start'>(
      ['sent', 'executing', 'created', 'finished', 'error'],
      'a sent task becomes a message, a local one a job, a container starts its children',
      flow.start,
    ),
    invite: invited,
    execute: ordered,
  },
  sent: { ...always('sent'), update },
  syncing: {
    ...always('syncing'),
    invite: invited,
    update: refusal,
    reserve_done: rule<'reserve_done'>(
      ['reserved'],
      'the reservation is announced',
      reservations.reserveDone,
    ),
    confirm: rule<'confirm'>(['reserved'], 'the container counts it', reservations.confirm),
    reservation_expired: rule<'reservation_expired'>(
      ['syncing'],
      'an original is invited again',
      reservations.reservationExpired,
    ),
    execute: ordered,
    released: rule<'released'>(['created'], 'the director begins a new epoch', reservations.released),
  },
  reserved: {
    ...always('reserved'),
    invite: invited,
    update: refusal,
    execute: ordered,
    reservation_expired: rule<'reservation_expired'>(
      ['created'],
      'the slot is free again',
      reservations.reservationExpired,
    ),
    release: rule<'release'>(['created'], 'the slot is free for an older tree', reservations.release),
    released: rule<'released'>(['created'], 'the director begins a new epoch', reservations.released),
  },
  confirmed: { ...always('confirmed'), update },
  executing: {
    ...always('executing'),
    update,
    handler_done: rule<'handler_done'>(
      ['executing', 'finished'],
      'subtasks start, or the task ends',
      flow.handlerDone,
    ),
    error_handled: rule<'error_handled'>(
      ['executing', 'finished', 'error'],
      'recovered: it goes on or ends well; otherwise the error propagates',
      flow.errorHandled,
    ),
    child_ended: rule<'child_ended'>(
      ['executing', 'finished', 'error'],
      'the next child, or the end',
      flow.childEnded,
    ),
    finish_external: rule<'finish_external'>(['finished'], 'the decision is its output', flow.finishExternal),
    child_reserved: rule<'child_reserved'>(
      ['executing'],
      'when all have reserved: start',
      sync.childReserved,
    ),
    child_released: rule<'child_released'>(
      ['executing'],
      'a new epoch: all are invited again',
      sync.childReleased,
    ),
    quorum_waited: rule<'quorum_waited'>(
      ['executing', 'finished'],
      'start, or end, with those that are ready',
      flow.quorumWaited,
    ),
    pre_execute_done: rule<'pre_execute_done'>(['executing'], 'start', sync.preExecuteDone),
  },
  finished: { query: rule<'query'>(['finished'], 'the sender is told the state', flow.query) },
  error: { query: rule<'query'>(['error'], 'the sender is told the state', flow.query) },
};

/** What still means something to a task that ends when its reservation is freed (FQ-A6). */
const WHILE_ENDING: ReadonlySet<EventType> = new Set([
  'notice_done',
  'handler_failed',
  'worker_lost',
  'query',
]);

/**
 * The functional core (D11): what an event does to a task. Pure.
 * @throws Error when a rule breaks its own promise, which is a defect of the engine
 */
export function transition(task: Task, event: Event, context: Context): Outcome {
  if (task.metadata.ending !== undefined && !WHILE_ENDING.has(event.type))
    return ignored('the task ends as soon as its reservation is freed');
  const rules = TRANSITIONS[task.status] as Partial<Record<EventType, Rule<EventType>>>;
  const found = rules[event.type];
  if (found === undefined) return ignored(`${event.type} has no meaning for a task that is ${task.status}`);
  const outcome = found.apply(task, event, context);
  if (outcome.outcome !== 'applied') return outcome;
  const next = outcome.changes.status ?? task.status;
  if (!found.to.includes(next))
    throw new Error(`rule ${task.status} × ${event.type} led to ${next}, which its table does not name`);
  if (hasEnded(task) && Object.keys(outcome.changes).length > 0)
    throw new Error(`rule ${task.status} × ${event.type} changed a task that had ended`);
  return applied({ ...outcome.changes }, outcome.effects);
}
