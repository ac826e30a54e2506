/** What happens in a node at the moment: its queues and its workers, for operators (FQ-C9). */
import type { Knex } from 'knex';

export interface QueueActivity {
  readonly queue: string;
  readonly executing: number;
  readonly waiting: number;
  readonly slots: number;
  readonly unfinished: number;
  readonly errors: number;
}

/** What happens in each queue, and its errors of the last day (FQ-C9); by the indexes `tasks_unfinished` and `tasks_failed`. */
export const QUEUE_ACTIVITY = `with counted as (
    select queue_name as queue,
      count(*) filter (where worker_id is not null) as executing,
      count(*) filter (where job is not null and worker_id is null) as waiting,
      count(*) filter (where slot) as slots,
      count(*) as unfinished,
      0 as errors
    from tasks where status not in ('finished', 'error') group by queue_name
    union all
    select queue_name, 0, 0, 0, 0, count(*)
    from tasks where status = 'error' and last_modified_date > now() - interval '1 day' group by queue_name)
  select queue, cast(sum(executing) as integer) as executing, cast(sum(waiting) as integer) as waiting,
    cast(sum(slots) as integer) as slots, cast(sum(unfinished) as integer) as unfinished,
    cast(sum(errors) as integer) as errors
  from counted group by queue order by queue`;

export async function queueActivity(db: Knex): Promise<QueueActivity[]> {
  const { rows } = await db.raw<{ rows: QueueActivity[] }>(QUEUE_ACTIVITY);
  return rows;
}

export interface WorkerRow {
  readonly name: string;
  readonly started_date: Date;
  readonly alive: boolean;
}

export async function listWorkers(db: Knex): Promise<WorkerRow[]> {
  const { rows } = await db.raw<{ rows: WorkerRow[] }>(
    'select name, started_date, lease_until > now() as alive from workers order by started_date',
  );
  return rows;
}
