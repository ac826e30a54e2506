/** The table `tasks` in a transaction: one named query per function, each over as many tasks as there are. */
import type { Knex } from 'knex';
import type { Status, Task } from '../engine/model.ts';
import type { ChildrenQuery, TaskChange } from '../engine/store.ts';
import { type Session, sessionOf } from './session.ts';
import {
  arrayText,
  CHANGING_COLUMNS,
  type Column,
  columnText,
  SELECTION,
  TASK_COLUMNS,
  type TaskRow,
  toTask,
} from './task-rows.ts';

const CHUNK = 5000;
/** Below, reading claimed tasks again costs less than a further statement that compares them. */
const WORTH_COMPARING = 8;

/**
 * The tasks' roots, the tasks, everything above them, and what comes next in these sequences; roots first. Every step
 * goes through an index (`offset 0` and `array` keep the planner, which cannot know how few there are, from reading the
 * whole table). What others commit while a root is awaited is seen, because rows are read when they are locked; but for
 * further steps of a sequence, which are loaded when they are missed.
 */
const LOCK = `with recursive above as (
    select id, root_id, parent_id, "order" from tasks where id = any(?)
    union
    select up.* from above, lateral (
      select id, root_id, parent_id, "order" from tasks where id = above.parent_id offset 0) up
  ), wanted as (
    select id from above
    union
    select root_id from above
    union
    select later.id from above, lateral (
        select id from tasks where id = above.parent_id and task_type = 'sequential' offset 0) parent, lateral (
        select id from tasks where parent_id = parent.id and "order" = above."order" + 1 offset 0) later
  )
  select ${SELECTION} from tasks where id = any(array(select id from wanted))
  order by parent_id is not null, id for update`;

/**
 * Locks the trees of the tasks by their roots, in the order of their ids, then the tasks, everything above them, and
 * what comes next in these sequences. Claims lock single rows without a root, but they skip what is locked, and
 * never wait.
 * @param claimed of these tasks, as a claim answered them; those that are still the same are not read again
 */
export async function lockTrees(
  session: Session,
  ids: readonly string[],
  claimed: readonly Task[],
): Promise<Task[]> {
  if (claimed.length < WORTH_COMPARING) return select(session, LOCK, [arrayText(ids)]);
  const versions = await session.rows<[id: string, version: string]>(
    `select id, xmin::text from tasks where id = any(array(
       select root_id from tasks where id = any(?) union select unnest(cast(? as text[]))))
     order by parent_id is not null, id for update`,
    [arrayText(ids), arrayText(ids)],
  );
  const current = new Map(versions);
  const same = claimed.filter((task) => current.get(task.id) === versionOf.get(task));
  const known = new Set(same.map(({ id }) => id));
  return [...same, ...(await lockAround(session, ids, same, known))];
}

/** What `LOCK` answers with, without the known tasks: their parents are read as they stand there. */
async function lockAround(
  session: Session,
  ids: readonly string[],
  same: readonly Task[],
  known: ReadonlySet<string>,
): Promise<Task[]> {
  const unknown = ids.filter((id) => !known.has(id));
  const steps = new Map<string, number | null>();
  // Two steps of one sequence are never under way at the same time: these are children of something else.
  for (const { parentId, order } of same)
    if (parentId !== null) steps.set(parentId, steps.has(parentId) ? null : order + 1);
  const parents = [...steps.keys()];
  const above = [...new Set([...parents, ...same.map(({ rootId }) => rootId)])].filter(
    (id) => !known.has(id),
  );
  if (unknown.length === 0 && above.length === 0) return [];
  const wanted = await select(
    session,
    `select ${SELECTION} from tasks where id = any(array(
       select unnest(cast(? as text[]))
       union
       select later.id from unnest(cast(? as text[]), cast(? as integer[])) as step (parent_id, place), lateral (
         select id from tasks where id = step.parent_id and task_type = 'sequential' offset 0) parent, lateral (
         select id from tasks where parent_id = parent.id and "order" = step.place offset 0) later))
     order by id for update`,
    [arrayText(above), arrayText(parents), `{${parents.map((id) => steps.get(id) ?? 'NULL').join()}}`],
  );
  if (unknown.length === 0) return wanted;
  const found = new Set([...known, ...wanted.map(({ id }) => id)]);
  const others = await select(session, LOCK, [arrayText(unknown)]);
  return [...wanted, ...others.filter(({ id }) => !found.has(id))];
}

/** Of a task that a claim has answered: the version of its row (`xmin`, which every change of a row changes). */
export const versionOf = new WeakMap<Task, string>();

export function loadTasks(session: Session, ids: readonly string[]): Promise<Task[]> {
  return select(session, `select ${SELECTION} from tasks where id = any(?) order by id for update`, [
    arrayText(ids),
  ]);
}

export async function loadChildren(session: Session, queries: readonly ChildrenQuery[]): Promise<Task[]> {
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
        session,
        `select ${SELECTION} from tasks where id = any(array(
           select child.id from unnest(cast(? as text[]), cast(? as integer[])) as v (parent_id, place), lateral (
             select id from tasks where parent_id = v.parent_id and "order" = v.place offset 0) child))
         order by id for update`,
        [arrayText(parents), `{${orders.join()}}`],
      )),
    );
  for (const { parents: of, statuses } of byStatus.values())
    found.push(
      ...(await select(
        session,
        `select ${SELECTION} from tasks where parent_id = any(?) and status = any(?) order by id for update`,
        [arrayText(of), arrayText(statuses)],
      )),
    );
  return found;
}

const INSERT = `insert into tasks (${TASK_COLUMNS.map(({ name }) => name).join(', ')})
  select * from unnest(${TASK_COLUMNS.map(({ type }) => `cast(? as ${type}[])`).join(', ')})`;

export async function insertTasks(session: Session, tasks: readonly Task[]): Promise<void> {
  for (let from = 0; from < tasks.length; from += CHUNK) {
    const chunk = tasks.slice(from, from + CHUNK);
    await session.write(
      INSERT,
      TASK_COLUMNS.map((column) => columnText(chunk, column)),
    );
  }
}

/**
 * Writes the columns that have changed, of all tasks alike; tasks whose JSON has changed go apart from the others, so that
 * large data that stay as they are do not travel.
 */
export async function updateTasks(session: Session, changes: readonly TaskChange[]): Promise<void> {
  const kinds: [TaskChange[], TaskChange[]] = [[], []];
  for (const change of changes)
    kinds[JSON_COLUMNS.some((column) => differs(change, column)) ? 1 : 0].push(change);
  for (const kind of kinds)
    for (let from = 0; from < kind.length; from += CHUNK)
      await updateColumns(session, kind.slice(from, from + CHUNK));
}

const JSON_COLUMNS = CHANGING_COLUMNS.filter(({ type }) => type === 'json');

function differs({ before, after }: TaskChange, { field }: Column): boolean {
  return before[field] !== after[field];
}

async function updateColumns(session: Session, changes: readonly TaskChange[]): Promise<void> {
  const columns = CHANGING_COLUMNS.filter((column) => changes.some((change) => differs(change, column)));
  if (columns.length === 0) return;
  const tasks = changes.map(({ after }) => after);
  await session.write(
    `update tasks set ${columns.map(({ name }) => `${name} = v.${name}`).join(', ')}
     from unnest(cast(? as text[]), ${columns.map(({ type }) => `cast(? as ${type}[])`).join(', ')})
       as v (id, ${columns.map(({ name }) => name).join(', ')})
     where tasks.id = v.id`,
    [arrayText(tasks.map(({ id }) => id)), ...columns.map((column) => columnText(tasks, column))],
  );
}

export async function readTask(db: Session | Knex, id: string): Promise<Task | undefined> {
  const [task] = await select(db, `select ${SELECTION} from tasks where id = ?`, [id]);
  return task;
}

export function readChildren(db: Session | Knex, id: string): Promise<Task[]> {
  return select(db, `select ${SELECTION} from tasks where parent_id = ? order by "order"`, [id]);
}

export async function select(db: Session | Knex, sql: string, bindings: readonly unknown[]): Promise<Task[]> {
  const session = 'rows' in db ? db : sessionOf(db as Knex);
  return (await session.rows<TaskRow>(sql, bindings)).map(toTask);
}
