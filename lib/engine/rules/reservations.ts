/**
 * The rules of a synchronized task's children, on both sides: on the director's the row that stands for the peer's
 * (or local) task, on the performer's the task itself. The picture is in `synchronized.ts`.
 */
import { applied, type Context, type Effect, type EventOf, ignored, type Outcome } from '../events.ts';
import { INTERNAL_QUEUE, isSent, type Losses, type Task, VIRTUAL_ACTION } from '../model.ts';
import { end, idle } from './endings.ts';
import { internalMessage, invitationMessage, startTimers } from './messages.ts';

const EXPIRED = 'the reservation expired';
/** Of another peer's reservations this text alone tells the director why they were lost. */
export const GIVES_WAY = 'an older task needs the slot';

/** How much longer than announced a performer holds its reservation: the order to start needs time to travel. */
const HOLD_FACTOR = 2;

/** FQ-I2: the director's side sends the invitation; the performer's side begins to reserve, or renews. */
export function invite(task: Task, event: EventOf<'invite'>, context: Context): Outcome {
  const { epoch, priority } = event;
  const metadata =
    event.container === null ? task.metadata : { ...task.metadata, container: event.container };
  const known = { epoch, priority, metadata } satisfies Partial<Task>;
  if (isSent(task)) return inviteRemote(task, known, context);
  if (task.epoch === 0 && task.job !== null) return ignored('it is under way as a simple task');
  if (task.status !== 'created' && epoch <= task.epoch) return ignored('an invitation that was here before');
  if (task.status === 'syncing') return applied(known);
  if (task.status === 'reserved') return announce({ ...task, ...known }, known, context);
  const invited: Task = { ...task, ...known, type: 'sequential', status: 'syncing' };
  const job = task.job === null ? nextJob(invited, context) : {};
  const timers = task.epoch === 0 ? startTimers(task) : [];
  return applied({ ...known, type: 'sequential', status: 'syncing', ...job }, timers);
}

function inviteRemote(
  task: Task,
  known: Pick<Task, 'epoch' | 'priority' | 'metadata'>,
  context: Context,
): Outcome {
  const effects: Effect[] = [
    { effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] },
    invitationMessage({ ...task, ...known }, context),
    ...reinviteTimer(task, known.epoch, context),
  ];
  if (task.status === 'created' && task.epoch === 0) effects.push(...startTimers(task));
  return applied({ status: 'syncing', ...known, ...withoutNotice(task, effects) }, effects);
}

/** A reservation of an earlier epoch need not be told to the container any more. */
function withoutNotice(task: Task, effects: Effect[]): Partial<Task> {
  if (task.job !== 'new_reservation') return {};
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  return { job: null, jobQueue: null, workerId: null };
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
    takeovers: 0,
    error: null,
    metadata: { ...task.metadata, reservationLost: false },
  };
  return announce({ ...task, ...changes }, changes, context);
}

/** The director hears of the reservation, by a message if it is a peer. */
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
  const effects: Effect[] = [
    { effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] },
    reservationTimer(task, task.epoch, event.seconds, context),
  ];
  return directorHears({ ...task, ...changes }, changes, effects, context);
}

/** The container's handler hears of the reservation first, if it wants to (FQ-A7). */
function directorHears(task: Task, changes: Partial<Task>, effects: Effect[], context: Context): Outcome {
  if (containerFacts(task, context)?.hearsNewReservation !== true) return count(task, changes, effects);
  // It hears of the loss of the last reservation before it hears of the new one.
  if (task.job === 'cancelled_reservation') return applied(changes, effects);
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  return applied({ ...changes, ...newReservation(context) }, effects);
}

function newReservation(context: Context): Partial<Task> {
  return {
    job: 'new_reservation',
    jobQueue: INTERNAL_QUEUE,
    workerId: null,
    attempt: 0,
    runAt: context.now,
  };
}

function containerFacts(task: Task, context: Context) {
  const handler = task.metadata.container;
  if (handler === undefined) return undefined;
  return context.facts({ action: VIRTUAL_ACTION, queue: INTERNAL_QUEUE, metadata: { handler } });
}

/** The container counts the reservation. */
function count(task: Task, changes: Partial<Task>, effects: Effect[]): Outcome {
  const event = { type: 'child_reserved', childId: task.id, epoch: task.epoch } as const;
  const metadata = { ...task.metadata, ...changes.metadata, counted: task.epoch };
  return applied({ ...changes, metadata }, [...effects, { effect: 'event', taskId: task.parentId!, event }]);
}

/** `new_reservation`, `cancelled_reservation` or `cancel_reservation` has run. */
export function noticeDone(task: Task, event: EventOf<'notice_done'>, context: Context): Outcome {
  const { ending } = task.metadata;
  if (ending !== undefined) return end(task, ending.failure, context, {}, ending.quiet);
  const edits: Effect[] = Object.entries(event.inputs).map(([taskId, input]) => ({
    effect: 'event',
    taskId,
    event: { type: 'set_input', input },
  }));
  const changes: Partial<Task> = { attempt: 0, takeovers: 0, ...nextJob(task, context) };
  if (task.job !== 'new_reservation') return applied(changes, edits);
  // The slot is a performer's and stays held; the notice was the director's.
  return count(task, { ...changes, slot: task.slot }, edits);
}

/** The job that a task's status asks for, once its present job is done. */
export function nextJob(task: Task, context: Context): Partial<Task> {
  if (task.job === 'cancel_reservation' && !task.isReceived)
    if (containerFacts(task, context)?.hearsCancelledReservation === true)
      return { ...idle, job: 'cancelled_reservation', jobQueue: INTERNAL_QUEUE, runAt: context.now };
  if (task.job === 'cancelled_reservation' && task.status === 'reserved')
    if (containerFacts(task, context)?.hearsNewReservation === true)
      return { ...newReservation(context), slot: task.slot };
  if (isSent(task)) return idle;
  const job = task.status === 'syncing' ? 'reserve' : task.status === 'confirmed' ? 'execute' : null;
  return job === null ? idle : { ...idle, job, jobQueue: task.queue, runAt: context.now };
}

export function reservationExpired(
  task: Task,
  event: EventOf<'reservation_expired'>,
  context: Context,
): Outcome {
  if (event.epoch !== task.epoch) return ignored('a timer of an earlier epoch');
  if (task.status === 'syncing') {
    if (!isSent(task)) return ignored('the slot is still awaited');
    return applied({}, [invitationMessage(task, context), ...reinviteTimer(task, task.epoch, context)]);
  }
  return giveUp(task, EXPIRED, context);
}

/** Wound–wait: an older tree needs the slot; or the director called the reservation off. */
export function release(task: Task, event: EventOf<'release'>, context: Context): Outcome {
  if (isSent(task)) return ignored('the slot is the peer’s');
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
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  const told = { type: 'child_released', childId: task.id, epoch: task.epoch, reason } as const;
  if (task.isReceived)
    effects.push(
      internalMessage(task, 'conclave.reservation_cancelled', { epoch: task.epoch, reason }, context),
    );
  else effects.push({ effect: 'event', taskId: task.parentId!, event: told });
  const metadata = { ...task.metadata, reservationLost: true, lost: oneMore(task, reason) };
  return applied({ status: 'created', metadata, attempt: 0, ...afterGivingUp(task, context) }, effects);
}

/** Counted for whoever asks why it takes so long (D18). */
export function oneMore({ metadata }: Task, reason: string): Losses {
  const lost = metadata.lost ?? { expired: 0, yielded: 0, other: 0 };
  if (reason === EXPIRED) return { ...lost, expired: lost.expired + 1 };
  if (reason.startsWith(GIVES_WAY)) return { ...lost, yielded: lost.yielded + 1 };
  return { ...lost, other: lost.other + 1 };
}

function afterGivingUp(task: Task, context: Context): Partial<Task> {
  if (!isSent(task) && context.facts(task)?.cancelsReservation === true)
    // The slot stays held until the handler has freed what it had reserved.
    return { job: 'cancel_reservation', jobQueue: task.queue, workerId: null, runAt: context.now };
  if (!task.isReceived && containerFacts(task, context)?.hearsCancelledReservation === true)
    return { ...idle, job: 'cancelled_reservation', jobQueue: INTERNAL_QUEUE, runAt: context.now };
  return idle;
}

/** FQ-I4: on the director's side the start is decided; on the performer's side the order arrives. */
export function execute(task: Task, event: EventOf<'execute'>, context: Context): Outcome {
  if (event.epoch !== null && event.epoch !== task.epoch) return ignored('of an earlier epoch');
  if (task.epoch === 0) return ignored('the task was never invited');
  const input = event.input === undefined ? task.input : event.input;
  const effects: Effect[] = [{ effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] }];
  if (isSent(task)) {
    if (task.status !== 'reserved') return ignored('the peer holds no reservation');
    const data = { action: task.action, queue_name: task.queue, input_data: input, epoch: task.epoch };
    effects.push(internalMessage(task, 'frestq.execute_synchronized', data, context));
    return applied({ status: 'confirmed', input }, effects);
  }
  const confirmed: Task = { ...task, status: 'confirmed', input };
  if (task.status === 'syncing' && task.job === 'reserve')
    return startUnreserved(confirmed, effects, context);
  const job = task.job === null ? { ...nextJob(confirmed, context), slot: task.slot } : {};
  return applied({ status: 'confirmed', input, ...job }, effects);
}

/** The order came while the slot was awaited again: the others may run already, so it starts without. */
function startUnreserved(confirmed: Task, effects: Effect[], context: Context): Outcome {
  if (confirmed.workerId !== null) effects.push({ effect: 'abort', taskId: confirmed.id });
  const { status, input } = confirmed;
  const metadata = { ...confirmed.metadata, reservationLost: true };
  const job = nextJob({ ...confirmed, job: null }, context);
  return applied({ status, input, metadata, ...job, slot: confirmed.slot, attempt: 0 }, effects);
}
