/**
 * Lists of tasks by the page, for operators who look through thousands: newest first, or the children of one task by
 * order. Rows are short: input and output of a task are read one task at a time. Reads only.
 */
import type { Knex } from 'knex';
import type { Status, Task } from '../engine/model.ts';

/** A task as lists show it. */
export type ListedTask = Pick<
  Task,
  | 'id'
  | 'rootId'
  | 'parentId'
  | 'order'
  | 'label'
  | 'type'
  | 'action'
  | 'queue'
  | 'status'
  | 'isReceived'
  | 'isLocal'
  | 'peerId'
  | 'createdDate'
  | 'modifiedDate'
  | 'children'
  | 'childrenFinished'
  | 'childrenFailed'
  | 'progress'
  | 'error'
>;

export interface TaskFilter {
  readonly status?: Status | undefined;
  readonly unfinished?: boolean | undefined;
  readonly action?: string | undefined;
  readonly queue?: string | undefined;
  /** The beginning of an id, or a part of label or action. */
  readonly text?: string | undefined;
  readonly roots?: boolean | undefined;
}

const LISTED = `tasks.id, tasks.root_id as "rootId", tasks.parent_id as "parentId", tasks."order", tasks.label,
  tasks.task_type as type, tasks.action, tasks.queue_name as queue, tasks.status, tasks.is_received as "isReceived",
  tasks.is_local as "isLocal", tasks.peer_id as "peerId", tasks.created_date as "createdDate",
  tasks.last_modified_date as "modifiedDate", tasks.children, tasks.children_finished as "childrenFinished",
  tasks.children_failed as "childrenFailed", tasks.progress, tasks.error`;

/** Newest first (index `tasks_created`, or `tasks_unfinished`). `after`: id of the last task of the page before. */
export async function taskPage(
  db: Knex,
  filter: TaskFilter,
  { after, limit }: { after?: string | undefined; limit: number },
): Promise<ListedTask[]> {
  const { parts, bindings } = conditions(filter);
  if (after !== undefined) {
    parts.push(`created_date <= (select created_date from tasks where id = ?)
      and (created_date < (select created_date from tasks where id = ?) or id > ?)`);
    bindings.push(after, after, after);
  }
  const where = parts.length === 0 ? '' : `where ${parts.join(' and ')}`;
  return rowsOf(db, `select ${LISTED} from tasks ${where} order by created_date desc, id limit ?`, [
    ...bindings,
    limit,
  ]);
}

/** By order (index `tasks_children`). `after`: order of the last child of the page before. */
export async function childrenPage(
  db: Knex,
  parentId: string,
  filter: Omit<TaskFilter, 'roots' | 'queue'>,
  { after, limit }: { after?: number | undefined; limit: number },
): Promise<ListedTask[]> {
  const { parts, bindings } = conditions(filter);
  const more = parts.map((part) => ` and ${part}`).join('');
  return rowsOf(
    db,
    `select ${LISTED} from tasks where parent_id = ? and "order" > ?${more} order by "order" limit ?`,
    [parentId, after ?? -1, ...bindings, limit],
  );
}

/** The tasks with these ids, as far as they exist. */
export function listedTasks(db: Knex, ids: readonly string[]): Promise<ListedTask[]> {
  return rowsOf(db, `select ${LISTED} from tasks where id = any(?) order by created_date desc, id`, [ids]);
}

/** What is above a task, the root first, without the task itself. */
export function listedAncestors(db: Knex, id: string): Promise<ListedTask[]> {
  return rowsOf(
    db,
    `with recursive above as (
       select id, parent_id, 0 as height from tasks where id = ?
       union all
       select tasks.id, tasks.parent_id, above.height + 1 from above join tasks on tasks.id = above.parent_id
     )
     select ${LISTED} from tasks join above on above.id = tasks.id
     where above.height > 0 order by above.height desc`,
    [id],
  );
}

/** One task of a tree, with its times. */
export interface TimedTask {
  id: string;
  parentId: string | null;
  depth: number;
  action: string;
  label: string | null;
  status: Status;
  isReceived: boolean;
  isLocal: boolean;
  peerId: string | null;
  createdDate: Date;
  modifiedDate: Date;
  /** Of a sent task: when its receiver had it. */
  deliveredDate: Date | null;
}

/** A task and what is below it, parents before children, at most `limit`. */
export function timedTree(db: Knex, id: string, limit: number): Promise<TimedTask[]> {
  return rowsOf(
    db,
    `with recursive below as (
       (select id, array[]::integer[] as place from tasks where id = ?)
       union all
       select children.id, below.place || children."order" from below join tasks children
         on children.parent_id = below.id
     ), chosen as (select * from below order by place limit ?)
     select tasks.id, tasks.parent_id as "parentId", cardinality(chosen.place) as depth, tasks.action, tasks.label,
       tasks.status, tasks.is_received as "isReceived", tasks.is_local as "isLocal", tasks.peer_id as "peerId",
       tasks.created_date as "createdDate", tasks.last_modified_date as "modifiedDate",
       (select min(settled_date) from messages m
        where m.task_id = tasks.id and not m.is_received and m.state = 'delivered') as "deliveredDate"
     from chosen join tasks on tasks.id = chosen.id order by chosen.place`,
    [id, limit],
  );
}

/** The actions and queues that tasks of this node have, for filters: those of its last tasks. */
export async function actionsAndQueues(db: Knex): Promise<{ actions: string[]; queues: string[] }> {
  const rows = await rowsOf<{ action: string; queue: string }>(
    db,
    `select distinct action, queue_name as queue
     from (select action, queue_name from tasks order by created_date desc, id limit 10000) as last`,
    [],
  );
  const distinct = (names: string[]): string[] => [...new Set(names)].sort();
  return {
    actions: distinct(rows.map(({ action }) => action)),
    queues: distinct(rows.map(({ queue }) => queue)),
  };
}

type Binding = string | number | readonly string[];

function conditions(filter: TaskFilter): { parts: string[]; bindings: Binding[] } {
  const parts: string[] = [];
  const bindings: Binding[] = [];
  const add = (part: string, ...values: Binding[]): void => {
    parts.push(part);
    bindings.push(...values);
  };
  if (filter.status !== undefined) add('tasks.status = ?', filter.status);
  if (filter.unfinished === true) add(`tasks.status not in ('finished', 'error')`);
  if (filter.unfinished === false) add(`tasks.status in ('finished', 'error')`);
  if (filter.action !== undefined) add('tasks.action = ?', filter.action);
  if (filter.queue !== undefined) add('tasks.queue_name = ?', filter.queue);
  if (filter.roots === true) add('tasks.parent_id is null');
  if (filter.text !== undefined && filter.text !== '') {
    const part = `%${likeLiteral(filter.text)}%`;
    add('(starts_with(tasks.id, ?) or tasks.action ilike ? or tasks.label ilike ?)', filter.text, part, part);
  }
  return { parts, bindings };
}

/** A text that means itself in a pattern of `like`. */
export function likeLiteral(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

async function rowsOf<Row>(db: Knex, sql: string, bindings: readonly Binding[]): Promise<Row[]> {
  const { rows } = await db.raw<{ rows: Row[] }>(sql, bindings as unknown as Knex.RawBinding[]);
  return rows;
}
