/*
 * Initialises a data directory and starts a server on it (D52). Says nothing about who else uses that server; see
 * ../embedded.ts, which calls this under the launch lock.
 *
 * The server listens on a Unix socket only, in a directory of mode 0700: that directory is its authentication. It is
 * started in a session of its own, so that an interrupt at the terminal stops the node first, and it outlives this
 * process when that is killed.
 */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, chown, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Account, hasName, identity } from './account.ts';
import type { Binaries } from './binaries.ts';
import { type Place, SOCKET_NAME, SOCKET_PORT } from './place.ts';
import { probe, ROLE } from './postmaster.ts';
import { EmbeddedDatabaseError } from './problem.ts';

const run = promisify(execFile);
const POLL_MILLISECONDS = 10;
const LOG_BYTES_KEPT = 16 * 1024 * 1024;
const UNFINISHED = 'data.new-';

/**
 * Written into a new cluster's postgresql.conf, where the operator may change it. Durability is never traded for
 * speed: what a node has acknowledged must survive a power failure (D10).
 */
const CONFIGURATION = `
# --- Conclave ---------------------------------------------------------------
fsync = on
synchronous_commit = on
full_page_writes = on
# Queue tables are updated in place all day: vacuum them often, and in small steps.
autovacuum_naptime = 15s
autovacuum_vacuum_scale_factor = 0.02
autovacuum_vacuum_insert_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_limit = 1000
# Short statements only: planning tricks for long ones cost more than they give.
jit = off
max_parallel_workers_per_gather = 0
random_page_cost = 1.1
shared_buffers = 128MB
wal_compression = on
max_wal_size = 1GB
checkpoint_timeout = 10min
max_connections = 120
# The server's log is for what the node does not already log.
log_checkpoints = off
log_min_messages = warning
log_line_prefix = '%m [%p] %q%a '
log_lock_waits = on
log_timezone = 'UTC'
timezone = 'UTC'
`;

/** The major version of a data directory, or null when there is none yet. */
export async function dataVersion(data: string): Promise<number | null> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  return text === null ? null : Number.parseInt(text, 10);
}

/**
 * Makes the data directory, whole or not at all: beside its place, then renamed.
 *
 * @throws EmbeddedDatabaseError `initdb_failed` with what initdb said
 */
export async function initialise(place: Place, binaries: Binaries, account: Account): Promise<void> {
  for (const name of await readdir(place.home)) {
    if (name.startsWith(UNFINISHED)) await rm(join(place.home, name), { recursive: true });
  }
  const fresh = join(place.home, `${UNFINISHED}${randomBytes(6).toString('hex')}`);
  await mkdir(fresh, { mode: 0o700 });
  if (account.drop) await chown(fresh, account.uid, account.gid);
  try {
    await runInitdb(fresh, binaries, account);
    await appendFile(join(fresh, 'postgresql.conf'), CONFIGURATION, { flush: true });
    await rename(fresh, place.data);
    await syncDirectory(place.home);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
}

async function runInitdb(data: string, binaries: Binaries, account: Account): Promise<void> {
  const program = join(binaries.directory, 'initdb');
  const settings = ['--auth-local=trust', '--auth-host=reject', '--encoding=UTF8', '--locale=C'];
  const parameters = ['-D', data, '-U', ROLE, '--data-checksums', '--no-instructions', ...settings];
  // initdb refuses an account without a name (a container's arbitrary uid). In a user namespace of its own it sees
  // itself as `nobody`; the files, and the server, are the account's all the same.
  const nameless = !(await hasName(account.uid));
  const [command, leading] = nameless
    ? ['unshare', ['--user', '--map-user=65534', '--map-group=65534', '--', program]]
    : [program, []];
  try {
    await run(command, [...leading, ...parameters], { ...identity(account), cwd: '/', env: environment() });
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
    const cure = nameless
      ? `. initdb needs a name for ${account.label}: add a line for it to /etc/passwd, or set database.url`
      : '';
    throw new EmbeddedDatabaseError(
      'initdb_failed',
      `${program} (as ${account.label}) failed: ${said}${cure}`,
    );
  }
}

/** Nothing of our environment may change what the programs do (PGDATA, PGOPTIONS, LC_*). */
function environment(): NodeJS.ProcessEnv {
  const { PATH, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, TMPDIR } = process.env;
  const kept = { PATH, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, TMPDIR };
  return {
    ...Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined)),
    LC_ALL: 'C',
    TZ: 'UTC',
  };
}

/**
 * Starts a server and waits until it answers.
 *
 * @param deadline of performance.now()
 * @throws EmbeddedDatabaseError `start_failed` with the end of the server's log, `start_timeout`
 */
export async function launch(
  place: Place,
  binaries: Binaries,
  account: Account,
  deadline: number,
): Promise<void> {
  await clearSocket(place.socket);
  await keepLogShort(place.log);
  const log = await open(place.log, 'a', 0o600);
  const { size } = await log.stat();
  const command = ['-D', place.data, '-k', place.socket, '-p', String(SOCKET_PORT)];
  const server = spawn(
    join(binaries.directory, 'postgres'),
    [...command, '-c', 'listen_addresses=', '-c', 'unix_socket_permissions=0700', '-c', 'fsync=on'],
    {
      ...identity(account),
      cwd: '/',
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: environment(),
    },
  );
  const ended: { reason: string | null } = { reason: null };
  server.once('error', (error) => {
    ended.reason = error.message;
  });
  server.once('exit', (code, signal) => {
    ended.reason = signal === null ? `exit code ${code}` : signal;
  });
  server.unref();
  await log.close();

  while ((await probe(place.socket, SOCKET_PORT)) !== 'ready') {
    if (ended.reason !== null) {
      const said = (await readFile(place.log))
        .subarray(size)
        .toString()
        .trim()
        .split('\n')
        .slice(-8)
        .join('\n  ');
      throw new EmbeddedDatabaseError(
        'start_failed',
        `PostgreSQL did not start on ${place.data} (${ended.reason}); it said:\n  ${said}`,
      );
    }
    if (performance.now() > deadline) {
      throw new EmbeddedDatabaseError(
        'start_timeout',
        `PostgreSQL on ${place.data} is not ready yet (it may be recovering); its log is ${place.log}. It goes on: ` +
          'start again to wait for it, with a larger database.embedded.start_seconds',
      );
    }
    await pause(POLL_MILLISECONDS);
  }
}

/**
 * Removes what a killed server has left in the socket's directory. PostgreSQL would trust the process id in there, be
 * it a zombie's or a stranger's; the directory is this server's alone, and the data directory has a lock of its own.
 */
async function clearSocket(directory: string): Promise<void> {
  for (const name of [SOCKET_NAME, `${SOCKET_NAME}.lock`]) await rm(join(directory, name), { force: true });
}

async function keepLogShort(log: string): Promise<void> {
  const entry = await stat(log).catch(() => null);
  if (entry !== null && entry.size > LOG_BYTES_KEPT) await rename(log, `${log}.1`);
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
