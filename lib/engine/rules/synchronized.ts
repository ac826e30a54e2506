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
import { INTERNAL_QUEUE, type Status, type Task } from '../model.ts';
import { cancelChildren, idle } from './endings.ts';
import { oneMore } from './reservations.ts';

const WAITING: readonly Status[] = ['created', 'syncing', 'reserved'];

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
  const past = isPast(task, event.epoch);
  if (past !== undefined) return past;
  const changes = { childrenReserved: task.childrenReserved + 1 };
  return startIfReady({ ...task, ...changes }, changes, context);
}

/** A reservation, or its loss, that does not matter any more. */
function isPast(task: Task, epoch: number): Outcome | undefined {
  if (task.metadata.started === true) return ignored('the start is decided');
  if (task.metadata.errorHandled === true) return ignored('there will be no start');
  if (epoch !== task.epoch) return ignored(`of epoch ${epoch}; now it is ${task.epoch}`);
  return undefined;
}

function stillActive(task: Task): number {
  return task.children - task.childrenFailed - task.childrenFinished;
}

/** A child that ended holds no reservation any more. */
export function uncount(task: Task, event: EventOf<'child_ended'>): Partial<Task> {
  if (event.reservedIn === null || event.reservedIn !== task.epoch) return {};
  return { childrenReserved: task.childrenReserved - 1 };
}

export function afterChildEnded(task: Task, changes: Partial<Task>, context: Context): Outcome {
  return task.metadata.started === true ? applied(changes) : startIfReady(task, changes, context);
}

function startIfReady(task: Task, changes: Partial<Task>, context: Context): Outcome {
  if (task.job !== null) return applied(changes);
  if (task.childrenReserved >= stillActive(task)) return decideStart(task, changes, context);
  if (task.quorum === null || task.childrenReserved !== task.quorum) return applied(changes);
  const fireAt = new Date(context.now.getTime() + (task.metadata.quorumWait ?? 0) * 1000);
  return applied(changes, [{ effect: 'timer', taskId: task.id, kind: 'quorum', fireAt, epoch: task.epoch }]);
}

export function startWithQuorum(task: Task, event: EventOf<'quorum_waited'>, context: Context): Outcome {
  const past = isPast(task, event.epoch);
  if (past !== undefined) return past;
  if (task.job !== null) return ignored('the start is being decided');
  if (task.childrenReserved < (task.quorum ?? task.children)) return ignored('the quorum was lost again');
  return decideStart(task, {}, context);
}

function decideStart(task: Task, changes: Partial<Task>, context: Context): Outcome {
  if (context.facts(task)?.preExecutes === true)
    return applied({ ...changes, job: 'pre_execute', jobQueue: INTERNAL_QUEUE, runAt: context.now });
  return startAll(task, changes, {}, context);
}

export function preExecuteDone(task: Task, event: EventOf<'pre_execute_done'>, context: Context): Outcome {
  // While the hook ran, one of a quorum may have failed: then the next one to reserve starts it.
  if (task.childrenReserved < Math.min(task.quorum ?? task.children, stillActive(task))) return applied(idle);
  return startAll(task, idle, event.inputs, context);
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
    cancelChildren(task, ['created', 'syncing'], late, false),
  ]);
}

export function childReleased(task: Task, event: EventOf<'child_released'>): Outcome {
  const past = isPast(task, event.epoch);
  if (past !== undefined) return past;
  const epoch = task.epoch + 1;
  const effects: Effect[] = [
    { effect: 'clear_timers', taskId: task.id, kinds: ['quorum'] },
    inviteAll(task, epoch),
  ];
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  const metadata = { ...task.metadata, lost: oneMore(task, event.reason) };
  return applied({ ...idle, epoch, childrenReserved: 0, metadata }, effects);
}
