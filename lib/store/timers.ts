/** The table `timers`: what is to happen to a task at a time (D17). */
import type { Timer, TimerKind } from '../engine/model.ts';
import type { DueTimer } from '../engine/store.ts';
import type { Session } from './session.ts';

export async function setTimers(transaction: Session, timers: readonly Timer[]): Promise<void> {
  if (timers.length === 0) return;
  await transaction.write(
    `insert into timers (task_id, kind, fire_at, epoch)
     select * from unnest(cast(? as text[]), cast(? as text[]), cast(? as timestamptz[]), cast(? as integer[]))`,
    [
      timers.map(({ taskId }) => taskId),
      timers.map(({ kind }) => kind),
      timers.map(({ fireAt }) => fireAt),
      timers.map(({ epoch }) => epoch),
    ],
  );
}

export async function clearTimers(
  transaction: Session,
  clears: readonly { taskId: string; kinds: readonly TimerKind[] | 'all' }[],
): Promise<void> {
  await transaction.write(
    `delete from timers using unnest(cast(? as text[]), cast(? as text[])) as v (task_id, kinds)
     where timers.task_id = v.task_id and (v.kinds = 'all' or timers.kind = any(string_to_array(v.kinds, ',')))`,
    [
      clears.map(({ taskId }) => taskId),
      clears.map(({ kinds }) => (kinds === 'all' ? 'all' : kinds.join(','))),
    ],
  );
}

/** The timers that were still there. */
export async function takeTimers(transaction: Session, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await transaction.raw<{ rows: { id: string }[] }>(
    'delete from timers where id = any(cast(? as bigint[])) returning id',
    [ids],
  );
  return new Set(rows.map(({ id }) => id));
}

/** Reads only: two processes may see the same timer; the one whose transaction takes it applies it. */
export async function dueTimers(db: Session, now: Date, limit: number): Promise<DueTimer[]> {
  const { rows } = await db.raw<{ rows: DueTimer[] }>(
    `select id as "timerId", task_id as "taskId", kind, fire_at as "fireAt", epoch from timers
     where fire_at <= ? order by fire_at, id limit ?`,
    [now, limit],
  );
  return rows;
}

export async function nextDue(db: Session): Promise<Date | null> {
  const { rows } = await db.raw<{ rows: { due: Date | null }[] }>('select min(fire_at) as due from timers');
  return rows[0]!.due;
}
