/*
 * The connection pool of a node (D10, D52): knex over pg, on the embedded server's socket or on any PostgreSQL by URL,
 * the same code for both.
 *
 * A database that restarts must never end the process: every connection made here has an error handler, a lost one
 * leaves the pool, and `isConnectionLoss` tells callers that the statement may be tried again. No statement waits for
 * ever. Nothing here needs a session to last longer than a transaction, so that a pooler such as PgBouncer may stand
 * in between; only `listen` needs a direct connection.
 */
import knexModule, { type Knex } from 'knex';
import { Client, type ClientConfig } from 'pg';
import type { ServerAddress } from './embedded/postmaster.ts';

const CONNECT_MILLISECONDS = 5000;
const KEEPALIVE_MILLISECONDS = 10_000;
/** How much later than the server's own time limit we give up on a connection that says nothing at all. */
const SILENCE_MILLISECONDS = 10_000;

/** Any PostgreSQL, by URL. */
export interface DatabaseUrl {
  /** `postgres://user@host:port/name?sslmode=verify-full…` */
  readonly url: string;
  /** Kept out of the URL, which may be shown; comes from a file. */
  readonly password?: string | undefined;
  /** True when a pooler in transaction mode answers at `url`: no session settings are sent then. */
  readonly pooler?: boolean | undefined;
  /** Where `listen` goes when a pooler is in between; without it there are no notifications, only polling. */
  readonly directUrl?: string | undefined;
}

export type DatabaseAddress = ServerAddress | DatabaseUrl;

export interface DatabaseOptions {
  readonly address: DatabaseAddress;
  /** Shown in pg_stat_activity and in the server's log. */
  readonly applicationName?: string | undefined;
  readonly poolSize?: number | undefined;
  /** Time limit of one statement; 0 for none (migrations). */
  readonly statementSeconds?: number | undefined;
  /** What knex and the pool have to say that is no error of a statement; silence by default. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Time after which the server ends a transaction in which nothing happens. */
  readonly idleTransactionSeconds?: number | undefined;
}

export interface Notification {
  readonly channel: string;
  readonly payload: string;
}

export interface Database {
  readonly knex: Knex;
  /**
   * Listens on a connection of its own until `close()`, and connects again when that is lost. Notifications are
   * hints: those sent meanwhile are gone, so `onConnect` runs after every connection, for the listener to look itself.
   * Null when only a pooler is known: poll instead.
   */
  listen(channels: readonly string[], handlers: ListenHandlers): Listener | null;
  /** One round trip; rejects when the database does not answer. */
  ping(): Promise<void>;
  /** Waits for connections in use, then closes all. */
  close(): Promise<void>;
}

export interface ListenHandlers {
  readonly onNotification: (notification: Notification) => void;
  readonly onConnect?: (() => void) | undefined;
  readonly onLoss?: ((error: Error) => void) | undefined;
}

export interface Listener {
  close(): Promise<void>;
}

/**
 * Prepared statements keep their plans. One that was made while a table was empty must not read it through when it has
 * grown; and compiling a plan takes longer than any statement of ours.
 */
const PLANNING = '-c enable_seqscan=off -c jit=off';

/** Opens a pool; connects at the first statement. */
export function openDatabase(options: DatabaseOptions): Database {
  const warn = (...said: unknown[]): void => options.onWarning?.(said.map(String).join(' '));
  const knex = knexModule({
    client: 'pg',
    connection: connectionSettings(options) as Knex.PgConnectionConfig,
    pool: { min: 0, max: options.poolSize ?? 10, idleTimeoutMillis: 30_000 },
    acquireConnectionTimeout: 30_000,
    log: { warn, error: warn, deprecate: warn, debug: () => {} },
    // For `sessionOf`.
    userParams: { pooler: 'url' in options.address && options.address.pooler === true },
  } as Knex.Config);
  const listeners = new Set<Listener>();
  return {
    knex,
    listen(channels, handlers) {
      const settings = listenerSettings(options);
      if (settings === null) return null;
      const listener = startListener(settings, channels, handlers);
      listeners.add(listener);
      return listener;
    },
    async ping() {
      await knex.raw('select 1');
    },
    async close() {
      await Promise.all([...listeners].map((listener) => listener.close()));
      await knex.destroy();
    },
  };
}

function connectionSettings(options: DatabaseOptions): ClientConfig {
  const { address } = options;
  const statement = (options.statementSeconds ?? 30) * 1000;
  const common: ClientConfig = {
    ...endpoint(address, 'url' in address ? address.url : ''),
    application_name: options.applicationName ?? 'conclave',
    connectionTimeoutMillis: CONNECT_MILLISECONDS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MILLISECONDS,
    // Statements may be sent before the answers to those before them are here: see `inTransaction`.
    pipeline: true,
    ...(statement > 0 && { query_timeout: statement + SILENCE_MILLISECONDS }),
  };
  if ('url' in address && address.pooler === true) return common;
  return {
    ...common,
    options: PLANNING,
    ...(statement > 0 && { statement_timeout: statement, lock_timeout: statement }),
    idle_in_transaction_session_timeout: (options.idleTransactionSeconds ?? 60) * 1000,
  };
}

function listenerSettings(options: DatabaseOptions): ClientConfig | null {
  const { address } = options;
  const url = 'url' in address ? (address.directUrl ?? (address.pooler === true ? null : address.url)) : '';
  if (url === null) return null;
  return {
    ...endpoint(address, url),
    application_name: `${options.applicationName ?? 'conclave'} listener`,
    connectionTimeoutMillis: CONNECT_MILLISECONDS,
    query_timeout: CONNECT_MILLISECONDS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MILLISECONDS,
  };
}

function endpoint(address: DatabaseAddress, url: string): ClientConfig {
  if (!('url' in address)) return { ...address };
  if (address.password === undefined) return { connectionString: url };
  const complete = new URL(url);
  complete.password = encodeURIComponent(address.password);
  return { connectionString: complete.href };
}

const RECONNECT_MILLISECONDS = [0, 100, 500, 1000, 2000, 5000] as const;
/** A listener that lost its peer without a word (a cable, a firewall) is noticed by asking. */
const LISTENER_CHECK_MILLISECONDS = 15_000;

function startListener(
  settings: ClientConfig,
  channels: readonly string[],
  handlers: ListenHandlers,
): Listener {
  let closed = false;
  let client: Client | null = null;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;

  const retryLater = (error: Error): void => {
    if (closed) return;
    handlers.onLoss?.(error);
    const wait = RECONNECT_MILLISECONDS[Math.min(failures, RECONNECT_MILLISECONDS.length - 1)];
    failures += 1;
    clearTimeout(timer);
    timer = setTimeout(() => void connect(), wait);
  };
  const check = (of: Client): void => {
    timer = setTimeout(() => {
      of.query('select 1').then(
        () => {
          if (!closed && client === of) check(of);
        },
        () => void of.end().catch(() => {}), // 'end' follows, and connects again
      );
    }, LISTENER_CHECK_MILLISECONDS);
  };
  const connect = async (): Promise<void> => {
    const fresh = new Client(settings);
    let reason = new Error('the connection ended');
    let listening = false;
    fresh.on('error', (error) => {
      reason = error;
    });
    fresh.on('notification', ({ channel, payload }) => {
      handlers.onNotification({ channel, payload: payload ?? '' });
    });
    fresh.once('end', () => {
      if (client === fresh) client = null;
      if (listening) retryLater(reason);
    });
    client = fresh;
    try {
      await fresh.connect();
      for (const channel of channels) await fresh.query(`listen ${fresh.escapeIdentifier(channel)}`);
      listening = true;
    } catch (error) {
      await fresh.end().catch(() => {});
      retryLater(error as Error);
      return;
    }
    if (closed) return;
    failures = 0;
    check(fresh);
    handlers.onConnect?.();
  };

  const first = connect();
  return {
    async close() {
      closed = true;
      await first;
      clearTimeout(timer);
      await client?.end().catch(() => {});
    },
  };
}

/** SQLSTATE classes and codes, and system errors, by which a connection says that it is gone. */
const LOST_CLASSES = ['08', '57P01', '57P02', '57P03', '57P05', '25P03'];
const LOST_SYSTEM_ERRORS = ['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH'];
/** Texts of pg, which have no code; knex puts the statement before them. */
const LOST_MESSAGES =
  /(?:^| - )(?:Connection (?:terminated|ended)|Client has encountered a connection error|Query read timeout|timeout)/;

/**
 * Whether a statement failed because the connection did: the database restarts, or cannot be reached. A commit that
 * fails so may have happened; try again only what is idempotent or starts by looking.
 */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string') return LOST_MESSAGES.test(error.message);
  return (
    LOST_SYSTEM_ERRORS.includes(code) ||
    (code.length === 5 && LOST_CLASSES.some((lost) => code.startsWith(lost)))
  );
}
