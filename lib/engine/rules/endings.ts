/**
 * How tasks end, and how an end travels: to the parent, to the peer that sent the task, to subtasks that will
 * never start (FQ-T2, FQ-T3, FQ-T8).
 */
import type { Failure } from '../../errors.ts';
import { applied, type Context, type Effect, type Outcome } from '../events.ts';
import { isSent, type Status, type Task } from '../model.ts';
import { internalMessage, updateMessage } from './messages.ts';

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

/**
 * The task has ended: finished, or with an error.
 * @param quiet the parent knows already
 */
export function end(
  task: Task,
  failure: Failure | null,
  context: Context,
  changes: Partial<Task> = {},
  quiet = false,
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
  if (task.parentId !== null && !quiet)
    effects.push({
      effect: 'event',
      taskId: task.parentId,
      event: {
        type: 'child_ended',
        childId: task.id,
        order: task.order,
        failure,
        reservedIn: task.status === 'reserved' ? (task.metadata.counted ?? null) : null,
      },
    });
  if (task.isReceived && task.metadata.unnamed !== true) effects.push(updateMessage(ended, context));
  const { status, error, job, jobQueue, workerId, slot } = ended;
  return applied({ ...changes, status, error, job, jobQueue, workerId, slot }, effects);
}

/** Subtasks that have not started will not; those of a synchronized task that has not started neither. */
function abandonChildren(task: Task, cause: Failure, context: Context): Effect {
  if (task.metadata.endsTogether === true)
    return cancelChildren(task, UNFINISHED, cancelledBecause(cause, context), true);
  const invited: readonly Status[] = ['created', 'syncing', 'reserved'];
  const statuses: readonly Status[] =
    task.type === 'synchronized' && task.metadata.started !== true ? invited : ['created'];
  return cancelChildren(task, statuses, notStarted(cause, context), true);
}

function cancelledBecause(cause: Failure, context: Context): Failure {
  return { code: 'cancelled', message: `cancelled: ${cause.message}`, node: context.node.name };
}

export function notStarted(cause: Failure, context: Context): Failure {
  return {
    code: 'not_started',
    message: `not started, because ${cause.message}`,
    data: { cause: cause.code },
    node: context.node.name,
  };
}

/** @param quiet the children need not say that they ended */
export function cancelChildren(
  task: Task,
  statuses: readonly Status[],
  failure: Failure,
  quiet: boolean,
): Effect {
  const event = quiet
    ? ({ type: 'cancel', failure, quiet } as const)
    : ({ type: 'cancel', failure } as const);
  return { effect: 'children', parentId: task.id, statuses, event };
}

/** An error of the task or below it: its error handler may recover; otherwise the task ends (FQ-T8). */
export function fail(task: Task, failure: Failure, context: Context, changes: Partial<Task> = {}): Outcome {
  const handles =
    !isSent(task) && context.facts(task)?.handlesErrors === true && task.metadata.errorHandled !== true;
  if (!handles || task.status !== 'executing') return end(task, failure, context, changes);
  const effects: Effect[] = [];
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  if (task.type === 'synchronized' && task.metadata.started !== true) {
    effects.push({ effect: 'clear_timers', taskId: task.id, kinds: ['quorum'] });
    effects.push(abandonChildren({ ...task, ...changes }, failure, context));
  }
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
export function stop(task: Task, failure: Failure, context: Context, quiet = false): Outcome {
  const outcome = end(task, failure, context, {}, quiet);
  if (outcome.outcome !== 'applied') return outcome;
  const effects: Effect[] = [];
  if (task.children > 0) {
    const cancelled: Failure = {
      code: 'cancelled',
      message: `cancelled: the task above it ended: ${failure.message}`,
      node: context.node.name,
    };
    effects.push(cancelChildren(task, UNFINISHED, cancelled, true));
  }
  if (isSent(task) && task.status !== 'created') {
    effects.push({ effect: 'withdraw', taskId: task.id });
    effects.push(internalMessage(task, 'conclave.cancel_task', { reason: failure.message }, context));
  }
  return applied(outcome.changes, [...effects, ...outcome.effects]);
}

/**
 * As `stop`; but a task that holds a reservation which its definition must free (FQ-A6) does that first, and ends
 * when it has.
 */
export function stopFreeing(task: Task, failure: Failure, context: Context, quiet: boolean): Outcome {
  const frees = !isSent(task) && context.facts(task)?.cancelsReservation === true;
  const ending = { ...task.metadata, ending: { failure, quiet } };
  if (frees && task.job === 'cancel_reservation') return applied({ metadata: ending });
  const holds =
    (task.status === 'reserved' || task.status === 'confirmed') && task.metadata.reservationLost !== true;
  if (!frees || !holds) return stop(task, failure, context, quiet);
  const effects: Effect[] = [{ effect: 'clear_timers', taskId: task.id, kinds: ['reservation'] }];
  if (task.workerId !== null) effects.push({ effect: 'abort', taskId: task.id });
  const job = { job: 'cancel_reservation', jobQueue: task.queue, workerId: null, attempt: 0 } as const;
  return applied({ ...job, runAt: context.now, metadata: ending }, effects);
}
