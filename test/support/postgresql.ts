/*
 * Databases for tests: one real server for the whole run, started at first use by one of mocha's processes, adopted by
 * the others, stopped at the end; a fresh, empty database for whoever asks. The server's folder is kept between runs,
 * so that it starts in a tenth of a second.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { type EmbeddedServer, startEmbedded } from '../../lib/store/embedded.ts';

const uid = process.geteuid!();
const FOLDER = join(tmpdir(), `conclave-test-${uid}`);
let starting: Promise<EmbeddedServer> | null = null;

export function testServer(): Promise<EmbeddedServer> {
  starting ??= start();
  return starting;
}

/** Stops the server, also one that only other processes have used; it goes on as long as one of these still lives. */
export async function stopTestServer(): Promise<void> {
  const running = starting !== null || existsSync(join(FOLDER, 'database', 'data', 'postmaster.pid'));
  if (!running) return;
  const server = await testServer();
  starting = null;
  await server.stop();
}

async function start(): Promise<EmbeddedServer> {
  await mkdir(FOLDER, { mode: 0o711, recursive: true });
  const entry = await lstat(FOLDER);
  if (!entry.isDirectory() || entry.uid !== uid) throw new Error(`${FOLDER} is not ours: remove it`);
  await chmod(FOLDER, 0o711);
  return await startEmbedded({ folder: join(FOLDER, 'database') });
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
