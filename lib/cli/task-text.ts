/** Tasks and messages as the original prints them: tree lines, records, the text of a decision (FQ-C5…C7). */
import type { Json, Task } from '../engine/model.ts';
import { hasEnded, isSent } from '../engine/model.ts';
import type { Peer } from '../protocol/peers.ts';
import type { MessageRow } from '../store/listings.ts';

const SHORT_ID = 8;

export function shortId(id: string): string {
  return id.slice(0, SHORT_ID);
}

/** `create_election.orchestra_director - sequential (ef0de3c1, executing)`. */
export function taskLine({ action, queue, type, id, status }: Task, marks: readonly string[] = []): string {
  return `${action}.${queue} - ${type} (${[shortId(id), status, ...marks].join(', ')})`;
}

export interface TreeText {
  readonly tasks: readonly Task[];
  /** The task that was asked for. */
  readonly asked: string;
  readonly withParents: boolean;
  readonly peers: readonly Peer[];
}

/** One line for each task, indented as in the original; what is wrong or slow is added at the line's end. */
export function treeLines({ tasks, asked, withParents, peers }: TreeText): string[] {
  const children = new Map<string, Task[]>();
  for (const task of tasks) {
    if (task.parentId === null) continue;
    children.set(task.parentId, [...(children.get(task.parentId) ?? []), task]);
  }
  const byId = new Map(tasks.map((task) => [task.id, task]));
  let top = byId.get(asked);
  while (withParents && top !== undefined && top.parentId !== null && byId.has(top.parentId)) {
    top = byId.get(top.parentId);
  }
  const lines: string[] = [];
  const visit = (task: Task, depth: number): void => {
    const indent = depth === 0 ? ' * ' : ` ${'|  '.repeat(depth - 1)}|- `;
    lines.push(`${indent}${taskLine(task, task.id === asked ? ['root'] : [])}${remark(task, peers)}`);
    for (const child of children.get(task.id) ?? []) visit(child, depth + 1);
  };
  if (top !== undefined) visit(top, 0);
  return lines;
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

/** What an operator decides about: the tree line, the label, the text (FQ-C7). */
export function externalText(task: Task): string {
  const text = task.infoText ?? JSON.stringify(task.input, null, 4);
  return [`* ${taskLine(task)}`, `label: ${task.label ?? ''}`, 'info_text:', text].join('\n');
}

/** A message under the original's names (FQ-T11). */
export function messageRecord(message: MessageRow): Record<string, unknown> {
  return { ...message };
}
