/*
 * A node's PostgreSQL server seen from outside, for those who harm it and for those who look into it afterwards: its
 * processes by `/proc`, and queries on a connection of their own. It starts nothing: that is the node's work.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { recordedHome, recordedSocket, SOCKET_PORT } from '../../lib/store/embedded/place.ts';
import { processState, ROLE, readPostmasterFile } from '../../lib/store/embedded/postmaster.ts';

const QUERY_MILLISECONDS = 20_000;
const WORKING = `select 1 from tasks join workers on workers.id = tasks.worker_id
  where workers.name like $1 and tasks.status = 'executing' and tasks.input_data ->> 'early' = 'true' limit 1`;

export class DatabaseServer {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Rows of a query; fails when the database cannot be reached. */
  async rows<Row>(sql: string, values: readonly unknown[] = []): Promise<Row[]> {
    const socket = await recordedSocket(this.#folder);
    if (socket === null) throw new Error(`there is no database in ${this.#folder}`);
    const client = new Client({
      host: socket,
      port: SOCKET_PORT,
      user: ROLE,
      database: 'conclave',
      application_name: 'chaos',
      connectionTimeoutMillis: QUERY_MILLISECONDS,
      query_timeout: QUERY_MILLISECONDS,
    });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql, [...values])).rows;
    } finally {
      await client.end().catch(() => {});
    }
  }

  /** The process id of the living server; null when there is none. */
  async postmaster(): Promise<number | null> {
    const home = (await recordedHome(this.#folder)) ?? this.#folder;
    const data = join(home, 'data');
    const file = await readPostmasterFile(data);
    return file !== null && (await processState(file.pid, data)) === 'server' ? file.pid : null;
  }

  /** Process ids of what the server has started, with their titles. Linux only: elsewhere there are none. */
  async backends(): Promise<{ pid: number; title: string }[]> {
    const server = await this.postmaster();
    if (server === null || process.platform !== 'linux') return [];
    const found = await Promise.all(
      (await readdir('/proc'))
        .filter((name) => /^\d+$/.test(name))
        .map(async (name) => {
          const line = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
          const [, parent] = line.slice(line.lastIndexOf(')') + 2).split(' ');
          if (Number(parent) !== server) return [];
          const title = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
          return [{ pid: Number(name), title: title.replaceAll('\0', ' ').trim() }];
        }),
    );
    return found.flat();
  }

  /** Ends what stands still, and then what its nodes have left running. */
  async end(): Promise<void> {
    const server = await this.postmaster();
    if (server === null) return;
    for (const { pid } of await this.backends()) signalProcess(pid, 'SIGCONT');
    signalProcess(server, 'SIGCONT');
    signalProcess(server, 'SIGINT');
    while ((await this.postmaster()) === server) await pause(20);
  }

  /** A backend of the node's that commits at this moment; when none does for a while, any. */
  async committing(milliseconds: number): Promise<number | null> {
    const deadline = performance.now() + milliseconds;
    const clients = (await this.backends()).filter(({ title }) => title.includes('conclave conclave'));
    while (performance.now() < deadline) {
      for (const { pid } of clients) {
        const title = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        if (title.includes('COMMIT')) return pid;
      }
      await pause(1);
    }
    return clients[0]?.pid ?? null;
  }

  /** Waits until the process holds a task that has written already, and has seconds to go; at most so many milliseconds. */
  async working(pid: number | null, milliseconds: number): Promise<void> {
    const deadline = performance.now() + milliseconds;
    while (pid !== null && performance.now() < deadline) {
      const asked = this.rows(WORKING, [`%:${pid}:%`]).catch(() => []);
      // The database may stand still, too.
      const found = await Promise.race([asked, pause(deadline - performance.now(), [])]);
      if (found.length > 0) return;
      await pause(100);
    }
  }
}

/** To a process that may have ended meanwhile. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
