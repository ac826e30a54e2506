/**
 * The database of a node (D52): the embedded server or the one named by URL, migrated, with a pool on it. The same for
 * the running node and for commands that look into its database beside it.
 */
import { ConclaveError, reasonOf } from '../errors.ts';
import type { Log } from '../protocol/log.ts';
import { type Database, type DatabaseAddress, openDatabase } from '../store/database.ts';
import { type EmbeddedEvent, type EmbeddedServer, startEmbedded } from '../store/embedded.ts';
import { loadMigrations, migrate } from '../store/migrate.ts';
import { externalDatabase, type Settings } from './settings.ts';

export interface NodeDatabase {
  readonly database: Database;
  /** Names of the migrations that were applied now. */
  readonly migrated: readonly string[];
  /** For people: where it is, without password. */
  readonly shownAs: string;
  /** Closes the pool; an embedded server stops with its last user. */
  close(): Promise<void>;
}

/** @throws ConclaveError `database_start_failed`, `database_unavailable`, `migration_failed`, `invalid_settings` */
export async function openNodeDatabase(
  settings: Settings,
  log: Log,
  options: { readonly applicationName: string; readonly poolSize?: number },
): Promise<NodeDatabase> {
  const external = await externalDatabase(settings);
  const server = external === null ? await startServer(settings, log) : null;
  const address: DatabaseAddress = external ?? server!.connection;
  try {
    const migrated = await migrateAt(address);
    if (migrated.length > 0)
      log.info({ event: 'migrated', migrations: migrated }, 'the database was migrated');
    const database = openDatabase({
      address,
      applicationName: options.applicationName,
      poolSize: options.poolSize ?? settings.database.pool_size,
      statementSeconds: settings.database.statement_seconds,
      onWarning: (message) => log.warn({ event: 'database_warning' }, message),
    });
    return {
      database,
      migrated,
      shownAs: server === null ? external!.url : `postgres://${server.place.socket}/conclave (embedded)`,
      async close() {
        await database.close();
        await server?.stop();
      },
    };
  } catch (thrown) {
    await server?.stop();
    throw thrown;
  }
}

async function migrateAt(address: DatabaseAddress): Promise<string[]> {
  const database = openDatabase({
    address,
    statementSeconds: 0,
    poolSize: 2,
    applicationName: 'conclave migration',
  });
  try {
    await database.ping().catch((cause: unknown) => {
      const where = 'url' in address ? new URL(address.url).host : address.host;
      throw new ConclaveError(
        'database_start_failed',
        { reason: `the database at ${where} cannot be reached (${reasonOf(cause)})` },
        { cause },
      );
    });
    return await migrate(database.knex, await loadMigrations());
  } finally {
    await database.close();
  }
}

function startServer(settings: Settings, log: Log): Promise<EmbeddedServer> {
  const { folder, binaries, account, start_seconds: startSeconds } = settings.database.embedded;
  return startEmbedded({ folder, binaries, account, startSeconds, onEvent: (event) => logEvent(log, event) });
}

function logEvent(log: Log, event: EmbeddedEvent): void {
  const fields = { ...event, event: `database_${event.event}` };
  if (event.event === 'lost') log.warn(fields, 'the embedded database has died; it is being restarted');
  else if (event.event === 'recovery_failed')
    log.error(fields, 'the embedded database could not be restarted');
  else log.info(fields, `the embedded database was ${event.event}`);
}
