/*
 * Databases for tests: one real server for the whole run, started at first use, stopped at the end; a fresh, empty
 * database for whoever asks. The server's folder is kept between runs, so that it starts in a tenth of a second.
 */
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type EmbeddedServer, startEmbedded } from '../../lib/store/embedded.ts';

const uid = process.geteuid!();
let starting: Promise<EmbeddedServer> | null = null;

/** Test code may load this module outside mocha, where the caller stops the server. */
if (typeof after === 'function') after(stopTestServer);

export function testServer(): Promise<EmbeddedServer> {
  starting ??= start();
  return starting;
}

export async function stopTestServer(): Promise<void> {
  const server = await starting;
  starting = null;
  await server?.stop();
}

async function start(): Promise<EmbeddedServer> {
  const folder = join(tmpdir(), `conclave-test-${uid}`);
  await mkdir(folder, { mode: 0o711, recursive: true });
  const entry = await lstat(folder);
  if (!entry.isDirectory() || entry.uid !== uid) throw new Error(`${folder} is not ours: remove it`);
  await chmod(folder, 0o711);
  return await startEmbedded({ folder: join(folder, 'database') });
}

/** A database of its own; `drop()` it in an `after` hook. */
export interface TestDatabase {
  readonly address: EmbeddedServer['connection'];
  drop(): Promise<void>;
}

export async function createTestDatabase(): Promise<TestDatabase> {
  const server = await testServer();
  const database = `test_${randomBytes(8).toString('hex')}`;
  await administer(server, `create database ${database}`);
  return {
    address: { ...server.connection, database },
    drop: () => administer(server, `drop database if exists ${database} with (force)`),
  };
}

async function administer(server: EmbeddedServer, sql: string): Promise<void> {
  const client = new Client(server.connection);
  client.on('error', () => {});
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
