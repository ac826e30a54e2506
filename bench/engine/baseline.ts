/*
 * What the machine's PostgreSQL can do at most, one row and one durable commit at a time, through `pg` alone: the measure
 * of all other figures of a run (D63).
 */
import { Client } from 'pg';
import type { ServerAddress } from '../../lib/store/embedded/postmaster.ts';
import { parentOf } from './measurement.ts';

export type Connection = ServerAddress | { readonly connectionString: string };

/** Commits a second of one client that inserts single rows, each waiting for the disk. */
export async function baselineCommits(connection: Connection, seconds: number): Promise<number> {
  const client = new Client(connection);
  await client.connect();
  try {
    await client.query(
      'create table if not exists bench_baseline (id bigint primary key, note text not null)',
    );
    const insert = {
      name: 'baseline',
      text: 'insert into bench_baseline values ($1, $2) on conflict (id) do update set note = excluded.note',
    };
    const note = 'x'.repeat(100);
    const until = performance.now() + seconds * 1000;
    const started = performance.now();
    let commits = 0;
    while (performance.now() < until) {
      await client.query({ ...insert, values: [commits, note] });
      commits += 1;
    }
    return commits / ((performance.now() - started) / 1000);
  } finally {
    await client.query('drop table if exists bench_baseline').catch(() => {});
    await client.end();
  }
}

/** The process of the server behind a connection, where it runs on this machine: the parent of our backend. */
export async function serverOf(connection: Connection): Promise<number | null> {
  const client = new Client(connection);
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return await parentOf(rows[0]!.pid);
  } finally {
    await client.end();
  }
}
