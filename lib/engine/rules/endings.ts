/**
 * How tasks end, and how an end travels: to the parent, to the peer that sent the task, to subtasks that will
 * never start (FQ-T2, FQ-T3, FQ-T8).
 */
import type { Failure } from '../../errors.ts';
import { applied, type Context, type Effect, type Outcome } from '../events.ts';
import { INTERNAL_QUEUE, isSent, type Json, type Status, type Task, VIRTUAL_ACTION } from '../model.ts';

export const UNFINISHED: readonly Status[] = [
  'created',
  'sent',
  'syncing',
  'reserved',
  'confirmed',
  'executing',
];

/** Changes that take a task out of the workers' hands. */
export const idle = { job: null, jobQueue: null, workerId: null, slot: false } as const;

/** The task has ended: finished, or with an error. */
export function end(
  task: Task,
  failure: Failure | null,
  context: Context,
  changes: Partial<Task> = {},
): Outcome {
  const ended: Task = {
    ...task,
    ...changes,
    ...idle,
    status: failure === null ? 'finished' : 'error',
    error: failure,
  };
  const effects: Effect[] = [{ effect: 'clear_timers', taskId: task.id, kinds: 'all' }];
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  if (failure !== null && ended.children > 0) effects.push(abandonChildren(ended, failure, context));
  if (task.parentId !== null)
    effects.push({
      effect: 'event',
      taskId: task.parentId,
      event: { type: 'child_ended', childId: task.id, order: task.order, failure },
    });
  if (task.isReceived && task.metadata.unnamed !== true) effects.push(updateMessage(ended, context));
  const { status, error, job, jobQueue, workerId, slot } = ended;
  return applied({ ...changes, status, error, job, jobQueue, workerId, slot }, effects);
}

/** Subtasks that have not started will not; those of a synchronized task that has not started neither. */
function abandonChildren(task: Task, cause: Failure, context: Context): Effect {
  const invited: readonly Status[] = ['created', 'syncing', 'reserved'];
  const statuses: readonly Status[] =
    task.type === 'synchronized' && task.metadata.started !== true ? invited : ['created'];
  return cancelChildren(task, statuses, notStarted(cause, context));
}

export function notStarted(cause: Failure, context: Context): Failure {
  return {
    code: 'not_started',
    message: `not started, because ${cause.message}`,
    data: { cause: cause.code },
    node: context.node.name,
  };
}

export function cancelChildren(task: Task, statuses: readonly Status[], failure: Failure): Effect {
  return { effect: 'children', parentId: task.id, statuses, event: { type: 'cancel', failure } };
}

/** An error of the task or below it: its error handler may recover; otherwise the task ends (FQ-T8). */
export function fail(task: Task, failure: Failure, context: Context, changes: Partial<Task> = {}): Outcome {
  const handles = context.facts(task)?.handlesErrors === true && task.metadata.errorHandled !== true;
  if (!handles || task.status !== 'executing') return end(task, failure, context, changes);
  const effects: Effect[] = [];
  if (task.type === 'synchronized' && task.metadata.started !== true)
    effects.push(abandonChildren({ ...task, ...changes }, failure, context));
  return applied(
    {
      ...changes,
      ...idle,
      error: failure,
      metadata: { ...task.metadata, ...changes.metadata, errorHandled: true },
      job: 'handle_error',
      jobQueue: task.queue,
      runAt: context.now,
      attempt: 0,
    },
    effects,
  );
}

/** Ended from outside: everything below ends too, and the peer that executes it is told (D17). */
export function stop(task: Task, failure: Failure, context: Context): Outcome {
  const outcome = end(task, failure, context);
  if (outcome.outcome !== 'applied') return outcome;
  const effects: Effect[] = [];
  if (task.children > 0)
    effects.push(
      cancelChildren(task, UNFINISHED, {
        code: 'cancelled',
        message: `cancelled: the task above it ended: ${failure.message}`,
        node: context.node.name,
      }),
    );
  if (isSent(task) && task.status !== 'created') {
    effects.push({ effect: 'withdraw', taskId: task.id });
    effects.push(internalMessage(task, 'conclave.cancel_task', { reason: failure.message }, context));
  }
  return applied(outcome.changes, [...effects, ...outcome.effects]);
}

/** A message about a task to the node at its other end (FQ-I*). */
export function internalMessage(task: Task, action: string, data: Json, context: Context): Effect {
  return {
    effect: 'message',
    message: {
      messageId: context.newId(),
      peerId: task.peerId!,
      queue: INTERNAL_QUEUE,
      action,
      taskId: task.id,
      data,
      infoText: null,
      pingbackDate: null,
      expirationDate: null,
      asyncData: null,
      deadline: null,
    },
  };
}

/** FQ-I1; the reason of an error rides along for peers that understand it (D4). */
export function updateMessage(task: Task, context: Context): Effect {
  const status = task.status === 'finished' || task.status === 'error' ? task.status : 'executing';
  const data: { [key: string]: Json } = { output_data: task.output, status };
  if (task.error !== null && status === 'error') data.error = task.error as unknown as Json;
  if (task.progress !== null && status === 'executing') data.progress = task.progress;
  return internalMessage(task, 'frestq.update_task', data, context);
}

/** The message that makes a peer execute a sent task (FQ-P6). */
export function taskMessage(task: Task, context: Context): Effect {
  return {
    effect: 'message',
    message: {
      messageId: context.newId(),
      peerId: task.peerId!,
      queue: task.queue,
      action: task.action,
      taskId: task.id,
      data: task.input,
      infoText: task.infoText,
      pingbackDate: task.pingbackDate,
      expirationDate: task.expirationDate,
      asyncData: task.asyncData,
      deadline: task.expirationDate,
    },
  };
}

export function isContainer(task: Pick<Task, 'action'>): boolean {
  return task.action === VIRTUAL_ACTION;
}

/** Timers that a task has from its start (D17). */
export function startTimers(task: Task): Effect[] {
  const effects: Effect[] = [];
  const { id: taskId, expirationDate, pingbackDate } = task;
  if (expirationDate !== null)
    effects.push({ effect: 'timer', taskId, kind: 'expiration', fireAt: expirationDate, epoch: 0 });
  if (pingbackDate !== null && isSent(task))
    effects.push({ effect: 'timer', taskId, kind: 'pingback', fireAt: pingbackDate, epoch: 0 });
  return effects;
}
