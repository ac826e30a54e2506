/*
 * Where an embedded database lies (D52): its data, its socket, its log, and the record of that choice.
 *
 * Normally all of it is in the node's database folder. When root runs the node and the folder is closed to the
 * server's account (below a 0700 home), data go to /var/lib/conclave, never to a temporary directory: they must
 * outlive a restart of the machine. Only the socket, which is made anew, may go there, when its path would be too
 * long for the kernel. `place.json` in the folder records every such choice.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { type Account, firstClosedDirectory } from './account.ts';
import { EmbeddedDatabaseError } from './problem.ts';

/** The kernel allows 107 bytes (103 on macOS) for a socket's path; PostgreSQL's names need some of them. */
const SOCKET_PATH_BYTES = 100;
export const SOCKET_PORT = 5432;
export const SOCKET_NAME = `.s.PGSQL.${SOCKET_PORT}`;

/** Where root puts what the server's account could not reach in the node's own folder. */
export const SYSTEM_HOME = process.platform === 'darwin' ? '/var/db/conclave' : '/var/lib/conclave';

const Recorded = z.strictObject({ folder: z.string(), home: z.string(), socket: z.string() });
type Recorded = z.infer<typeof Recorded>;

export interface Place {
  /** The node's database folder: the record, the launch lock and the server's log. */
  readonly folder: string;
  /** Holds `data` and, where its path is short enough, the socket's directory. Equals `folder`, or lies elsewhere. */
  readonly home: string;
  readonly data: string;
  readonly socket: string;
  readonly log: string;
}

/** Makes the folder if need be and returns its real path; only its owner may list it. */
export async function openFolder(folder: string): Promise<string> {
  const mode = process.geteuid!() === 0 ? 0o711 : 0o700;
  if ((await mkdir(folder, { recursive: true, mode })) !== undefined) await chmod(folder, mode);
  return await realpath(folder);
}

/**
 * The home recorded for a folder, or null for one that has none yet.
 *
 * @throws EmbeddedDatabaseError `cannot_place` when the folder is a copy of another whose database lies elsewhere
 */
export async function recordedHome(folder: string): Promise<string | null> {
  const record = await readRecord(folder);
  if (record === null) return null;
  if (record.folder === folder || record.home === record.folder) {
    return record.home === record.folder ? folder : record.home;
  }
  const original = await readRecord(record.folder);
  if (original?.home === record.home) {
    throw new EmbeddedDatabaseError(
      'cannot_place',
      `${folder} is a copy of ${record.folder}: both name the database in ${record.home}, which belongs to the ` +
        `latter. Remove ${recordFile(folder)} to begin with an empty database, or restore a dump into one`,
    );
  }
  return record.home;
}

/** The socket's directory recorded for a folder, or null. */
export async function recordedSocket(folder: string): Promise<string | null> {
  return (await readRecord(folder))?.socket ?? null;
}

/**
 * Decides, prepares and records where everything lies. Call it under the launch lock.
 *
 * @param systemHome where root puts what the account cannot reach, SYSTEM_HOME
 * @throws EmbeddedDatabaseError `unreachable_directory`, `cannot_place`
 */
export async function preparePlace(folder: string, account: Account, systemHome: string): Promise<Place> {
  const home = (await recordedHome(folder)) ?? (await chooseHome(folder, account, systemHome));
  const closed = account.drop ? await firstClosedDirectory(home, account) : null;
  if (closed !== null) {
    throw new EmbeddedDatabaseError(
      'unreachable_directory',
      `the database lies in ${home}, but ${closed.reason}: chmod o+x ${closed.directory}`,
    );
  }
  const recorded = await readRecord(folder);
  const socket = await prepareSocket(home, recorded?.socket, account);
  const record: Recorded = { folder, home, socket };
  if (JSON.stringify(record) !== JSON.stringify(recorded)) await writeRecord(folder, record);
  return { folder, home, socket, data: join(home, 'data'), log: join(folder, 'server.log') };
}

async function chooseHome(folder: string, account: Account, systemHome: string): Promise<string> {
  if (!account.drop || (await firstClosedDirectory(folder, account)) === null) return folder;
  const digest = createHash('sha256').update(folder).update(randomBytes(16)).digest('hex').slice(0, 12);
  const home = join(systemHome, `${basename(folder)}-${digest}`);
  await makeOpenDirectory(systemHome);
  await makeOpenDirectory(home);
  return home;
}

/** A directory of root's that every account may pass through and only root may change. */
export async function makeOpenDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true, mode: 0o755 });
  if (made !== undefined) await chmod(directory, 0o755);
  const entry = await lstat(directory);
  if (entry.isDirectory() && entry.uid === process.geteuid!() && (entry.mode & 0o022) === 0) return;
  throw new EmbeddedDatabaseError(
    'cannot_place',
    `${directory} must be a directory that only this account can change: chown it and chmod go-w ${directory}`,
  );
}

/** The socket's directory: mode 0700, the account's own, and short enough. */
async function prepareSocket(home: string, recorded: string | undefined, account: Account): Promise<string> {
  const wanted = join(home, 'socket');
  if (fits(wanted)) {
    await mkdir(wanted, { mode: 0o700 }).catch(ignoreExisting);
    await takeOver(wanted, account);
    return wanted;
  }
  if (recorded !== undefined && (await isPrivateTo(recorded, account))) return recorded;
  for (const parent of new Set([tmpdir(), '/tmp'])) {
    if (!fits(join(parent, 'conclave-XXXXXX')) || (await firstClosedDirectory(parent, account)) !== null)
      continue;
    const made = await mkdtemp(join(parent, 'conclave-'));
    await takeOver(made, account);
    return made;
  }
  throw new EmbeddedDatabaseError(
    'cannot_place',
    `the path of a socket in ${wanted} would be longer than ${SOCKET_PATH_BYTES} bytes, and no temporary directory ` +
      'is short and open enough: choose a shorter database.embedded.folder, or set TMPDIR',
  );
}

function fits(directory: string): boolean {
  return Buffer.byteLength(join(directory, SOCKET_NAME)) <= SOCKET_PATH_BYTES;
}

/** Makes a directory the account's own and private. Only for directories that this process has made or owns. */
async function takeOver(directory: string, account: Account): Promise<void> {
  if (await isPrivateTo(directory, account)) return;
  if (account.drop) await chown(directory, account.uid, account.gid);
  await chmod(directory, 0o700);
}

async function isPrivateTo(directory: string, account: Account): Promise<boolean> {
  const entry = await lstat(directory).catch(() => null);
  return entry?.isDirectory() === true && entry.uid === account.uid && (entry.mode & 0o077) === 0;
}

function recordFile(folder: string): string {
  return join(folder, 'place.json');
}

async function readRecord(folder: string): Promise<Recorded | null> {
  let text: string;
  try {
    text = await readFile(recordFile(folder), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return Recorded.parse(JSON.parse(text));
  } catch (cause) {
    throw new EmbeddedDatabaseError(
      'cannot_place',
      `${recordFile(folder)} is damaged; it should say {"folder", "home", "socket"}: where the database lies`,
      { cause },
    );
  }
}

async function writeRecord(folder: string, record: Recorded): Promise<void> {
  const temporary = `${recordFile(folder)}.new`;
  await writeFile(temporary, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600, flush: true });
  await rename(temporary, recordFile(folder));
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
