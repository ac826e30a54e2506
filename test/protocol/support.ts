/** What the protocol's tests share: certificates made at test time, a log to look at, a clock to turn, a database. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Knex } from 'knex';
import type { Clock } from '../../lib/engine/clock.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import type { Log } from '../../lib/protocol/log.ts';
import type { ServerIdentity } from '../../lib/protocol/server.ts';
import { openDatabase } from '../../lib/store/database.ts';
import { loadMigrations, migrate } from '../../lib/store/migrate.ts';
import { createTestDatabase } from '../support/postgresql.ts';

export interface TestIdentity extends ServerIdentity {
  fingerprint: string;
}

const KEY_OPTIONS = {
  ec: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ed25519: ['-newkey', 'ed25519'],
  rsa: ['-newkey', 'rsa:2048'],
};

/** A self-signed certificate with its key. */
export function makeIdentity(name: string, key: keyof typeof KEY_OPTIONS = 'ec', days = 2): TestIdentity {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-certificate-'));
  try {
    const [keyFile, certificateFile] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
    const subject = ['-subj', `/CN=${name}`, '-days', String(days)];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-nodes',
        ...KEY_OPTIONS[key],
        '-keyout',
        keyFile,
        '-out',
        certificateFile,
        ...subject,
      ],
      { stdio: 'pipe' },
    );
    const certificate = readFileSync(certificateFile, 'utf8');
    const { fingerprint } = pinCertificate(certificate);
    return { certificate, privateKey: readFileSync(keyFile, 'utf8'), fingerprint };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface LogLine {
  level: string;
  message: string;
  [field: string]: unknown;
}

export function recordingLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ ...fields, level, message });
  };
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } };
}

/** A clock that stands still until a test turns it. */
export class TestClock implements Clock {
  readonly soon = setImmediate;
  #now = Date.UTC(2030, 0, 1);
  #timers: { at: number; call: () => void }[] = [];

  now(): Date {
    return new Date(this.#now);
  }

  after(milliseconds: number, call: () => void): () => void {
    const timer = { at: this.#now + milliseconds, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves on and fires what is due on the way, in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = Math.max(this.#now, next.at);
      next.call();
    }
    this.#now = end;
  }
}

export interface TestStore {
  db: Knex;
  /** For other processes. */
  address: object;
  close(): Promise<void>;
}

/** A fresh database with the tables. */
export async function openTestStore(): Promise<TestStore> {
  const database = await createTestDatabase();
  const pool = openDatabase({ address: database.address });
  await migrate(pool.knex, await loadMigrations());
  return {
    db: pool.knex,
    address: database.address,
    async close() {
      await pool.close();
      await database.drop();
    },
  };
}

/** Polls a condition until it gives something. */
export async function eventually<Value>(
  what: string,
  condition: () => Value | undefined | false | null | Promise<Value | undefined | false | null>,
): Promise<Value> {
  const deadline = Date.now() + 8000;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false && value !== null) return value;
    if (Date.now() > deadline) throw new Error(`it did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
