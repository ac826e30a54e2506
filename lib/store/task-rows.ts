/**
 * Tasks as rows: the columns of the table `tasks` and their translation, both ways (FQ-T10).
 */

import type { Task } from '../engine/model.ts';

/** A column: its name, its PostgreSQL type, and whether it changes after the insertion. */
export interface Column {
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

/** The columns' values, in the order of `SELECTION`; further ones behind. */
export type TaskRow = unknown[];

/** Written out: an object that is made whole, in one shape, is what the engine copies quickly ever after. */
export function toTask(row: TaskRow): Task {
  const [id, rootId, parentId, order, label, type, action, queue, status, isReceived, isLocal, peerId] = row;
  return {
    id,
    rootId,
    parentId,
    order,
    label,
    type,
    action,
    queue,
    status,
    isReceived,
    isLocal,
    peerId,
    senderUrl: row[12],
    receiverUrl: row[13],
    createdDate: row[14],
    modifiedDate: row[15],
    pingbackDate: row[16],
    expirationDate: row[17],
    infoText: row[18],
    input: row[19],
    output: row[20],
    reservationData: row[21],
    asyncData: row[22],
    metadata: row[23],
    error: row[24],
    progress: row[25],
    quorum: row[26],
    children: row[27],
    childrenFinished: row[28],
    childrenFailed: row[29],
    childrenReserved: row[30],
    handled: row[31],
    epoch: row[32],
    priority: row[33],
    job: row[34],
    jobQueue: row[35],
    runAt: row[36],
    attempt: row[37],
    takeovers: row[38],
    workerId: row[39],
    fence: Number(row[40]),
    slot: row[41],
  } as Task;
}

/** The values of a column, over all tasks, as an array's text: `unnest` takes it. */
export function columnText(tasks: readonly Task[], { field, type }: Column): string {
  switch (type) {
    case 'json':
      return arrayText(tasks.map((task) => jsonText(task[field])));
    case 'timestamptz':
      return arrayText(tasks.map((task) => dateText(task[field] as Date | null)));
    case 'text':
      return arrayText(tasks.map((task) => task[field] as string | null));
    default:
      return `{${tasks.map((task) => task[field] ?? 'NULL').join()}}`;
  }
}

/** PostgreSQL's text of an array of texts. */
export function arrayText(texts: readonly (string | null)[]): string {
  let array = '';
  for (const text of texts) {
    array += array === '' ? '{' : ',';
    array += text === null ? 'NULL' : `"${SPECIAL.test(text) ? text.replaceAll(/["\\]/g, '\\$&') : text}"`;
  }
  return array === '' ? '{}' : `${array}}`;
}

const SPECIAL = /["\\]/;

/** As PostgreSQL reads it, whatever its time zone. */
function dateText(date: Date | null): string | null {
  return date === null ? null : date.toISOString();
}

/** JSON `null` and absent values are both SQL null. */
export function jsonText(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}
