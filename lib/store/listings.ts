/** Tasks and messages as operators look for them: by column, by the beginning of an id, whole trees. */
import type { Knex } from 'knex';
import type { Task } from '../engine/model.ts';
import { SELECTION } from './task-rows.ts';
import { select } from './tasks.ts';

export interface Filter {
  readonly column: string;
  readonly value: string;
}

/** What may be filtered by, as it is called for operators, and its column (FQ-C4). */
export const TASK_FILTERS: Readonly<Record<string, string>> = {
  id: 'id',
  task_type: 'task_type',
  status: 'status',
  action: 'action',
  queue: 'queue_name',
  queue_name: 'queue_name',
  label: 'label',
  sender_url: 'sender_url',
  receiver_url: 'receiver_url',
  is_received: 'is_received',
  is_local: 'is_local',
  parent_id: 'parent_id',
  root_id: 'root_id',
  peer_id: 'peer_id',
};

export const MESSAGE_FILTERS: Readonly<Record<string, string>> = {
  id: 'id',
  action: 'action',
  queue: 'queue_name',
  queue_name: 'queue_name',
  task_id: 'task_id',
  state: 'state',
  sender_url: 'sender_url',
  receiver_url: 'receiver_url',
  is_received: 'is_received',
  output_status: 'output_status',
  peer_id: 'peer_id',
};

/** Conditions over columns of an allow-list; a name that is not in it is a mistake of the caller's. */
function conditions(filters: readonly Filter[], columns: Readonly<Record<string, string>>): string {
  const parts = filters.map(({ column }) => {
    const known = Object.hasOwn(columns, column) ? columns[column] : undefined;
    if (known === undefined) throw new RangeError(`no filter is called ${column}`);
    return `cast(${known} as text) = ?`;
  });
  return parts.length === 0 ? '' : `where ${parts.join(' and ')}`;
}

/** Newest first. */
export async function listTasks(db: Knex, filters: readonly Filter[], limit: number): Promise<Task[]> {
  return await select(
    db,
    `select ${SELECTION} from tasks ${conditions(filters, TASK_FILTERS)} order by created_date desc, id limit ?`,
    [...filters.map(({ value }) => value), limit],
  );
}

export interface MessageRow {
  readonly id: string;
  readonly sender_url: string;
  readonly receiver_url: string;
  readonly queue_name: string;
  readonly action: string;
  readonly is_received: boolean;
  readonly peer_id: string | null;
  readonly task_id: string | null;
  readonly created_date: Date;
  readonly input_data: unknown;
  readonly info_text: string | null;
  readonly pingback_date: Date | null;
  readonly expiration_date: Date | null;
  readonly async_data: unknown;
  readonly output_status: number | null;
  readonly error: unknown;
  readonly state: string;
  readonly attempts: number;
  readonly next_attempt: Date;
  readonly deadline: Date | null;
}

const MESSAGE_COLUMNS = `id, sender_url, receiver_url, queue_name, action, is_received, peer_id, task_id, created_date,
  input_data, info_text, pingback_date, expiration_date, async_data, output_status, error, state, attempts,
  next_attempt, deadline`;

/** Newest first. */
export async function listMessages(
  db: Knex,
  filters: readonly Filter[],
  limit: number,
): Promise<MessageRow[]> {
  const { rows } = await db.raw<{ rows: MessageRow[] }>(
    `select ${MESSAGE_COLUMNS} from messages ${conditions(filters, MESSAGE_FILTERS)}
     order by created_date desc, seq desc limit ?`,
    [...filters.map(({ value }) => value), limit],
  );
  return rows;
}

export async function messagesWithId(db: Knex, id: string): Promise<MessageRow[]> {
  const { rows } = await db.raw<{ rows: MessageRow[] }>(
    `select ${MESSAGE_COLUMNS} from messages where id = ? order by seq`,
    [id],
  );
  return rows;
}

export interface Candidate {
  readonly id: string;
  /** What it is, for people. */
  readonly what: string;
}

/** The ids that begin so, a few at most (FQ-C13). An id that is exactly the text is the only one. */
export async function idsBeginning(
  db: Knex,
  table: 'tasks' | 'messages',
  prefix: string,
): Promise<Candidate[]> {
  const status = table === 'tasks' ? 'status' : 'state';
  const { rows } = await db.raw<{ rows: Candidate[] }>(
    `select distinct on (id) id, action || '.' || queue_name || ', ' || ${status} as what from ${table}
     where starts_with(id, ?) order by id limit 10`,
    [prefix],
  );
  const exact = rows.filter(({ id }) => id === prefix);
  return exact.length > 0 ? exact : rows;
}

/** All tasks of the tree on this node that a task belongs to; parents before children. */
export async function treeOf(db: Knex, taskId: string): Promise<Task[]> {
  return await select(
    db,
    `select ${SELECTION} from tasks where root_id = (select root_id from tasks where id = ?)
     order by parent_id nulls first, "order"`,
    [taskId],
  );
}

export interface QueueActivity {
  readonly queue: string;
  readonly executing: number;
  readonly waiting: number;
  readonly slots: number;
  readonly unfinished: number;
  readonly errors: number;
}

/** What happens in each queue now, and its errors of the last day (FQ-C9). */
export async function queueActivity(db: Knex): Promise<QueueActivity[]> {
  const { rows } = await db.raw<{ rows: QueueActivity[] }>(
    `select queue_name as queue,
       cast(count(*) filter (where worker_id is not null) as integer) as executing,
       cast(count(*) filter (where job is not null and worker_id is null) as integer) as waiting,
       cast(count(*) filter (where slot) as integer) as slots,
       cast(count(*) filter (where status not in ('finished', 'error')) as integer) as unfinished,
       cast(count(*) filter (where status = 'error') as integer) as errors
     from tasks where status not in ('finished', 'error') or last_modified_date > now() - interval '1 day'
     group by queue_name order by queue_name`,
  );
  return rows;
}

export interface WorkerRow {
  readonly name: string;
  readonly started_date: Date;
  readonly alive: boolean;
}

export async function listWorkers(db: Knex): Promise<WorkerRow[]> {
  const { rows } = await db.raw<{ rows: WorkerRow[] }>(
    'select name, started_date, lease_until > now() as alive from workers order by started_date',
  );
  return rows;
}
