/**
 * How workers get their jobs (D13): claims, slots, leases, and what becomes of a dead worker's tasks.
 */
import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import type { Task } from '../engine/model.ts';
import type { ClaimRequest, Holding, ProgressReport, WoundRequest } from '../engine/store.ts';
import { inTransaction, type Session } from './session.ts';
import { selection, type TaskRow, toTask } from './task-rows.ts';
import { versionOf } from './tasks.ts';

/**
 * Jobs that need no further slot of their queue (index `tasks_ready_free`). The start of a synchronized task that
 * lost its slot while the order travelled is one: its partners run already, and may hold the slots for which it would
 * wait (D16).
 */
const NEEDS_NO_SLOT = `(slot or job not in ('execute', 'reserve') or (job = 'execute' and epoch > 0))`;

/** Bindings: see `claim`. */
export const CLAIM = `with without_slot as materialized (
    select id, slot or job <> 'execute' as takes_none from tasks
    where job_queue = ? and job is not null and worker_id is null and ${NEEDS_NO_SLOT} and run_at <= ?
    order by run_at, id limit ? for update skip locked
  ), in_turn as materialized (
    select id, job from tasks
    where job_queue = ? and job is not null and worker_id is null and not ${NEEDS_NO_SLOT} and run_at <= ?
    order by run_at, id
    limit (select greatest(0, least(
      ? - (select count(*) from tasks where queue_name = ? and slot)
        - (select count(*) from without_slot where not takes_none),
      ? - (select count(*) from without_slot))))
    for update skip locked
  ), oldest as materialized (
    select id from tasks
    where job_queue = ? and job = 'reserve' and worker_id is null and not slot and run_at <= ?
    order by priority collate "C", id
    limit (select count(*) from in_turn where job = 'reserve')
    for update skip locked
  ), chosen as (
    select id from without_slot
    union all select id from in_turn where job <> 'reserve'
    union all select id from oldest
  )
  update tasks set worker_id = ?, fence = fence + 1, last_modified_date = ?,
    slot = slot or job in ('execute', 'reserve'),
    status = case when job = 'execute' then 'executing' else status end
  where id = any(array(select id from chosen))
  returning ${selection('tasks')}, tasks.xmin::text`;

/**
 * A claim takes jobs that need no further slot, and as many others as the queue has free slots. The two are looked for
 * apart: those that wait for a slot never hide the one whose end would free it. A slot whose turn it is to go to a
 * reservation goes to the oldest tree's among them (index `tasks_reserving`): from a younger one it would be taken again
 * (`wounded`), and each time all whom that one's director has invited begin anew. Claims of one queue
 * take turns by an advisory lock, so that its concurrency holds over all processes; the lock lives as long as the
 * transaction, and so does not depend on the session (PgBouncer).
 */
export async function claim(db: Knex, request: ClaimRequest): Promise<Task[]> {
  const { queue, workerId, slots, limit, now } = request;
  const claimed = await inTransaction(
    db,
    (session) =>
      session.rows<TaskRow>(CLAIM, [
        queue,
        now,
        limit,
        queue,
        now,
        slots,
        queue,
        limit,
        queue,
        now,
        workerId,
        now,
      ]),
    // A claim that a crash of the server takes back was no claim: whoever reports under it is refused.
    `set local synchronous_commit=off;select pg_advisory_xact_lock(${lockOf(queue)})`,
  );
  return claimed.map((row) => {
    const task = toTask(row);
    versionOf.set(task, row.at(-1) as string);
    return task;
  });
}

/** Other queues hardly ever share the number, and if they do, they only take turns. */
function lockOf(queue: string): string {
  return createHash('sha256').update(`claim ${queue}`).digest().readBigInt64BE().toString();
}

/**
 * Wound–wait (D16): the youngest reservations, as many as older invitations wait for a slot that is not free.
 * Priorities compare byte by byte, on every node alike.
 */
export async function wounded(db: Session, request: WoundRequest): Promise<Pick<Task, 'id' | 'epoch'>[]> {
  const { rows } = await db.raw<{ rows: { id: string; epoch: number }[] }>(
    `with waiting as (
       select priority collate "C" as priority, row_number() over (order by priority collate "C") as place
       from tasks where job_queue = ? and job = 'reserve' and worker_id is null and run_at <= ? and not slot
     ), holding as (
       select id, epoch, priority collate "C" as priority,
         row_number() over (order by priority collate "C" desc) as place
       from tasks where queue_name = ? and slot and status = 'reserved' and job is null
     ), free as (
       select greatest(0, ? - count(*)) as slots from tasks where queue_name = ? and slot
     )
     select holding.id, holding.epoch from waiting, holding, free
     where waiting.place = holding.place + free.slots and waiting.priority < holding.priority`,
    [request.queue, request.now, request.queue, request.slots, request.queue],
  );
  return rows;
}

export async function ready(db: Session, queues: readonly string[], now: Date): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { queue: string }[] }>(
    `select queue from unnest(cast(? as text[])) as queue where exists (
       select 1 from tasks where job_queue = queue and job is not null and worker_id is null and run_at <= ?)`,
    [queues, now],
  );
  return rows.map(({ queue }) => queue);
}

/** Counts at most `limit` waiting jobs, so that a long queue costs no more than a full one. */
export async function waiting(db: Session, queue: string, limit: number): Promise<number> {
  const { rows } = await db.raw<{ rows: { waiting: string }[] }>(
    `select count(*) as waiting from (
       select 1 from tasks where job_queue = ? and job is not null and worker_id is null limit ?) as counted`,
    [queue, limit],
  );
  return Number(rows[0]!.waiting);
}

export async function workers(db: Session): Promise<{ id: string; name: string }[]> {
  const { rows } = await db.raw<{ rows: { id: string; name: string }[] }>('select id, name from workers');
  return rows;
}

export async function registerWorker(
  db: Session,
  id: string,
  name: string,
  leaseSeconds: number,
): Promise<void> {
  await db.rows(
    `insert into workers (id, name, lease_until) values (?, ?, now() + make_interval(secs => ?))`,
    [id, name, leaseSeconds],
  );
}

export async function renewLease(db: Session, id: string, leaseSeconds: number): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `update workers set lease_until = now() + make_interval(secs => ?) where id = ? returning id`,
    [leaseSeconds, id],
  );
  return rows.length > 0;
}

export async function removeWorker(db: Session, id: string): Promise<void> {
  await db.rows('delete from workers where id = ?', [id]);
}

/** Tasks in the hands of nobody who lives. Time is the database's, the same for all workers. */
export async function orphans(db: Session): Promise<Holding[]> {
  await db.rows('delete from workers where lease_until < now()');
  const { rows } = await db.raw<{ rows: HoldingRow[] }>(
    `select id, worker_id as "workerId", fence from tasks
     where worker_id is not null and not exists (select 1 from workers where workers.id = tasks.worker_id)
     order by id limit 1000`,
  );
  return rows.map(toHolding);
}

type HoldingRow = Omit<Holding, 'fence'> & { fence: string };

function toHolding(row: HoldingRow): Holding {
  return { ...row, fence: Number(row.fence) };
}

/** What a worker holds (index `tasks_worker`). */
export async function heldBy(db: Session, workerId: string): Promise<Holding[]> {
  const { rows } = await db.raw<{ rows: HoldingRow[] }>(
    'select id, worker_id as "workerId", fence from tasks where worker_id = ?',
    [workerId],
  );
  return rows.map(toHolding);
}

/** Skips what is locked: to wait for several rows in no order could end in a deadlock. */
export async function reportProgress(db: Session, reports: readonly ProgressReport[]): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>(
    `with reported as (
       select tasks.id, v.progress
       from unnest(cast(? as text[]), cast(? as text[]), cast(? as bigint[]), cast(? as json[]))
         as v (id, worker_id, fence, progress)
         join tasks on tasks.id = v.id and tasks.worker_id = v.worker_id and tasks.fence = v.fence
       for update of tasks skip locked
     )
     update tasks set progress = reported.progress, last_modified_date = now()
     from reported where tasks.id = reported.id returning tasks.id`,
    [
      reports.map(({ id }) => id),
      reports.map(({ workerId }) => workerId),
      reports.map(({ fence }) => fence),
      reports.map(({ progress }) => JSON.stringify(progress)),
    ],
  );
  return rows.map(({ id }) => id);
}
