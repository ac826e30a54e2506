/**
 * The rules of synchronized tasks: invitations, reservations, the common start (FQ-T4, FQ-I2…I4, D16).
 *
 *     director's container          director's child           performer's task
 *     executing, epoch e   invite→  syncing      message→      syncing   (job reserve, waits for a slot)
 *                                   reserved   ←message        reserved  (slot held, expires)
 *        all reserved: pre_execute
 *        started           execute→ confirmed    message→      confirmed (job execute) → executing → finished
 *
 * An epoch is one round of invitations. When any reservation is lost before the start (expired, or given up for
 * an older tree), the director begins epoch e + 1: it invites everybody again; who still holds a reservation
 * renews it. The director's decision to start is final: a performer that lost its reservation while the order
 * travelled takes a slot again and starts, with `reservationLost` set, because the others may run already.
 */
import type { Failure } from '../../errors.ts';
import { applied, type Context, type Effect, type EventOf, ignored, type Outcome } from '../events.ts';
import { INTERNAL_QUEUE, isSent, type Status, type Task, VIRTUAL_ACTION } from '../model.ts';
import { cancelChildren, internalMessage, startTimers } from './endings.ts';

const WAITING: readonly Status[] = ['created', 'syncing', 'reserved'];

/** How much longer than announced a performer holds its reservation: the order to start needs time to travel. */
const HOLD_FACTOR = 2;

// ---------------------------------------------------------------------------------------------- container

export function beginInvitations(task: Task, timers: Effect[]): Outcome {
  return applied({ status: 'executing', epoch: 1, childrenReserved: 0 }, [...timers, inviteAll(task, 1)]);
}

function inviteAll(task: Task, epoch: number): Effect {
  return {
    effect: 'children',
    parentId: task.id,
    statuses: WAITING,
    event: {
      type: 'invite',
      epoch,
      priority: `${task.createdDate.toISOString()} ${task.id}`,
      container: task.metadata.handler ?? null,
    },
  };
}

export function childReserved(task: Task, event: EventOf<'child_reserved'>, context: Context): Outcome {
  if (task.metadata.started === true) return ignored('the start is decided');
  if (event.epoch !== task.epoch)
    return ignored(`a reservation of epoch ${event.epoch}; now it is ${task.epoch}`);
  const changes = { childrenReserved: task.childrenReserved + 1 };
  return startIfReady({ ...task, ...changes }, changes, context);
}

export function afterChildEnded(task: Task, changes: Partial<Task>, context: Context): Outcome {
  return task.metadata.started === true ? applied(changes) : startIfReady(task, changes, context);
}

function startIfReady(task: Task, changes: Partial<Task>, context: Context): Outcome {
  const active = task.children - task.childrenFailed - task.childrenFinished;
  if (task.job !== null) return applied(changes);
  if (task.childrenReserved >= active) return decideStart(task, changes, context);
  if (task.quorum === null || task.childrenReserved !== task.quorum) return applied(changes);
  const fireAt = new Date(context.now.getTime() + (task.metadata.quorumWait ?? 0) * 1000);
  return applied(changes, [{ effect: 'timer', taskId: task.id, kind: 'quorum', fireAt, epoch: task.epoch }]);
}

export function startWithQuorum(task: Task, event: EventOf<'quorum_waited'>, context: Context): Outcome {
  if (task.metadata.started === true || event.epoch !== task.epoch || task.job !== null)
    return ignored('a timer of an earlier epoch');
  if (task.childrenReserved < (task.quorum ?? task.children)) return ignored('the quorum was lost again');
  return decideStart(task, {}, context);
}

function decideStart(task: Task, changes: Partial<Task>, context: Context): Outcome {
  if (context.facts(task)?.preExecutes === true)
    return applied({ ...changes, job: 'pre_execute', jobQueue: INTERNAL_QUEUE, runAt: context.now });
  return startAll(task, changes, {}, context);
}

export function preExecuteDone(task: Task, event: EventOf<'pre_execute_done'>, context: Context): Outcome {
  return startAll(task, { job: null, jobQueue: null, workerId: null, slot: false }, event.inputs, context);
}

function startAll(
  task: Task,
  changes: Partial<Task>,
  inputs: EventOf<'pre_execute_done'>['inputs'],
  context: Context,
): Outcome {
  const edits: Effect[] = Object.entries(inputs).map(([taskId, input]) => ({
    effect: 'event',
    taskId,
    event: { type: 'set_input', input },
  }));
  const late: Failure = {
    code: 'not_started',
    message: 'not started, because enough others had reserved before',
    node: context.node.name,
  };
  const event = { type: 'execute', epoch: task.epoch, input: undefined } as const;
  return applied({ ...changes, metadata: { ...task.metadata, started: true } }, [
    { effect: 'clear_timers', taskId: task.id, kinds: ['quorum'] },
    ...edits,
    { effect: 'children', parentId: task.id, statuses: ['reserved'], event },
    cancelChildren(task, ['created', 'syncing'], late),
  ]);
}

export function childReleased(task: Task, event: EventOf<'child_released'>): Outcome {
  if (task.metadata.started === true) return ignored('the start is decided');
  if (event.epoch !== task.epoch)
    return ignored(`a reservation of epoch ${event.epoch}; now it is ${task.epoch}`);
  const epoch = task.epoch + 1;
  const effects: Effect[] = [
    { effect: 'clear_timers', taskId: task.id, kinds: ['quorum'] },
    inviteAll(task, epoch),
  ];
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  return applied(
    { epoch, childrenReserved: 0, job: null, jobQueue: null, workerId: null, slot: false },
    effects,
  );
}

// ---------------------------------------------------------------------------------------------- child, both sides

/** FQ-I2: the director's side sends the invitation; the performer's side begins to reserve, or renews. */
export function invite(task: Task, event: EventOf<'invite'>, context: Context): Outcome {
  if (isSent(task)) return inviteRemote(task, event, context);
  const { epoch, priority } = event;
  if (task.status !== 'created' && epoch <= task.epoch) return ignored('an invitation that was here before');
  const metadata =
    event.container === null ? task.metadata : { ...task.metadata, container: event.container };
  const known = { epoch, priority, metadata } satisfies Partial<Task>;
  if (task.status === 'syncing') return applied(known);
  if (task.status === 'reserved') return renew({ ...task, ...known }, known, context);
  const invited: Task = { ...task, ...known, type: 'sequential', status: 'syncing' };
  const job = task.job === null ? nextJob(invited, context) : {};
  return applied({ ...known, type: 'sequential', status: 'syncing', ...job }, startTimers(task));
}

function inviteRemote(task: Task, event: EventOf<'invite'>, context: Context): Outcome {
  const { epoch, priority } = event;
  const metadata =
    event.container === null ? task.metadata : { ...task.metadata, container: event.container };
  const effects: Effect[] = [
    { effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] },
    invitation({ ...task, epoch, priority }, context),
    ...reinviteTimer(task, epoch, context),
  ];
  if (task.status === 'created' && task.epoch === 0) effects.push(...startTimers(task));
  return applied({ status: 'syncing', epoch, priority, metadata }, effects);
}

function invitation(task: Task, context: Context): Effect {
  return internalMessage(
    task,
    'frestq.synchronize_task',
    {
      task_id: task.id,
      action: task.action,
      queue_name: task.queue,
      pingback_date: task.pingbackDate?.toISOString() ?? null,
      input_data: task.input,
      expiration_date: task.expirationDate?.toISOString() ?? null,
      epoch: task.epoch,
      priority: task.priority,
    },
    context,
  );
}

/** An original forgets invitations when it is restarted or busy: it is asked again after a while. */
function reinviteTimer(task: Task, epoch: number, context: Context): Effect[] {
  if (context.dialect(task.peerId!) !== 'frestq') return [];
  return [reservationTimer(task, epoch, context.reservationTimeout, context)];
}

function reservationTimer(task: Task, epoch: number, seconds: number, context: Context): Effect {
  const fireAt = new Date(context.now.getTime() + seconds * 1000);
  return { effect: 'timer', taskId: task.id, kind: 'reservation', fireAt, epoch };
}

/** A performer's `reserve` has run: it holds the slot, and says so. */
export function reserveDone(task: Task, event: EventOf<'reserve_done'>, context: Context): Outcome {
  const changes: Partial<Task> = {
    status: 'reserved',
    reservationData: event.data,
    job: null,
    jobQueue: null,
    workerId: null,
    attempt: 0,
    metadata: { ...task.metadata, reservationLost: false },
  };
  return announce({ ...task, ...changes }, changes, context);
}

function renew(task: Task, changes: Partial<Task>, context: Context): Outcome {
  return announce(task, changes, context);
}

function announce(task: Task, changes: Partial<Task>, context: Context): Outcome {
  const seconds = context.reservationTimeout;
  const clear: Effect = { effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] };
  if (!task.isReceived) {
    const armed = reservationTimer(task, task.epoch, seconds, context);
    return directorHears(task, changes, [clear, armed], context);
  }
  const data = {
    reservation_data: task.reservationData,
    reservation_expiration_seconds: seconds,
    epoch: task.epoch,
  };
  return applied(changes, [
    clear,
    reservationTimer(task, task.epoch, seconds * HOLD_FACTOR, context),
    internalMessage(task, 'frestq.confirm_task_reservation', data, context),
  ]);
}

/** FQ-I3: on the director's side the reservation of a peer arrived. */
export function confirm(task: Task, event: EventOf<'confirm'>, context: Context): Outcome {
  if (!isSent(task)) return ignored('this task is executed here');
  if (event.epoch !== null && event.epoch !== task.epoch)
    return ignored(`a reservation of epoch ${event.epoch}; now it is ${task.epoch}`);
  const changes: Partial<Task> = { status: 'reserved', reservationData: event.data };
  return directorHears(
    { ...task, ...changes },
    changes,
    [
      { effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] },
      reservationTimer(task, task.epoch, event.seconds, context),
    ],
    context,
  );
}

/** The container's handler hears of the reservation first, if it wants to (FQ-A7). */
function directorHears(task: Task, changes: Partial<Task>, effects: Effect[], context: Context): Outcome {
  if (containerFacts(task, context)?.hearsNewReservation === true)
    return applied(
      { ...changes, job: 'new_reservation', jobQueue: INTERNAL_QUEUE, runAt: context.now },
      effects,
    );
  return applied(changes, [...effects, tellReserved(task)]);
}

function containerFacts(task: Task, context: Context) {
  const handler = task.metadata.container;
  if (handler === undefined) return undefined;
  return context.facts({ action: VIRTUAL_ACTION, queue: INTERNAL_QUEUE, metadata: { handler } });
}

function tellReserved(task: Task): Effect {
  const event = { type: 'child_reserved', childId: task.id, epoch: task.epoch } as const;
  return { effect: 'event', taskId: task.parentId!, event };
}

/** `new_reservation`, `cancelled_reservation` or `cancel_reservation` has run. */
export function noticeDone(task: Task, event: EventOf<'notice_done'>, context: Context): Outcome {
  const edits: Effect[] = Object.entries(event.inputs).map(([taskId, input]) => ({
    effect: 'event',
    taskId,
    event: { type: 'set_input', input },
  }));
  const changes: Partial<Task> = { attempt: 0, ...nextJob(task, context) };
  if (task.job !== 'new_reservation') return applied(changes, edits);
  // The slot is a performer's and stays held; the notice was the director's.
  return applied({ ...changes, slot: task.slot }, [...edits, tellReserved(task)]);
}

/** The job that a task's status asks for, once its present job is done. */
export function nextJob(task: Task, context: Context): Partial<Task> {
  const none = { job: null, jobQueue: null, workerId: null, slot: false } satisfies Partial<Task>;
  if (task.job === 'cancel_reservation' && !task.isReceived)
    if (containerFacts(task, context)?.hearsCancelledReservation === true)
      return { ...none, job: 'cancelled_reservation', jobQueue: INTERNAL_QUEUE, runAt: context.now };
  if (isSent(task)) return none;
  const job = task.status === 'syncing' ? 'reserve' : task.status === 'confirmed' ? 'execute' : null;
  return job === null ? none : { ...none, job, jobQueue: task.queue, runAt: context.now };
}

export function reservationExpired(
  task: Task,
  event: EventOf<'reservation_expired'>,
  context: Context,
): Outcome {
  if (event.epoch !== task.epoch) return ignored('a timer of an earlier epoch');
  if (task.status === 'syncing') {
    if (!isSent(task)) return ignored('the slot is still awaited');
    return applied({}, [invitation(task, context), ...reinviteTimer(task, task.epoch, context)]);
  }
  return giveUp(task, 'the reservation expired', context);
}

/** Wound–wait: an older tree needs the slot; or the director called the reservation off. */
export function release(task: Task, event: EventOf<'release'>, context: Context): Outcome {
  if (event.epoch !== null && event.epoch !== task.epoch) return ignored('of an earlier epoch');
  return giveUp(task, event.reason, context);
}

/** The director learns that a peer gave its reservation up. */
export function released(task: Task, event: EventOf<'released'>, context: Context): Outcome {
  if (event.epoch !== task.epoch) return ignored('of an earlier epoch');
  return giveUp(task, event.reason, context);
}

function giveUp(task: Task, reason: string, context: Context): Outcome {
  const effects: Effect[] = [{ effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] }];
  const told = { type: 'child_released', childId: task.id, epoch: task.epoch, reason } as const;
  if (task.isReceived)
    effects.push(
      internalMessage(task, 'conclave.reservation_cancelled', { epoch: task.epoch, reason }, context),
    );
  else effects.push({ effect: 'event', taskId: task.parentId!, event: told });
  const metadata = { ...task.metadata, reservationLost: true };
  return applied({ status: 'created', metadata, ...afterGivingUp(task, context) }, effects);
}

function afterGivingUp(task: Task, context: Context): Partial<Task> {
  if (!isSent(task) && context.facts(task)?.cancelsReservation === true)
    // The slot stays held until the handler has freed what it had reserved.
    return { job: 'cancel_reservation', jobQueue: task.queue, workerId: null, runAt: context.now };
  if (!task.isReceived && containerFacts(task, context)?.hearsCancelledReservation === true)
    return {
      job: 'cancelled_reservation',
      jobQueue: INTERNAL_QUEUE,
      workerId: null,
      slot: false,
      runAt: context.now,
    };
  return { job: null, jobQueue: null, workerId: null, slot: false };
}

/** FQ-I4: on the director's side the start is decided; on the performer's side the order arrives. */
export function execute(task: Task, event: EventOf<'execute'>, context: Context): Outcome {
  if (event.epoch !== null && event.epoch !== task.epoch) return ignored('of an earlier epoch');
  if (task.epoch === 0) return ignored('the task was never invited');
  const input = event.input === undefined ? task.input : event.input;
  const effects: Effect[] = [{ effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] }];
  if (isSent(task)) {
    const data = { action: task.action, queue_name: task.queue, input_data: input, epoch: task.epoch };
    effects.push(internalMessage(task, 'frestq.execute_synchronized', data, context));
    return applied({ status: 'confirmed', input }, effects);
  }
  const confirmed: Task = { ...task, status: 'confirmed', input };
  const job = task.job === null ? { ...nextJob(confirmed, context), slot: task.slot } : {};
  return applied({ status: 'confirmed', input, ...job }, effects);
}
