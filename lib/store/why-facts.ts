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

/** Empty: there is no such task. Otherwise the task first, then the subtask that it waits for or failed by, and so on. */
export async function whyFacts(db: Knex, id: string, now: Date, slotsOf: SlotsOf): Promise<WhyFacts[]> {
  const chain: WhyFacts[] = [];
  let task = await readTask(db, id);
  while (task !== undefined && chain.length < MAX_DEPTH) {
    const facts = await factsOf(db, task, now, slotsOf);
    chain.push(facts);
    task = facts.unfinishedChildren > 0 ? await firstAwaited(db, task) : await cause(db, task);
  }
  return chain;
}

type Row = Pick<
  WhyFacts,
  'unfinishedChildren' | 'previous' | 'director' | 'lost' | 'peer' | 'worker' | 'dead' | 'told' | 'heard'
>;

async function factsOf(db: Knex, task: Task, now: Date, slotsOf: SlotsOf): Promise<WhyFacts> {
  const slots = task.jobQueue === null ? null : slotsOf(task.jobQueue);
  const [row] = await rowsOf<Row>(
    db,
    `select
       (select json_build_object('name', name, 'url', url, 'dialect', dialect, 'downSince', down_since,
          'nextAttempt', next_attempt, 'lastError', last_error) from peers where id = ?) as peer,
       (select json_build_object('name', name, 'leaseUntil', lease_until, 'alive', lease_until > now())
          from workers where id = ?) as worker,
       (select count(*)::integer from tasks where parent_id = ? and status not in ('finished', 'error'))
         as "unfinishedChildren",
       (select json_build_object('id', before.id, 'action', before.action)
          from tasks before join tasks parent on parent.id = before.parent_id and parent.task_type = 'sequential'
          where before.parent_id = ? and before."order" = ? and before.status not in ('finished', 'error'))
         as previous,
       (select coalesce(peers.name, peer_id) from tasks root left join peers on peers.id = root.peer_id
          where root.id = ? and root.is_received) as director,
       (select task_metadata -> 'lost' from tasks where id = ?) as lost,
       (select json_build_object('status', output_status, 'error', error, 'settled', settled_date)
          from messages where task_id = ? and state = 'dead' order by seq desc limit 1) as dead,
       (select json_build_object('at', settled_date, 'error', error)
          from messages where task_id = ? and state = 'delivered' order by seq desc limit 1) as told,
       (select json_build_object('at', created_date)
          from messages where task_id = ? and is_received and peer_id = ? and output_status = 200
          order by seq desc limit 1) as heard`,
    [
      task.peerId,
      task.workerId,
      task.id,
      task.parentId,
      task.order - 1,
      task.rootId,
      holderOfLosses(task),
      task.id,
      task.id,
      task.id,
      task.peerId,
    ],
  );
  return {
    now,
    task,
    slots,
    unfinishedChildren: hasEnded(task) ? 0 : row!.unfinishedChildren,
    previous: row!.previous,
    director: row!.director,
    lost: row!.lost,
    ...withDates(row!),
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
            `select id, action, status, last_modified_date as since from tasks where queue_name = ? and slot
             order by last_modified_date limit ?`,
            [task.queue, MAX_HOLDERS],
          ),
    accepted:
      task.type !== 'external'
        ? []
        : await rowsOf(
            db,
            `select operator, decided_date as at from approval_decisions
             where task_id = ? and decision = 'accept' order by decided_date`,
            [task.id],
          ),
  };
}

/** On the director's side the container counts, for all its subtasks. */
function holderOfLosses({ id, parentId, isReceived, epoch, type }: Task): string | null {
  if (epoch === 0) return null;
  return isReceived || type === 'synchronized' ? id : parentId;
}

/** Dates inside JSON are texts. */
function withDates({
  peer,
  worker,
  dead,
  told,
  heard,
}: Row): Pick<Row, 'peer' | 'worker' | 'dead' | 'told' | 'heard'> {
  return {
    peer: peer && { ...peer, downSince: dateOf(peer.downSince), nextAttempt: dateOf(peer.nextAttempt) },
    worker: worker && { ...worker, leaseUntil: new Date(worker.leaseUntil) },
    dead: dead && { ...dead, settled: new Date(dead.settled) },
    told: told && { ...told, at: new Date(told.at) },
    heard: heard && { at: new Date(heard.at) },
  };
}

/**
 * Of the subtasks that have not ended: one that is in trouble before one that runs or is on its way, and that before one
 * that has not begun; then by order.
 */
async function firstAwaited(db: Knex, { id, type, metadata }: Task): Promise<Task | undefined> {
  const reserving = type === 'synchronized' && metadata.started !== true;
  // Those that have reserved are not what a start waits for.
  const last = reserving ? `status = 'reserved'` : `status = 'created'`;
  const [child] = await select(
    db,
    `select ${selection('tasks')} from tasks where parent_id = ? and status not in ('finished', 'error')
     order by ${last}, not (${TROUBLE}), "order" limit 1`,
    [id],
  );
  return child;
}

/** Its peer is down, its message was tried in vain, its worker died, or it is to be tried again. */
const TROUBLE = `
  exists (select from peers where peers.id = tasks.peer_id and down_since is not null)
  or exists (select from messages where task_id = tasks.id and state = 'pending' and attempts > 0 and messages.error is not null)
  or (worker_id is not null and not exists (select from workers where workers.id = worker_id and lease_until > now()))
  or (job is not null and worker_id is null and tasks.error is not null)`;

/** The subtask by which a task failed; of those that others' failures ended it says nothing. */
async function cause(db: Knex, { id, status, error, childrenFailed }: Task): Promise<Task | undefined> {
  if (status !== 'error' || childrenFailed === 0) return undefined;
  if (error?.code === 'cancelled' || error?.code === 'expired') return undefined;
  const [child] = await select(
    db,
    `select ${selection('tasks')} from tasks where parent_id = ? and status = 'error'
       and tasks.error ->> 'code' not in ('cancelled', 'not_started')
     order by last_modified_date, "order" limit 1`,
    [id],
  );
  return child;
}

async function rowsOf<Row>(db: Knex, sql: string, bindings: readonly unknown[]): Promise<Row[]> {
  const { rows } = await db.raw<{ rows: Row[] }>(sql, bindings as Knex.RawBinding[]);
  return rows;
}

function dateOf(value: Date | string | null): Date | null {
  return value === null ? null : new Date(value);
}
