/**
 * Forgets what is old: finished trees, and settled messages; never the audit trail. In batches, each a transaction of its
 * own, so that it never holds much for long. Both are looked for by the dates of their creation (indexes `tasks_created`,
 * `messages_created`): what is older than the limit, and no more, is read.
 *
 * A message that comes again is known by its row, or by its task's. So messages are kept for some time after their
 * trees are gone: as long as a peer may still send again.
 */
import type { Knex } from 'knex';

export interface RetentionOptions {
  /** Trees whose root ended before, and in which nothing is open any more, go. */
  treesEndedBefore: Date;
  /** Messages that were settled before go. At least a week after `treesEndedBefore` in age: see `prune`. */
  messagesSettledBefore: Date;
  /** Trees, or messages, of one transaction. Default 100. */
  batch?: number;
  /** Asked before each batch. */
  goesOn?: () => boolean;
}

/** Key of the advisory lock under which trees are deleted: processes that do it at once take turns. */
const PRUNING_LOCK = 0x5052554e;

const DAY = 24 * 3600 * 1000;
const WEEK = 7 * DAY;

/** Keeps trees for so many days after their end, and messages, which tell repeated ones from new ones, a week longer. */
export function olderThan(
  days: number,
  now: Date,
): Pick<RetentionOptions, 'treesEndedBefore' | 'messagesSettledBefore'> {
  const treesEndedBefore = new Date(now.getTime() - days * DAY);
  return { treesEndedBefore, messagesSettledBefore: new Date(treesEndedBefore.getTime() - WEEK) };
}

/**
 * Prunes until nothing is left that is old enough.
 * @throws RangeError when messages would not be kept a week longer than trees
 */
export async function prune(
  db: Knex,
  options: RetentionOptions,
): Promise<{ trees: number; tasks: number; messages: number }> {
  const { treesEndedBefore, messagesSettledBefore, batch = 100, goesOn = () => true } = options;
  if (messagesSettledBefore.getTime() > treesEndedBefore.getTime() - WEEK)
    throw new RangeError(
      'messages must be kept at least a week longer than trees, or repeated ones run again',
    );
  const pruned = { trees: 0, tasks: 0, messages: 0 };
  // Roots with something open below are passed over, not met again: the search goes on after the last one.
  for (let after: Place | null = null; goesOn(); ) {
    const { roots, last }: { roots: string[]; last: Place | null } = await endedRoots(
      db,
      treesEndedBefore,
      after,
      batch,
    );
    if (last === null) break;
    after = last;
    if (roots.length === 0) continue;
    pruned.trees += roots.length;
    pruned.tasks += await deleteTrees(db, roots);
  }
  while (goesOn()) {
    const messages = await deleteMessages(db, messagesSettledBefore, batch * 10);
    pruned.messages += messages;
    if (messages === 0) break;
  }
  return pruned;
}

/** In the order of the search. */
interface Place {
  readonly id: string;
  /** As PostgreSQL wrote it: to the microsecond. */
  readonly created: string;
}

const FIRST: Place = { id: '', created: '-infinity' };

export const ENDED_ROOTS = `with roots as (
    select id, created_date from tasks where parent_id is null and status in ('finished', 'error')
      and last_modified_date < cast(? as timestamptz) and created_date < cast(? as timestamptz)
      and created_date >= cast(? as timestamptz) and (created_date, id) > (cast(? as timestamptz), ?)
    order by created_date, id limit ?
  )
  select id, cast(created_date as text) as created, exists (
    with recursive below as (
      select tasks.id, tasks.status from tasks where tasks.id = roots.id
      union all
      select children.id, children.status from below join tasks children on children.parent_id = below.id
    )
    select 1 from below where status not in ('finished', 'error')
      or exists (select 1 from messages where task_id = below.id and state = 'pending')
  ) as open from roots order by created_date, id`;

async function endedRoots(
  db: Knex,
  before: Date,
  after: Place | null,
  limit: number,
): Promise<{ roots: string[]; last: Place | null }> {
  const { id, created } = after ?? FIRST;
  const { rows } = await db.raw<{ rows: (Place & { open: boolean })[] }>(ENDED_ROOTS, [
    before,
    before,
    created,
    created,
    id,
    limit,
  ]);
  return { roots: rows.filter(({ open }) => !open).map((root) => root.id), last: rows.at(-1) ?? null };
}

async function deleteTrees(db: Knex, roots: readonly string[]): Promise<number> {
  return await db.transaction(async (transaction) => {
    await transaction.raw('select pg_advisory_xact_lock(?)', [PRUNING_LOCK]);
    const { rows } = await transaction.raw<{ rows: { count: number }[] }>(
      `with recursive below as (
       select id from tasks where id = any(?)
       union all
       select children.id from below join tasks children on children.parent_id = below.id
     ), gone as (
       delete from tasks where id = any(array(select id from below)) returning 1
     )
     select count(*)::integer as count from gone`,
      [roots] as unknown as Knex.RawBinding[],
    );
    return rows[0]!.count;
  });
}

/** Not those of tasks that are still here. */
export const DELETE_MESSAGES = `delete from messages where seq = any(array(
    select seq from messages where state <> 'pending' and settled_date < ? and created_date < ?
      and not exists (select 1 from tasks where tasks.id = messages.task_id)
    order by created_date, seq limit ?)) returning seq`;

async function deleteMessages(db: Knex, before: Date, limit: number): Promise<number> {
  const { rows } = await db.raw<{ rows: unknown[] }>(DELETE_MESSAGES, [before, before, limit]);
  return rows.length;
}
