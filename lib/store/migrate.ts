/*
 * Forward-only migrations of the database's tables, run when a node starts.
 *
 * A migration is a file `NNNN_name.ts` that exports `up(knex)`. Each runs once, in a transaction of its own that also
 * records it; an advisory lock that ends with that transaction lets several processes start at once, and works behind
 * a pooler too. There is no way back: a database that newer software has migrated is refused, and never guessed at.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Knex } from 'knex';
import { ConclaveError, reasonOf } from '../errors.ts';

/** Key of the advisory lock under which migrations run. */
const MIGRATION_LOCK = 0x4d494752;
const FILE_NAME = /^(\d{4}_[a-z0-9_]+)\.(?:ts|js)$/;
const TABLE = 'schema_migrations';

export interface Migration {
  /** `NNNN_name`; the number gives the order. */
  readonly name: string;
  /** Receives a transaction. */
  readonly up: (knex: Knex) => Promise<void>;
}

/** The repository's own migrations. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url));

/**
 * Reads the migrations of a folder, in order.
 *
 * @throws ConclaveError `migration_failed` when two have one number, or a file exports no function `up`
 */
export async function loadMigrations(folder: string = MIGRATIONS_FOLDER): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for (const file of (await readdir(folder)).sort()) {
    const name = FILE_NAME.exec(file)?.[1];
    if (name === undefined) continue;
    if (migrations.at(-1)?.name.slice(0, 4) === name.slice(0, 4)) {
      throw failure(`${migrations.at(-1)?.name} and ${name} in ${folder} have the same number`);
    }
    const module: { up?: unknown } = await import(pathToFileURL(join(folder, file)).href);
    if (typeof module.up !== 'function') throw failure(`${join(folder, file)} exports no function "up"`);
    migrations.push({ name, up: module.up as Migration['up'] });
  }
  return migrations;
}

/**
 * Brings the database up to date; resolves to the names of the migrations that this call applied.
 *
 * @param knex without a time limit for statements (`statementSeconds: 0`)
 * @throws ConclaveError `migration_failed`: one failed and left no trace, or the database and the software disagree
 */
export async function migrate(knex: Knex, migrations: readonly Migration[]): Promise<string[]> {
  const applied: string[] = [];
  for (;;) {
    const name = await knex.transaction((transaction) => applyNext(transaction, migrations));
    if (name === null) return applied;
    applied.push(name);
  }
}

/** Applies the first migration that is missing, if any, under the lock. */
async function applyNext(transaction: Knex, migrations: readonly Migration[]): Promise<string | null> {
  await transaction.raw('select pg_advisory_xact_lock(?)', [MIGRATION_LOCK]);
  await transaction.raw(
    `create table if not exists ${TABLE} (name text primary key, applied_date timestamptz not null default now())`,
  );
  const done = await transaction(TABLE).orderBy('name').pluck<string[]>('name');
  refuseDisagreement(done, migrations);
  const next = migrations[done.length];
  if (next === undefined) return null;
  try {
    await next.up(transaction);
  } catch (cause) {
    throw failure(`${next.name}: ${reasonOf(cause)}`, cause);
  }
  await transaction(TABLE).insert({ name: next.name });
  return next.name;
}

/** What has been applied must be exactly the beginning of what the software knows. */
function refuseDisagreement(done: readonly string[], migrations: readonly Migration[]): void {
  const known = new Set(migrations.map(({ name }) => name));
  const newer = done.filter((name) => !known.has(name));
  if (newer.length > 0) {
    throw failure(
      `the database has been migrated by another version of this software (${newer.join(', ')}), and this one ` +
        `knows migrations up to ${migrations.at(-1)?.name ?? 'none'}: install that version or a newer one, ` +
        'or restore a backup made before',
    );
  }
  const skipped = done.findIndex((name, index) => migrations[index]?.name !== name);
  if (skipped >= 0) {
    throw failure(
      `${migrations[skipped]?.name} has never been applied to this database, although ${done.at(-1)} has: ` +
        'a migration must be numbered after all earlier ones',
    );
  }
}

function failure(reason: string, cause?: unknown): ConclaveError {
  return new ConclaveError('migration_failed', { reason }, { cause });
}
