/**
 * The messages that tasks cause (FQ-P6, FQ-I*), and the timers that they have from their start (D17).
 */

import type { Json } from '../../json.ts';
import type { Context, Effect } from '../events.ts';
import { INTERNAL_QUEUE, isSent, type Task, VIRTUAL_ACTION } from '../model.ts';

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

/** FQ-I2; `epoch` and `priority` ride along for peers that understand them (D16). */
export function invitationMessage(task: Task, context: Context): Effect {
  const data = {
    task_id: task.id,
    action: task.action,
    queue_name: task.queue,
    pingback_date: wireDate(task.pingbackDate),
    input_data: task.input,
    expiration_date: wireDate(task.expirationDate),
    epoch: task.epoch,
    priority: task.priority,
  };
  return internalMessage(task, 'frestq.synchronize_task', data, context);
}

/** In the only form that an original reads as a date: six digits of fraction, no zone, UTC (FQ-P8). */
function wireDate(date: Date | null): string | null {
  return date === null ? null : `${date.toISOString().slice(0, 23)}000`;
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
