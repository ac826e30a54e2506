/*
 * A real PostgreSQL server for a node that was given no database URL (D52): found, initialised, started, or adopted
 * when it has outlived a killed node; restarted when it dies while the node runs.
 *
 * Several processes of one node share one server; the last one out stops it. Who is still in is known by the server
 * alone: every process holds a shared advisory lock on a connection of its own, which ends with the process however
 * that ends. Starting and stopping happen under a lock of the file system (embedded/launch-lock.ts).
 *
 *      start ──► server alive? ──yes──► answers? ──yes──► adopt ─┐
 *                   │ no                   │ no: wait            ├─► presence lock ─► in use ─► stop: sole holder?
 *                   ▼                      ▼                     │        ▲              │       yes: shut down
 *               initialise ──────────► launch ───────────────────┘        └── lost ◄─────┘       no: leave it
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { type Account, chooseAccount } from './embedded/account.ts';
import { type Binaries, type BinariesSetting, findBinaries } from './embedded/binaries.ts';
import { withLaunchLock } from './embedded/launch-lock.ts';
import { dataVersion, initialise, launch } from './embedded/launcher.ts';
import {
  openFolder,
  type Place,
  preparePlace,
  recordedHome,
  recordedSocket,
  SOCKET_PORT,
  SYSTEM_HOME,
} from './embedded/place.ts';
import {
  disownPostmasterFile,
  maintenanceClient,
  probe,
  processState,
  ROLE,
  readPostmasterFile,
  type ServerAddress,
} from './embedded/postmaster.ts';
import { EmbeddedDatabaseError } from './embedded/problem.ts';

/** Key of the advisory lock (in the maintenance database) that every process using the server shares. */
const PRESENCE_LOCK = 0x434f4e43;
const POLL_MILLISECONDS = 15;
/** How long a living server may seem to have lost its socket before it is replaced. */
const PATIENCE_MILLISECONDS = 3000;
const STOP_MILLISECONDS = 60_000;
const RECOVERY_PAUSES_MILLISECONDS = [0, 100, 500, 1000, 2000, 5000] as const;

export interface EmbeddedOptions {
  /** The node's database folder. Made if need be; where root runs the node, data may have to lie elsewhere. */
  readonly folder: string;
  /** Name of the database; made if need be. */
  readonly database?: string | undefined;
  /** A directory with initdb and postgres, or `npm`, or `system`; every source in turn by default. */
  readonly binaries?: BinariesSetting | undefined;
  /** As which account root runs the server; `postgres`, else `nobody`, by default. */
  readonly account?: string | undefined;
  /** How long to wait for a server that starts, recovers or stops. */
  readonly startSeconds?: number | undefined;
  /** Where root puts data that the account could not reach in `folder`. */
  readonly systemHome?: string | undefined;
  readonly onEvent?: ((event: EmbeddedEvent) => void) | undefined;
}

/** What the node's log should say about its server. */
export type EmbeddedEvent =
  | { readonly event: 'initialised'; readonly data: string; readonly version: string }
  | { readonly event: 'started' | 'adopted'; readonly data: string; readonly pid: number }
  | { readonly event: 'lost'; readonly data: string }
  | { readonly event: 'recovery_failed'; readonly data: string; readonly error: Error };

export interface EmbeddedServer {
  /** How to connect: options as `pg` takes them. The same for as long as the server is in use. */
  readonly connection: ServerAddress;
  /** True when the server was already running. */
  readonly adopted: boolean;
  readonly place: Place;
  /** Process id of the server now; another one after it had to be restarted. */
  readonly pid: number;
  /** Ends the use of the server, and the server with its last user. Close pools first. Idempotent. */
  stop(): Promise<{ readonly stopped: boolean }>;
}

interface Entry {
  readonly place: Place;
  readonly adopted: boolean;
  readonly presence: Client;
  readonly pid: number;
}

/**
 * @throws EmbeddedDatabaseError whose message tells the operator what is wrong and what to do
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const first = await enter(options);
  let current: Entry | null = first;
  let recovery: Promise<void> | null = null;
  let ending: Promise<{ stopped: boolean }> | null = null;
  const cancelled = new AbortController();

  const watch = (entry: Entry): void => {
    const { adopted, pid, place } = entry;
    report(options, { event: adopted ? 'adopted' : 'started', data: place.data, pid });
    const lost = (): void => {
      if (current !== entry || ending !== null) return;
      current = null;
      report(options, { event: 'lost', data: place.data });
      recovery = recover();
    };
    entry.presence.once('end', lost);
  };
  const recover = async (): Promise<void> => {
    for (let attempt = 0; !cancelled.signal.aborted; attempt++) {
      const wait = RECOVERY_PAUSES_MILLISECONDS[attempt] ?? RECOVERY_PAUSES_MILLISECONDS.at(-1);
      await pause(wait, undefined, { signal: cancelled.signal }).catch(() => {});
      if (cancelled.signal.aborted) return;
      try {
        current = await enter(options);
        watch(current);
        return;
      } catch (error) {
        report(options, { event: 'recovery_failed', data: first.place.data, error: error as Error });
      }
    }
  };
  watch(first);

  return {
    connection: { host: first.place.socket, port: SOCKET_PORT, user: ROLE, database: databaseName(options) },
    adopted: first.adopted,
    place: first.place,
    get pid() {
      return (current ?? first).pid;
    },
    stop() {
      ending ??= (async () => {
        cancelled.abort();
        await recovery;
        return await leave(first.place, current?.presence ?? null, options);
      })();
      return ending;
    },
  };
}

/** Gets a server that answers, and registers this process as one of its users. */
async function enter(options: EmbeddedOptions): Promise<Entry> {
  const waitMilliseconds = (options.startSeconds ?? 60) * 1000;
  const folder = await openFolder(options.folder);
  return await withLaunchLock(join(folder, 'launch.lock'), waitMilliseconds, async () => {
    const deadline = performance.now() + waitMilliseconds;
    const account = await chooseAccount(options.account, await existingData(folder));
    const systemHome = options.systemHome ?? SYSTEM_HOME;
    const place = await preparePlace(folder, account, systemHome);
    const adopted = await awaitSurvivor(place, deadline);
    if (!adopted) await startAfresh(place, account, options, deadline);
    const pid = (await readPostmasterFile(place.data))?.pid ?? 0;
    const presence = await registerPresence(place, databaseName(options));
    return { place, adopted, presence, pid };
  });
}

async function existingData(folder: string): Promise<string | null> {
  const data = join((await recordedHome(folder)) ?? folder, 'data');
  return (await stat(data).catch(() => null)) === null ? null : data;
}

async function startAfresh(
  place: Place,
  account: Account,
  options: EmbeddedOptions,
  deadline: number,
): Promise<void> {
  const major = await dataVersion(place.data);
  const copies = account.drop ? (options.systemHome ?? SYSTEM_HOME) : place.folder;
  const binaries = await findBinaries({ setting: options.binaries, account, major, copies });
  if (major === null) {
    await initialise(place, binaries, account);
    report(options, { event: 'initialised', data: place.data, version: binaries.version });
  }
  while (!(await launchUnlessOrphaned(place, binaries, account, deadline))) await pause(POLL_MILLISECONDS);
}

/** False while backends of a killed server still live: they notice its death within moments, and end. */
async function launchUnlessOrphaned(
  place: Place,
  binaries: Binaries,
  account: Account,
  deadline: number,
): Promise<boolean> {
  try {
    await launch(place, binaries, account, deadline);
    return true;
  } catch (error) {
    const orphaned = (error as Error).message.includes('pre-existing shared memory block');
    if (!orphaned || performance.now() > deadline) throw error;
    return false;
  }
}

/** True once a server left by an earlier process answers; false when there is none and one may be started. */
async function awaitSurvivor(place: Place, deadline: number): Promise<boolean> {
  const patience = performance.now() + PATIENCE_MILLISECONDS;
  for (;;) {
    const file = await readPostmasterFile(place.data);
    if (file === null) return false;
    const state = await processState(file.pid, place.data);
    if (state === 'dead') return false;
    if (state === 'stranger' || state === 'zombie') {
      await disownPostmasterFile(place.data);
      return false;
    }
    if (state === 'server') {
      const answer = await probe(place.socket, SOCKET_PORT);
      if (answer === 'ready') return true;
      // Its socket is gone (a cleaner of temporary directories, a moved folder): nobody can use it, so replace it.
      const unreachable = answer === 'absent' && file.status === 'ready' && performance.now() > patience;
      if (unreachable) process.kill(file.pid, 'SIGINT');
    }
    if (performance.now() > deadline) {
      throw new EmbeddedDatabaseError(
        'start_timeout',
        `the PostgreSQL server ${file.pid} on ${place.data} is alive but does not answer; its log is ${place.log}`,
      );
    }
    await pause(POLL_MILLISECONDS);
  }
}

/** Makes the database if need be and takes the shared lock that says "in use". */
async function registerPresence(place: Place, database: string): Promise<Client> {
  const client = maintenanceClient(place.socket, SOCKET_PORT);
  client.on('error', () => {}); // 'end' follows, and is watched
  await client.connect();
  await client.query('select pg_advisory_lock_shared($1)', [PRESENCE_LOCK]);
  const { rowCount } = await client.query('select from pg_database where datname = $1', [database]);
  if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)}`);
  return client;
}

/** Gives up presence (null: lost with its connection); stops the server when nobody else is present. */
async function leave(
  place: Place,
  presence: Client | null,
  options: EmbeddedOptions,
): Promise<{ stopped: boolean }> {
  const waitMilliseconds = (options.startSeconds ?? 60) * 1000;
  return await withLaunchLock(join(place.folder, 'launch.lock'), waitMilliseconds, async () => {
    const client = presence ?? (await registerPresence(place, databaseName(options)).catch(() => null));
    if (client === null) return { stopped: false };
    const sole = await client
      .query('select pg_try_advisory_lock($1) as sole', [PRESENCE_LOCK])
      .then(({ rows }) => rows[0].sole === true)
      .catch(() => false);
    if (sole) await shutDown(place);
    await client.end().catch(() => {});
    return { stopped: sole };
  });
}

/** A fast shutdown: open transactions are rolled back, everything is written, and the server ends. */
async function shutDown(place: Place): Promise<void> {
  const file = await readPostmasterFile(place.data);
  if (file === null || (await processState(file.pid, place.data)) !== 'server') return;
  process.kill(file.pid, 'SIGINT');
  const deadline = performance.now() + STOP_MILLISECONDS;
  while ((await processState(file.pid, place.data)) === 'server') {
    if (performance.now() > deadline) {
      throw new EmbeddedDatabaseError(
        'start_timeout',
        `the PostgreSQL server ${file.pid} on ${place.data} does not stop; its log is ${place.log}`,
      );
    }
    await pause(POLL_MILLISECONDS);
  }
}

/**
 * Removes the database of a folder, wherever it lies, for good. The folder itself stays.
 *
 * @throws EmbeddedDatabaseError `still_running` while a server runs on it
 */
export async function eraseEmbedded(options: { readonly folder: string }): Promise<void> {
  const folder = await openFolder(options.folder);
  await withLaunchLock(join(folder, 'launch.lock'), 10_000, async () => {
    const home = (await recordedHome(folder)) ?? folder;
    const data = join(home, 'data');
    const file = await readPostmasterFile(data);
    if (file !== null && (await processState(file.pid, data)) === 'server') {
      throw new EmbeddedDatabaseError('still_running', `stop the server ${file.pid} on ${data} first`);
    }
    const socket = (await recordedSocket(folder)) ?? join(home, 'socket');
    const gone = home === folder ? [data, socket] : [home, socket];
    for (const path of [...gone, join(folder, 'place.json'), join(folder, 'server.log')]) {
      await rm(path, { recursive: true, force: true });
    }
  });
}

function databaseName(options: EmbeddedOptions): string {
  return options.database ?? 'conclave';
}

function report(options: EmbeddedOptions, event: EmbeddedEvent): void {
  options.onEvent?.(event);
}
