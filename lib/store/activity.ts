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

/** What happens in each queue now, and its errors of the last day (FQ-C9). */
export async function queueActivity(db: Knex): Promise<QueueActivity[]> {
  const { rows } = await db.raw<{ rows: QueueActivity[] }>(
    `select queue_name as queue,
       cast(count(*) filter (where worker_id is not null) as integer) as executing,
       cast(count(*) filter (where job is not null and worker_id is null) as integer) as waiting,
       cast(count(*) filter (where slot) as integer) as slots,
       cast(count(*) filter (where status not in ('finished', 'error')) as integer) as unfinished,
       cast(count(*) filter (where status = 'error') as integer) as errors
     from tasks where status not in ('finished', 'error') or last_modified_date > now() - interval '1 day'
     group by queue_name order by queue_name`,
  );
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
