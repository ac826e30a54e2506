/**
 * Tasks as rows: the columns of the table `tasks` and their translation, both ways (FQ-T10).
 */

import type { Task } from '../engine/model.ts';
import type { Json } from '../json.ts';

/** A column: its name, its PostgreSQL type, and whether it changes after the insertion. */
interface Column {
  readonly field: keyof Task;
  readonly name: string;
  readonly type: 'text' | 'integer' | 'bigint' | 'boolean' | 'timestamptz' | 'json';
  readonly fixed?: true;
}

export const TASK_COLUMNS: readonly Column[] = [
  { field: 'id', name: 'id', type: 'text', fixed: true },
  { field: 'rootId', name: 'root_id', type: 'text', fixed: true },
  { field: 'parentId', name: 'parent_id', type: 'text', fixed: true },
  { field: 'order', name: '"order"', type: 'integer', fixed: true },
  { field: 'label', name: 'label', type: 'text', fixed: true },
  { field: 'type', name: 'task_type', type: 'text' },
  { field: 'action', name: 'action', type: 'text', fixed: true },
  { field: 'queue', name: 'queue_name', type: 'text', fixed: true },
  { field: 'status', name: 'status', type: 'text' },
  { field: 'isReceived', name: 'is_received', type: 'boolean', fixed: true },
  { field: 'isLocal', name: 'is_local', type: 'boolean', fixed: true },
  { field: 'peerId', name: 'peer_id', type: 'text', fixed: true },
  { field: 'senderUrl', name: 'sender_url', type: 'text', fixed: true },
  { field: 'receiverUrl', name: 'receiver_url', type: 'text', fixed: true },
  { field: 'createdDate', name: 'created_date', type: 'timestamptz', fixed: true },
  { field: 'modifiedDate', name: 'last_modified_date', type: 'timestamptz' },
  { field: 'pingbackDate', name: 'pingback_date', type: 'timestamptz', fixed: true },
  { field: 'expirationDate', name: 'expiration_date', type: 'timestamptz', fixed: true },
  { field: 'infoText', name: 'info_text', type: 'text', fixed: true },
  { field: 'input', name: 'input_data', type: 'json' },
  { field: 'output', name: 'output_data', type: 'json' },
  { field: 'reservationData', name: 'reservation_data', type: 'json' },
  { field: 'asyncData', name: 'async_data', type: 'json', fixed: true },
  { field: 'metadata', name: 'task_metadata', type: 'json' },
  { field: 'error', name: 'error', type: 'json' },
  { field: 'progress', name: 'progress', type: 'json' },
  { field: 'quorum', name: 'quorum', type: 'integer', fixed: true },
  { field: 'children', name: 'children', type: 'integer' },
  { field: 'childrenFinished', name: 'children_finished', type: 'integer' },
  { field: 'childrenFailed', name: 'children_failed', type: 'integer' },
  { field: 'childrenReserved', name: 'children_reserved', type: 'integer' },
  { field: 'handled', name: 'handled', type: 'boolean' },
  { field: 'epoch', name: 'epoch', type: 'integer' },
  { field: 'priority', name: 'priority', type: 'text' },
  { field: 'job', name: 'job', type: 'text' },
  { field: 'jobQueue', name: 'job_queue', type: 'text' },
  { field: 'runAt', name: 'run_at', type: 'timestamptz' },
  { field: 'attempt', name: 'attempt', type: 'integer' },
  { field: 'takeovers', name: 'takeovers', type: 'integer' },
  { field: 'workerId', name: 'worker_id', type: 'text' },
  { field: 'fence', name: 'fence', type: 'bigint' },
  { field: 'slot', name: 'slot', type: 'boolean' },
];

export const CHANGING_COLUMNS = TASK_COLUMNS.filter(({ fixed }) => fixed !== true);

/** For `select` and `returning`. */
export function selection(alias: string): string {
  return TASK_COLUMNS.map(({ name }) => `${alias}.${name}`).join(', ');
}

export const SELECTION = selection('tasks');

export type TaskRow = Record<string, unknown>;

export function toTask(row: TaskRow): Task {
  const task: Record<string, unknown> = {};
  for (const { field, name, type } of TASK_COLUMNS) {
    const value = row[name.replaceAll('"', '')];
    task[field] = type === 'bigint' ? Number(value) : value;
  }
  return task as unknown as Task;
}

/** The values of a column, over all tasks, as `unnest` takes them. */
export function columnValues(tasks: readonly Task[], { field, type }: Column): unknown[] {
  if (type === 'json') return tasks.map((task) => jsonText(task[field] as Json));
  return tasks.map((task) => task[field]);
}

/** JSON `null` and absent values are both SQL null. */
export function jsonText(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}
