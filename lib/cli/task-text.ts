/** Tasks and messages as the original prints them: tree lines, records, the text of a decision (FQ-C5…C7). */

import type { Task } from '../engine/model.ts';
import { hasEnded, isSent } from '../engine/model.ts';
import type { Why } from '../engine/why.ts';
import type { Json } from '../json.ts';
import type { Peer } from '../protocol/peers.ts';
import type { MessageRow } from '../store/task-queries.ts';

const SHORT_ID = 8;

export function shortId(id: string): string {
  return id.slice(0, SHORT_ID);
}

/** `create_election.orchestra_director - sequential (ef0de3c1, executing)`. */
export function taskLine({ action, queue, type, id, status }: Task, marks: readonly string[] = []): string {
  return `${action}.${queue} - ${type} (${[shortId(id), status, ...marks].join(', ')})`;
}

/**
 * One line for each task, indented as in the original; what is wrong or slow is added at the line's end.
 *
 * @param tasks parents before children, siblings in their order; the first is at the top
 * @param asked id of the task that was asked for; marked `root`
 * @param whys what tasks wait for, by their ids: a line of its own below each of them (D18)
 */
export function treeLines(
  tasks: readonly Task[],
  asked: string,
  peers: readonly Peer[],
  whys: ReadonlyMap<string, Why> = new Map(),
): string[] {
  const depths = new Map<string, number>();
  return tasks.flatMap((task) => {
    const above = task.parentId === null ? undefined : depths.get(task.parentId);
    const depth = above === undefined ? 0 : above + 1;
    depths.set(task.id, depth);
    const indent = depth === 0 ? ' * ' : ` ${'|  '.repeat(depth - 1)}|- `;
    const line = `${indent}${taskLine(task, task.id === asked ? ['root'] : [])}${remark(task, peers)}`;
    const why = whys.get(task.id);
    // Of a container the tasks below it say why.
    return why?.taskId === task.id ? [line, ` ${'|  '.repeat(depth)}  why: ${why.sentence}`] : [line];
  });
}

/** Nothing for a task with which all is as it should be. */
function remark(task: Task, peers: readonly Peer[]): string {
  if (task.status === 'error' && task.error !== null) {
    const node = task.error.node === undefined ? '' : ` at ${task.error.node}`;
    return `: ${task.error.message}${node}`;
  }
  if (hasEnded(task)) return '';
  const peer = isSent(task) ? peers.find(({ id }) => id === task.peerId) : undefined;
  if (peer !== undefined && peer.downSince !== null) {
    const reason = peer.lastError === null ? '' : ` (${peer.lastError})`;
    return `: ${peer.name} does not answer since ${peer.downSince.toISOString().slice(0, 19)}Z${reason}`;
  }
  const done = shareDone(task.progress);
  return done === null ? '' : `: ${done}`;
}

function shareDone(progress: Json): string | null {
  if (typeof progress !== 'object' || progress === null || Array.isArray(progress)) return null;
  const { step, done, total } = progress;
  if (typeof done !== 'number' || typeof total !== 'number' || total <= 0) return null;
  const text = typeof step === 'string' ? `${step} ` : '';
  return `${text}${Math.round((100 * done) / total)} %`;
}

/** The record of a task under the original's names (FQ-T10), and what ours has beside it. */
export function taskRecord(task: Task): Record<string, unknown> {
  return {
    id: task.id,
    task_type: task.type,
    label: task.label,
    action: task.action,
    queue_name: task.queue,
    status: task.status,
    is_received: task.isReceived,
    is_local: task.isLocal,
    parent_id: task.parentId,
    root_id: task.rootId,
    order: task.order,
    receiver_url: task.receiverUrl,
    sender_url: task.senderUrl,
    peer_id: task.peerId,
    created_date: task.createdDate,
    last_modified_date: task.modifiedDate,
    input_data: task.input,
    output_data: task.output,
    reservation_data: task.reservationData,
    pingback_date: task.pingbackDate,
    expiration_date: task.expirationDate,
    async_data: task.asyncData,
    info_text: task.infoText,
    task_metadata: task.metadata,
    error: task.error,
    progress: task.progress,
    quorum: task.quorum,
    attempt: task.attempt,
  };
}

/** What an operator decides about: the tree line, the label, the text (FQ-C7), and all of it (D33). */
export function externalText(task: Task): string {
  const text = wholeDescription(task) ?? task.infoText ?? JSON.stringify(task.input, null, 4);
  return [`* ${taskLine(task)}`, `label: ${task.label ?? ''}`, 'info_text:', text].join('\n');
}

/** A task's info has little room (FQ-P3): a longer description is in its data. */
function wholeDescription({ input }: Task): string | undefined {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return undefined;
  return typeof input.description === 'string' ? input.description : undefined;
}

/** A message under the original's names (FQ-T11), and what ours has beside it. */
export function messageRecord(message: MessageRow): Record<string, unknown> {
  return {
    id: message.id,
    sender_url: message.senderUrl,
    queue_name: message.queue,
    is_received: message.isReceived,
    receiver_url: message.receiverUrl,
    peer_id: message.peerId,
    created_date: message.createdDate,
    action: message.action,
    input_data: message.data,
    output_status: message.outputStatus,
    pingback_date: message.pingbackDate,
    expiration_date: message.expirationDate,
    info_text: message.infoText,
    task_id: message.taskId,
    async_data: message.asyncData,
    state: message.state,
    attempts: message.attempts,
    next_attempt: message.nextAttempt,
    deadline: message.deadline,
    error: message.error,
  };
}
