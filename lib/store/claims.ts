/**
 * How workers get their jobs (D13): claims, slots, leases, and what becomes of a dead worker's tasks.
 */
import type { Knex } from 'knex';
import type { Task } from '../engine/model.ts';
import type { ClaimRequest, WoundRequest } from '../engine/store.ts';
import { selection } from './task-rows.ts';
import { select } from './tasks.ts';

/**
 * A claim takes jobs that need no further slot, and as many others as the queue has free slots. Claims of one queue
 * take turns by an advisory lock, so that its concurrency holds over all processes; the lock lives as long as the
 * transaction, and so does not depend on the session (PgBouncer).
 */
export async function claim(db: Knex, request: ClaimRequest): Promise<Task[]> {
  const { queue, workerId, slots, limit, now } = request;
  return db.transaction(async (transaction) => {
    await transaction.raw('select pg_advisory_xact_lock(hashtextextended(?, 7205759403))', [queue]);
    return select(
      transaction,
      `with ready as materialized (
         select id, job in ('execute', 'reserve') and not slot as needs, run_at from tasks
         where job_queue = ? and job is not null and worker_id is null and run_at <= ?
         order by run_at, id limit ? for update skip locked
       ), free as (
         select greatest(0, ? - (select count(*) from tasks where queue_name = ? and slot)) as slots
       ), chosen as (
         select id from ready where not needs
         union all
         (select id from ready where needs order by run_at, id limit (select slots from free))
       )
       update tasks set worker_id = ?, fence = fence + 1, last_modified_date = ?,
         slot = slot or job in ('execute', 'reserve'),
         status = case when job = 'execute' then 'executing' else status end
       from chosen where tasks.id = chosen.id
       returning ${selection('tasks')}`,
      [queue, now, limit, slots, queue, workerId, now],
    );
  });
}

/** Wound–wait (D16): the youngest reservations, as many as older invitations wait for a slot of the queue. */
export async function wounded(db: Knex, request: WoundRequest): Promise<Pick<Task, 'id' | 'epoch'>[]> {
  const { rows } = await db.raw<{ rows: { id: string; epoch: number }[] }>(
    `with waiting as (
       select priority, row_number() over (order by priority) as place from tasks
       where job_queue = ? and job = 'reserve' and worker_id is null and run_at <= ? and not slot
     ), holding as (
       select id, epoch, priority, row_number() over (order by priority desc) as place from tasks
       where queue_name = ? and slot and status = 'reserved' and job is null
     )
     select holding.id, holding.epoch from waiting join holding using (place)
     where waiting.priority < holding.priority`,
    [request.queue, request.now, request.queue],
  );
  return rows;
}

export async function ready(db: Knex, queues: readonly string[], now: Date): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { queue: string }[] }>(
    `select queue from unnest(cast(? as text[])) as queue where exists (
       select 1 from tasks where job_queue = queue and job is not null and worker_id is null and run_at <= ?)`,
    [queues, now] as Knex.RawBinding[],
  );
  return rows.map(({ queue }) => queue);
}

/** Counts at most `limit` waiting jobs, so that a long queue costs no more than a full one. */
export async function waiting(db: Knex, queue: string, limit: number): Promise<number> {
  const { rows } = await db.raw<{ rows: { waiting: string }[] }>(
    `select count(*) as waiting from (
       select 1 from tasks where job_queue = ? and job is not null and worker_id is null limit ?) as some`,
    [queue, limit],
  );
  return Number(rows[0]!.waiting);
}

export async function workers(db: Knex): Promise<{ id: string; name: string }[]> {
  const { rows } = await db.raw<{ rows: { id: string; name: string }[] }>('select id, name from workers');
  return rows;
}

export async function registerWorker(
  db: Knex,
  id: string,
  name: string,
  leaseSeconds: number,
): Promise<void> {
  await db.raw(
    `insert into workers (id, name, lease_until) values (?, ?, now() + make_interval(secs => ?))`,
    [id, name, leaseSeconds],
  );
}

export async function renewLease(db: Knex, id: string, leaseSeconds: number): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `update workers set lease_until = now() + make_interval(secs => ?) where id = ? returning id`,
    [leaseSeconds, id],
  );
  return rows.length > 0;
}

export async function removeWorker(db: Knex, id: string): Promise<void> {
  await db.raw('delete from workers where id = ?', [id]);
}

/** Tasks in the hands of nobody who lives. Time is the database's, the same for all workers. */
export async function orphans(db: Knex): Promise<Pick<Task, 'id' | 'workerId'>[]> {
  await db.raw('delete from workers where lease_until < now()');
  const { rows } = await db.raw<{ rows: { id: string; workerId: string }[] }>(
    `select id, worker_id as "workerId" from tasks
     where worker_id is not null and not exists (select 1 from workers where workers.id = tasks.worker_id)
     order by id limit 1000`,
  );
  return rows;
}

export async function lost(
  db: Knex,
  workerId: string,
  held: readonly { id: string; fence: number }[],
): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>(
    `select v.id from unnest(cast(? as text[]), cast(? as bigint[])) as v (id, fence)
     where not exists (select 1 from tasks
       where tasks.id = v.id and tasks.worker_id = ? and tasks.fence = v.fence)`,
    [held.map(({ id }) => id), held.map(({ fence }) => fence), workerId] as Knex.RawBinding[],
  );
  return rows.map(({ id }) => id);
}

export async function reportProgress(
  db: Knex,
  reports: readonly { taskId: string; workerId: string; fence: number; progress: unknown }[],
): Promise<void> {
  await db.raw(
    `update tasks set progress = v.progress, last_modified_date = now()
     from unnest(cast(? as text[]), cast(? as text[]), cast(? as bigint[]), cast(? as json[]))
       as v (id, worker_id, fence, progress)
     where tasks.id = v.id and tasks.worker_id = v.worker_id and tasks.fence = v.fence`,
    [
      reports.map(({ taskId }) => taskId),
      reports.map(({ workerId }) => workerId),
      reports.map(({ fence }) => fence),
      reports.map(({ progress }) => JSON.stringify(progress)),
    ] as Knex.RawBinding[],
  );
}
