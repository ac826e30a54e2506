/** The table `tasks` in a transaction: one named query per function, each over as many tasks as there are. */
import type { Knex } from 'knex';
import type { Status, Task } from '../engine/model.ts';
import type { ChildrenQuery } from '../engine/store.ts';
import {
  CHANGING_COLUMNS,
  columnValues,
  SELECTION,
  TASK_COLUMNS,
  type TaskRow,
  toTask,
} from './task-rows.ts';

const CHUNK = 5000;

/**
 * The tasks, everything above them, and what comes next in these sequences. Every step goes through an index
 * (`offset 0` and `array` keep the planner, which cannot know how few there are, from reading the whole table).
 */
const ABOVE_AND_NEXT = `with recursive above as (
    select id, parent_id, "order" from tasks where id = any(?)
    union
    select up.* from above, lateral (
      select id, parent_id, "order" from tasks where id = above.parent_id offset 0) up
  ), wanted as (
    select id from above
    union
    select later.id from above, lateral (
        select id from tasks where id = above.parent_id and task_type = 'sequential' offset 0) parent, lateral (
        select id from tasks where parent_id = parent.id and "order" = above."order" + 1 offset 0) later
  )
  select ${SELECTION} from tasks
  where id = any(array(select id from wanted)) and id <> all(?) order by id for update`;

/**
 * Locks the trees of the tasks by their roots, in the order of their ids, then the tasks, everything above them, and
 * what comes next in these sequences. Claims lock single rows without a root, but they skip what is locked, and
 * never wait.
 */
export async function lockTrees(transaction: Knex, ids: readonly string[]): Promise<Task[]> {
  const roots = await select(
    transaction,
    `select ${SELECTION} from tasks
     where id = any(array(select distinct root_id from tasks where id = any(?))) order by id for update`,
    [ids],
  );
  if (roots.length === 0) return [];
  const others = await select(transaction, ABOVE_AND_NEXT, [ids, roots.map(({ id }) => id)]);
  return [...roots, ...others];
}

export function loadTasks(transaction: Knex, ids: readonly string[]): Promise<Task[]> {
  return select(transaction, `select ${SELECTION} from tasks where id = any(?) order by id for update`, [
    ids,
  ]);
}

export async function loadChildren(transaction: Knex, queries: readonly ChildrenQuery[]): Promise<Task[]> {
  const parents: string[] = [];
  const orders: number[] = [];
  const byStatus = new Map<string, { parents: string[]; statuses: readonly Status[] }>();
  for (const { parentId, match } of queries) {
    if ('order' in match) {
      parents.push(parentId);
      orders.push(match.order);
      continue;
    }
    const key = match.statuses.join();
    const group = byStatus.get(key) ?? { parents: [], statuses: match.statuses };
    group.parents.push(parentId);
    byStatus.set(key, group);
  }
  const found: Task[] = [];
  if (parents.length > 0)
    found.push(
      ...(await select(
        transaction,
        `select ${SELECTION} from tasks
         where (parent_id, "order") in (select * from unnest(cast(? as text[]), cast(? as integer[])))
         order by id for update`,
        [parents, orders],
      )),
    );
  for (const { parents: of, statuses } of byStatus.values())
    found.push(
      ...(await select(
        transaction,
        `select ${SELECTION} from tasks where parent_id = any(?) and status = any(?) order by id for update`,
        [of, statuses],
      )),
    );
  return found;
}

const INSERT = `insert into tasks (${TASK_COLUMNS.map(({ name }) => name).join(', ')})
  select * from unnest(${TASK_COLUMNS.map(({ type }) => `cast(? as ${type}[])`).join(', ')})`;

export async function insertTasks(transaction: Knex, tasks: readonly Task[]): Promise<void> {
  for (let from = 0; from < tasks.length; from += CHUNK) {
    const chunk = tasks.slice(from, from + CHUNK);
    await transaction.raw(
      INSERT,
      TASK_COLUMNS.map((column) => columnValues(chunk, column)) as Knex.RawBinding[],
    );
  }
}

const UPDATE = `update tasks set ${CHANGING_COLUMNS.map(({ name }) => `${name} = v.${name}`).join(', ')}
  from unnest(cast(? as text[]), ${CHANGING_COLUMNS.map(({ type }) => `cast(? as ${type}[])`).join(', ')})
    as v (id, ${CHANGING_COLUMNS.map(({ name }) => name).join(', ')})
  where tasks.id = v.id`;

export async function updateTasks(transaction: Knex, tasks: readonly Task[]): Promise<void> {
  for (let from = 0; from < tasks.length; from += CHUNK) {
    const chunk = tasks.slice(from, from + CHUNK);
    await transaction.raw(UPDATE, [
      chunk.map(({ id }) => id),
      ...CHANGING_COLUMNS.map((column) => columnValues(chunk, column)),
    ] as Knex.RawBinding[]);
  }
}

export async function readTask(db: Knex, id: string): Promise<Task | undefined> {
  const [task] = await select(db, `select ${SELECTION} from tasks where id = ?`, [id]);
  return task;
}

export function readChildren(db: Knex, id: string): Promise<Task[]> {
  return select(db, `select ${SELECTION} from tasks where parent_id = ? order by "order"`, [id]);
}

export async function select(db: Knex, sql: string, bindings: readonly unknown[]): Promise<Task[]> {
  const { rows } = await db.raw<{ rows: TaskRow[] }>(sql, bindings as Knex.RawBinding[]);
  return rows.map(toTask);
}
