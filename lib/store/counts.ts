/** Counts for metrics: what there is and what waits. */
import type { Knex } from 'knex';

export interface TaskCount {
  type: string;
  status: string;
  count: number;
}

/** Those that have not ended, by the index `tasks_unfinished`: costs as much as there are of them. */
export async function countUnfinishedTasks(db: Knex): Promise<TaskCount[]> {
  const { rows } = await db.raw<{ rows: TaskCount[] }>(
    `select task_type as type, status, cast(count(*) as integer) as count from tasks
     where status not in ('finished', 'error') group by task_type, status`,
  );
  return rows;
}

/** Those that have ended: reads the whole table, from one end to the other. Ask rarely. */
export async function countEndedTasks(db: Knex): Promise<TaskCount[]> {
  return await db.transaction(async (transaction) => {
    await transaction.raw('set local enable_seqscan = on');
    const { rows } = await transaction.raw<{ rows: TaskCount[] }>(
      `select task_type as type, status, cast(count(*) as integer) as count from tasks
       where status in ('finished', 'error') group by task_type, status`,
    );
    return rows;
  });
}

export interface WaitingJobs {
  queue: string;
  count: number;
  oldestSeconds: number;
}

/** By the index `tasks_ready`. */
export async function countWaitingJobs(db: Knex): Promise<WaitingJobs[]> {
  const { rows } = await db.raw<{ rows: WaitingJobs[] }>(
    `select job_queue as queue, cast(count(*) as integer) as count,
       cast(extract(epoch from now() - min(run_at)) as double precision) as "oldestSeconds"
     from tasks where job is not null and worker_id is null and run_at <= now() group by job_queue`,
  );
  return rows;
}

export interface MessageCount {
  peerId: string;
  state: 'pending' | 'dead';
  count: number;
}

/** Pending ones by the index `messages_outbox`; dead ones are rare, and counted over the last week. */
export async function countMessages(db: Knex): Promise<MessageCount[]> {
  const { rows } = await db.raw<{ rows: MessageCount[] }>(
    `select peer_id as "peerId", state, cast(count(*) as integer) as count from messages
     where state = 'pending' and peer_id is not null group by peer_id, state
     union all
     select peer_id, state, cast(count(*) as integer) from messages
     where state = 'dead' and peer_id is not null and created_date > now() - interval '7 days' group by peer_id, state`,
  );
  return rows;
}
