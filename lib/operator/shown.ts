/** Pieces of which the views are made: hashes in words, failures, tasks as lists show them. Pure. */
import type { Task } from '../engine/model.ts';
import { hasEnded } from '../engine/model.ts';
import type { Why } from '../engine/why.ts';
import type { Failure } from '../errors.ts';
import type { Json } from '../json.ts';
import { fingerprintWords } from '../protocol/fingerprint-words.ts';
import type { ListedTask } from '../store/task-pages.ts';
import type { FailureView, HashView, TaskSummary, TaskView, WhyView } from './views.ts';

/** @param hex SHA-256, lower-case hex */
export function hashView(hex: string): HashView {
  return { hex, words: fingerprintWords(hex) };
}

export function failureView(failure: Failure | null | undefined): FailureView | null {
  if (failure === null || failure === undefined) return null;
  const { code, message, node = null, data = null } = failure;
  return { code, message, node, data: data as Json };
}

export function dateText(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

/** The answer of `why` (D18), as it crosses a border. */
export function whyView({ taskId, waitingFor, since, tried, next, sentence }: Why): WhyView {
  return {
    task_id: taskId,
    waiting_for: waitingFor,
    since: since.toISOString(),
    tried: { attempts: tried.attempts, last_error: tried.lastError },
    next: dateText(next),
    sentence,
  };
}

/** The name of a peer that is known; its id where it was removed. */
export type NameOfPeer = (peerId: string) => string | undefined;

export function taskSummary(task: ListedTask | Task, nameOf: NameOfPeer, why: string | null): TaskSummary {
  const { peerId } = task;
  return {
    id: task.id,
    root_id: task.rootId,
    parent_id: task.parentId,
    order: task.order,
    label: task.label,
    type: task.type,
    action: task.action,
    queue: task.queue,
    status: task.status,
    is_received: task.isReceived,
    is_local: task.isLocal,
    peer: peerId === null ? null : { id: peerId, name: nameOf(peerId) ?? peerId },
    created_date: task.createdDate.toISOString(),
    modified_date: task.modifiedDate.toISOString(),
    children: task.children,
    children_finished: task.childrenFinished,
    children_failed: task.childrenFailed,
    progress: progressOf(task.progress),
    error: failureView(task.error),
    why: hasEnded(task) ? null : why,
  };
}

export function progressOf(progress: Json): TaskSummary['progress'] {
  if (typeof progress !== 'object' || progress === null || Array.isArray(progress)) return null;
  const { step, done, total } = progress;
  if (typeof done !== 'number') return null;
  const all = typeof total === 'number' ? total : 0;
  return { step: typeof step === 'string' ? step : null, done, total: all };
}

export const ALLOWED = { allowed: true, reason: null } as const;

export function refused(reason: string): TaskView['actions']['retry'] {
  return { allowed: false, reason };
}
