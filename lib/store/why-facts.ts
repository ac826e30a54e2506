/** What `why` needs to know of a task (D18): its chain of unfinished subtasks, and of each who could keep it waiting. */
import type { Knex } from 'knex';
import { hasEnded, type Task, type TimerKind } from '../engine/model.ts';
import type { WhyFacts } from '../engine/why.ts';
import { selection } from './task-rows.ts';
import { readTask, select } from './tasks.ts';

const MAX_DEPTH = 500;
const MAX_HOLDERS = 1000;

/** The slots of a queue; null: it is not served here. */
export type SlotsOf = (queue: string) => number | null;

/** Empty: there is no such task. Otherwise the task first, then the subtask that it waits for, and so on. */
export async function whyFacts(db: Knex, id: string, now: Date, slotsOf: SlotsOf): Promise<WhyFacts[]> {
  const chain: WhyFacts[] = [];
  let task = await readTask(db, id);
  while (task !== undefined && chain.length < MAX_DEPTH) {
    const facts = await factsOf(db, task, now, slotsOf);
    chain.push(facts);
    task = facts.unfinishedChildren > 0 ? await firstAwaited(db, task) : undefined;
  }
  return chain;
}

async function factsOf(db: Knex, task: Task, now: Date, slotsOf: SlotsOf): Promise<WhyFacts> {
  const slots = task.jobQueue === null ? null : slotsOf(task.jobQueue);
  const [row] = await rowsOf<Omit<WhyFacts, 'now' | 'task' | 'pending' | 'timers' | 'holders' | 'slots'>>(
    db,
    `select
       (select json_build_object('name', name, 'downSince', down_since, 'nextAttempt', next_attempt,
          'lastError', last_error) from peers where id = ?) as peer,
       (select json_build_object('name', name, 'leaseUntil', lease_until, 'alive', lease_until > now())
          from workers where id = ?) as worker,
       (select count(*)::integer from tasks where parent_id = ? and status not in ('finished', 'error'))
         as "unfinishedChildren",
       (select json_build_object('id', before.id, 'action', before.action)
          from tasks before join tasks parent on parent.id = before.parent_id and parent.task_type = 'sequential'
          where before.parent_id = ? and before."order" = ? and before.status not in ('finished', 'error'))
         as previous`,
    [task.peerId, task.workerId, task.id, task.parentId, task.order - 1],
  );
  return {
    now,
    task,
    slots,
    unfinishedChildren: hasEnded(task) ? 0 : row!.unfinishedChildren,
    previous: row!.previous,
    peer: row!.peer && {
      ...row!.peer,
      downSince: dateOf(row!.peer.downSince),
      nextAttempt: dateOf(row!.peer.nextAttempt),
    },
    worker: row!.worker && { ...row!.worker, leaseUntil: dateOf(row!.worker.leaseUntil)! },
    pending: await rowsOf(
      db,
      `select attempts, next_attempt as "nextAttempt", created_date as created, error from messages
       where task_id = ? and state = 'pending' order by seq limit 10`,
      [task.id],
    ),
    timers: await rowsOf<{ kind: TimerKind; fireAt: Date }>(
      db,
      'select kind, fire_at as "fireAt" from timers where task_id = ? order by fire_at',
      [task.id],
    ),
    holders:
      slots === null
        ? []
        : await rowsOf(
            db,
            'select id, action from tasks where queue_name = ? and slot order by last_modified_date limit ?',
            [task.queue, MAX_HOLDERS],
          ),
  };
}

/** Of the subtasks that have not ended: one that runs or is on its way before one that has not begun, then by order. */
async function firstAwaited(db: Knex, { id, type, metadata }: Task): Promise<Task | undefined> {
  const reserving = type === 'synchronized' && metadata.started !== true;
  // Those that have reserved are not what a start waits for.
  const last = reserving ? `status = 'reserved'` : `status = 'created'`;
  const [child] = await select(
    db,
    `select ${selection('tasks')} from tasks where parent_id = ? and status not in ('finished', 'error')
     order by ${last}, "order" limit 1`,
    [id],
  );
  return child;
}

async function rowsOf<Row>(db: Knex, sql: string, bindings: readonly unknown[]): Promise<Row[]> {
  const { rows } = await db.raw<{ rows: Row[] }>(sql, bindings as Knex.RawBinding[]);
  return rows;
}

/** Dates inside JSON are texts. */
function dateOf(value: Date | string | null): Date | null {
  return value === null ? null : new Date(value);
}
