/*
 * What is known about a running server from outside (D52): its postmaster.pid, whether that process lives, and
 * whether it answers. A node that was killed leaves its server alive; the next one adopts it.
 *
 * A process id alone proves nothing: after a restart of the machine or container it may belong to a stranger, and
 * a dead server may stay as a zombie that nobody reaps. Never delete postmaster.pid: its last lines name the shared
 * memory by which PostgreSQL itself recognises backends that outlived their server.
 */
import { execFile } from 'node:child_process';
import { readFile, readlink, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

const run = promisify(execFile);

/** The database role that owns everything; the socket's directory is what keeps others out. */
export const ROLE = 'conclave';
/** Exists in every cluster; used for what concerns the whole server. */
export const MAINTENANCE_DATABASE = 'postgres';

/** SQLSTATE: cannot connect now (starting, stopping); too many connections. */
const NOT_NOW = ['57P03', '53300'];
const CONNECT_MILLISECONDS = 2000;

export interface PostmasterFile {
  readonly pid: number;
  readonly port: number;
  readonly socket: string;
  /** "starting", "ready", "stopping" or "standby"; empty in the first instant. */
  readonly status: string;
}

/** The contents of `postmaster.pid`, or null when there is none (or only the beginning of one). */
export async function readPostmasterFile(data: string): Promise<PostmasterFile | null> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(ignoreAbsent);
  const lines = text?.split('\n').map((line) => line.trim());
  const pid = Number(lines?.[0]);
  if (lines === undefined || !Number.isInteger(pid) || pid <= 0) return null;
  return { pid, port: Number(lines[3] ?? 0), socket: lines[4] ?? '', status: lines[7] ?? '' };
}

/** `server`: serves `data`. `zombie`: dead, not yet reaped. `stranger`: another program has got the number. */
export type ProcessState = 'server' | 'zombie' | 'stranger' | 'dead';

export async function processState(pid: number, data: string): Promise<ProcessState> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'dead';
  }
  return process.platform === 'linux' ? await linuxState(pid, data) : await portableState(pid, data);
}

async function linuxState(pid: number, data: string): Promise<ProcessState> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (line === null) return 'dead';
  const [state] = line.slice(line.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z' || state === 'X') return 'zombie';
  const name = line.slice(line.indexOf('(') + 1, line.lastIndexOf(')'));
  if (!name.startsWith('postgres') && !name.startsWith('postmaster')) return 'stranger';
  // A server's working directory is its data directory. An answer that is denied must not pass for a "no".
  const directory = await readlink(`/proc/${pid}/cwd`).catch((error: NodeJS.ErrnoException) => {
    return error.code === 'ENOENT' || error.code === 'ESRCH' ? '' : data;
  });
  if (directory === '') return 'dead';
  return directory === data || directory === (await realpath(data)) ? 'server' : 'stranger';
}

async function portableState(pid: number, data: string): Promise<ProcessState> {
  const answer = await run('ps', ['-o', 'stat=,command=', '-p', String(pid)]).catch(() => null);
  if (answer === null) return 'dead';
  if (answer.stdout.trim().startsWith('Z')) return 'zombie';
  return answer.stdout.includes(`-D ${data}`) ? 'server' : 'stranger';
}

/**
 * Lets PostgreSQL start over a stale postmaster.pid whose number a zombie or a stranger holds. The number is replaced
 * by ours: a server ignores its own parent's. The rest stays, for the check of shared memory. Only under the launch
 * lock, and only when the process is known not to be the server.
 */
export async function disownPostmasterFile(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  const [, ...rest] = (await readFile(file, 'utf8')).split('\n');
  const text = [String(process.pid), ...rest].join('\n');
  await writeFile(file, text);
}

export interface ServerAddress {
  /** The socket's directory, which `pg` takes as a host. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export function maintenanceClient(socket: string, port: number): Client {
  return new Client({
    host: socket,
    port,
    user: ROLE,
    database: MAINTENANCE_DATABASE,
    application_name: 'conclave launcher',
    connectionTimeoutMillis: CONNECT_MILLISECONDS,
  });
}

/** `ready`: answers queries. `busy`: starting, recovering or stopping. `absent`: nothing listens there. */
export async function probe(socket: string, port: number): Promise<'ready' | 'busy' | 'absent'> {
  const client = maintenanceClient(socket, port);
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('select 1');
    return 'ready';
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'absent';
    if (code === undefined || NOT_NOW.includes(code) || code.startsWith('E')) return 'busy';
    throw error;
  } finally {
    await client.end().catch(() => {});
  }
}

function ignoreAbsent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
