/*
 * One launcher at a time: a lock on a node's database folder that the kernel releases when its holder dies, however
 * it dies. Two launchers would otherwise both initialise, or both judge a stale postmaster.pid.
 *
 * Node has no flock; an SQLite file in exclusive mode is one (SQLite locks it with fcntl, between processes as well
 * as between connections of one process). Never open or close that file by other means while it may be locked:
 * closing any descriptor of a file drops the process's POSIX locks on it.
 */
import { open } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { EmbeddedDatabaseError } from './problem.ts';

const SQLITE_BUSY = 5;
const RETRY_MILLISECONDS = 15;

/**
 * Runs `body` while this process alone holds the lock `file`.
 *
 * @param waitMilliseconds how long to wait for another launcher
 * @throws EmbeddedDatabaseError `start_timeout` when another launcher holds it longer
 */
export async function withLaunchLock<T>(
  file: string,
  waitMilliseconds: number,
  body: () => Promise<T>,
): Promise<T> {
  await createPrivate(file);
  const deadline = performance.now() + waitMilliseconds;
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    while (!tryLock(lock)) {
      if (performance.now() > deadline) {
        throw new EmbeddedDatabaseError(
          'start_timeout',
          `another process has been starting or stopping this database for ${waitMilliseconds / 1000} s ` +
            `(it holds ${file}): see what it waits for, or end it`,
        );
      }
      await pause(RETRY_MILLISECONDS);
    }
    return await body();
  } finally {
    lock.close();
  }
}

/** Makes the file with mode 0600; an existing one is left alone, for the reason at the head of this module. */
async function createPrivate(file: string): Promise<void> {
  try {
    await (await open(file, 'wx', 0o600)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function tryLock(lock: DatabaseSync): boolean {
  try {
    lock.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return false;
    throw error;
  }
}
