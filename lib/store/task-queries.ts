/**
 * Reads for the command line and the public API: tasks and messages by filters, by the beginning of an id, and trees
 * (FQ-C2…C6, FQ-C13). Filters name columns of a list, never of a table (1A.7 `--filters`).
 */
import type { Knex } from 'knex';
import type { Task } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import { SELECTION } from './task-rows.ts';
import { readTask, select } from './tasks.ts';

/** What tasks may be filtered by; the names are the original's. */
export const TASK_FILTERS = {
  id: 'text',
  root_id: 'text',
  parent_id: 'text',
  label: 'text',
  task_type: 'text',
  action: 'text',
  queue_name: 'text',
  status: 'text',
  is_received: 'boolean',
  is_local: 'boolean',
  peer_id: 'text',
  sender_url: 'text',
  receiver_url: 'text',
} as const;

export const MESSAGE_FILTERS = {
  id: 'text',
  peer_id: 'text',
  is_received: 'boolean',
  sender_url: 'text',
  receiver_url: 'text',
  queue_name: 'text',
  action: 'text',
  task_id: 'text',
  state: 'text',
  output_status: 'integer',
} as const;

export interface MessageRow {
  seq: number;
  id: string;
  peerId: string | null;
  isReceived: boolean;
  senderUrl: string;
  receiverUrl: string;
  queue: string;
  action: string;
  taskId: string | null;
  createdDate: Date;
  data: unknown;
  infoText: string | null;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  asyncData: unknown;
  outputStatus: number | null;
  error: unknown;
  state: 'processed' | 'pending' | 'delivered' | 'dead' | 'withdrawn';
  attempts: number;
  nextAttempt: Date;
  deadline: Date | null;
  settledDate: Date | null;
}

export interface ListOptions {
  /** Equality, by the names of `TASK_FILTERS` or `MESSAGE_FILTERS`; values as an operator types them. */
  filters?: Readonly<Record<string, string>>;
  /** Default 20 (FQ-C11). */
  limit?: number;
}

const MAX_LIMIT = 10_000;
const MAX_CANDIDATES = 10;
const MESSAGE_COLUMNS = `seq::integer, id, peer_id as "peerId", is_received as "isReceived", sender_url as "senderUrl",
  receiver_url as "receiverUrl", queue_name as queue, action, task_id as "taskId", created_date as "createdDate",
  input_data as data, info_text as "infoText", pingback_date as "pingbackDate", expiration_date as "expirationDate",
  async_data as "asyncData", output_status as "outputStatus", error, state, attempts, next_attempt as "nextAttempt",
  deadline, settled_date as "settledDate"`;

/** Newest first. @throws ConclaveError `usage` for a filter that is none, or a bad value or limit */
export function listTasks(db: Knex, options: ListOptions = {}): Promise<Task[]> {
  const { where, bindings } = conditions(options, TASK_FILTERS);
  return select(
    db,
    `select ${SELECTION} from tasks ${where} order by created_date desc, id limit ?`,
    bindings,
  );
}

/** Newest first. @throws ConclaveError `usage` */
export async function listMessages(db: Knex, options: ListOptions = {}): Promise<MessageRow[]> {
  const { where, bindings } = conditions(options, MESSAGE_FILTERS);
  const { rows } = await db.raw<{ rows: MessageRow[] }>(
    `select ${MESSAGE_COLUMNS} from messages ${where} order by created_date desc, seq desc limit ?`,
    bindings,
  );
  return rows;
}

/**
 * The task whose id is, or begins with, this text.
 * @throws ConclaveError `task_not_found`, `ambiguous_id` with the candidates
 */
export async function findTask(db: Knex, start: string): Promise<Task> {
  const id = await findId(db, 'tasks', start);
  const task = id === undefined ? undefined : await readTask(db, id);
  if (task === undefined) throw new ConclaveError('task_not_found', { taskId: start });
  return task;
}

/** @throws ConclaveError `not_found`, `ambiguous_id` with the candidates */
export async function findMessage(db: Knex, start: string): Promise<MessageRow> {
  const id = await findId(db, 'messages', start);
  if (id === undefined) throw new ConclaveError('not_found', { path: `message ${start}` });
  const [message] = await listMessages(db, { filters: { id }, limit: 1 });
  return message!;
}

/** An exact id is never ambiguous, and found by the index; its beginning costs a look at every id (FQ-C13). */
async function findId(db: Knex, table: 'tasks' | 'messages', start: string): Promise<string | undefined> {
  if (start === '' || start.includes('\0')) return undefined;
  const { rows } = await db.raw<{ rows: { id: string }[] }>(
    `select id from ${table} where id = ?
     union
     (select distinct id from ${table} where starts_with(id, ?) order by id limit ?)`,
    [start, start, MAX_CANDIDATES + 1],
  );
  const ids = rows.map(({ id }) => id).sort();
  if (ids.includes(start)) return start;
  if (ids.length < 2) return ids[0];
  const candidates = ids.slice(0, MAX_CANDIDATES);
  if (ids.length > MAX_CANDIDATES) candidates.push('and more');
  throw new ConclaveError('ambiguous_id', { id: start, candidates });
}

/** A task and everything below it, parents before children, children by order: one query. */
export function subtree(db: Knex, id: string): Promise<Task[]> {
  return select(
    db,
    `with recursive below as (
       select id, array[]::integer[] as place from tasks where id = ?
       union all
       select children.id, below.place || children."order" from below join tasks children
         on children.parent_id = below.id
     )
     select ${SELECTION} from tasks join below on below.id = tasks.id order by below.place`,
    [id],
  );
}

/** What is above a task, the root first; without the task itself. */
export function ancestors(db: Knex, id: string): Promise<Task[]> {
  return select(
    db,
    `with recursive above as (
       select id, parent_id, 0 as height from tasks where id = ?
       union all
       select tasks.id, tasks.parent_id, above.height + 1 from above join tasks on tasks.id = above.parent_id
     )
     select ${SELECTION} from tasks join above on above.id = tasks.id
     where above.height > 0 order by above.height desc`,
    [id],
  );
}

type Filters = Readonly<Record<string, 'text' | 'boolean' | 'integer'>>;

function conditions(options: ListOptions, known: Filters): { where: string; bindings: (string | number)[] } {
  const { filters = {}, limit = 20 } = options;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new ConclaveError('usage', { reason: `the limit must be between 1 and ${MAX_LIMIT}` });
  const parts: string[] = [];
  const bindings: (string | number)[] = [];
  for (const [name, value] of Object.entries(filters)) {
    const type = Object.hasOwn(known, name) ? known[name]! : undefined;
    if (type === undefined) {
      const reason = `${name} is no filter; filters are ${Object.keys(known).join(', ')}`;
      throw new ConclaveError('usage', { reason });
    }
    parts.push(`${name} = cast(? as ${type})`);
    bindings.push(checked(name, value, type));
  }
  bindings.push(limit);
  return { where: parts.length === 0 ? '' : `where ${parts.join(' and ')}`, bindings };
}

function checked(name: string, value: string, type: Filters[string]): string {
  const fits =
    type === 'text'
      ? !value.includes('\0')
      : type === 'boolean'
        ? /^(true|false)$/i.test(value)
        : /^\d{1,9}$/.test(value);
  if (!fits) throw new ConclaveError('usage', { reason: `${name} must be ${EXPECTED[type]}` });
  return value;
}

const EXPECTED = { text: 'a text without U+0000', boolean: 'true or false', integer: 'a number' } as const;
