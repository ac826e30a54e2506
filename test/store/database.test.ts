import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Database, isConnectionLoss, openDatabase } from '../../lib/store/database.ts';
import { type EmbeddedServer, startEmbedded } from '../../lib/store/embedded.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgresql.ts';

describe('the database', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  it('given a statement that takes too long, when it runs, then the server ends it', async () => {
    const pool = openDatabase({ address: database.address, statementSeconds: 0.05 });
    const error = await rejection(pool.knex.raw('select pg_sleep(600)'));
    expect(error).to.have.property('code', '57014');
    expect(isConnectionLoss(error)).to.equal(false);
    await pool.close();
  });

  it('given a transaction in which nothing happens, when its time is up, then its locks are given back', async () => {
    const pool = openDatabase({ address: database.address, idleTransactionSeconds: 0.05 });
    const transaction = await pool.knex.transaction();
    await transaction.raw('select pg_advisory_xact_lock(1)');
    const other = openDatabase({ address: database.address });
    await other.knex.raw('select pg_advisory_lock(1)');
    const error = await rejection(transaction.raw('select 1'));
    expect(isConnectionLoss(error), String(error)).to.equal(true);
    await transaction.rollback().catch(() => {});
    await Promise.all([pool.close(), other.close()]);
  });

  it('given a URL and a password, when it is opened, then it is the same database', async () => {
    const { host, port, user } = database.address;
    const url = `postgres://${user}@${encodeURIComponent(host)}:${port}/${database.address.database}`;
    const pool = openDatabase({ address: { url, password: 'se:cr@t/%' } });
    const { rows } = await pool.knex.raw('select current_database() as name');
    expect(rows[0].name).to.equal(database.address.database);
    await pool.close();
  });

  it('given a password, when a server asks for it, then exactly it is sent', async () => {
    const password = 'se:cr@t/%?#ä';
    const received = Promise.withResolvers<string>();
    // Answers the start-up message with "clear-text password, please" and takes what comes.
    const server = createServer((socket) => {
      socket.once('data', () => {
        socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
        socket.once('data', (message) => {
          received.resolve(message.subarray(5, -1).toString());
          socket.destroy();
        });
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as { port: number };
    const pool = openDatabase({ address: { url: `postgres://someone@127.0.0.1:${port}/x`, password } });
    const error = await rejection(pool.ping());
    expect(await received.promise).to.equal(password);
    expect(isConnectionLoss(error), String(error)).to.equal(true);
    await pool.close();
    server.close();
  });

  it('given a pooler in between, when a connection starts, then no setting is sent that it would refuse', async () => {
    const started = Promise.withResolvers<string>();
    const server = createServer((socket) => {
      socket.once('data', (message) => {
        started.resolve(message.toString('latin1'));
        socket.destroy();
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as { port: number };
    const pool = openDatabase({ address: { url: `postgres://someone@127.0.0.1:${port}/x`, pooler: true } });
    await rejection(pool.ping());
    expect(await started.promise).to.not.match(/timeout|options/);
    expect(pool.listen(['hints'], { onNotification: () => {} })).to.equal(null);
    await pool.close();
    server.close();
  });

  describe('given a server of its own', () => {
    let folder: string;
    let server: EmbeddedServer;
    let pool: Database;
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'conclave-database-'));
      await chmod(folder, 0o711);
      server = await startEmbedded({ folder: join(folder, 'database') });
      pool = openDatabase({ address: server.connection });
    });
    after(async () => {
      await pool.close();
      await server.stop();
      await rm(folder, { recursive: true });
    });

    it('when it is killed and starts again, then pool and listener recover by themselves', async () => {
      const heard = signals();
      const listener = pool.listen(['hints'], {
        onConnect: () => heard.give('connected'),
        onLoss: () => heard.give('lost'),
        onNotification: ({ payload }) => heard.give(payload),
      });
      await heard.next('connected');
      await pool.knex.raw("select pg_notify('hints', 'before')");
      await heard.next('before');

      const interrupted = rejection(pool.knex.raw('select pg_sleep(600)'));
      await until(async () => {
        const { rows } = await pool.knex.raw(
          "select 1 from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()",
        );
        return rows.length > 0;
      });
      process.kill(server.pid, 'SIGQUIT');
      expect(isConnectionLoss(await interrupted)).to.equal(true);
      await heard.next('lost');
      await heard.next('connected');
      await until(() =>
        pool.ping().then(
          () => true,
          (error) => !expect(isConnectionLoss(error), String(error)).to.equal(true),
        ),
      );
      await pool.knex.raw("select pg_notify('hints', 'after')");
      await heard.next('after');
      await listener?.close();
    });
  });

  it('given errors of SQL, when they are classified, then only lost connections count as such', () => {
    const withCode = (code: string) => Object.assign(new Error('x'), { code });
    for (const code of ['08006', '57P01', '57P03', 'ECONNREFUSED', 'ECONNRESET']) {
      expect(isConnectionLoss(withCode(code)), code).to.equal(true);
    }
    for (const code of ['23505', '40001', '57014', '42P01', '08']) {
      expect(isConnectionLoss(withCode(code)), code).to.equal(false);
    }
    expect(isConnectionLoss(new Error('Connection terminated unexpectedly'))).to.equal(true);
    expect(isConnectionLoss(new Error('something else'))).to.equal(false);
    expect(isConnectionLoss('ECONNRESET')).to.equal(false);
  });
});

async function rejection(promise: PromiseLike<unknown>): Promise<Error> {
  return await Promise.resolve(promise).then(
    () => expect.fail('it should have failed'),
    (error) => error,
  );
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await condition())) {
    if (performance.now() > deadline) expect.fail('the condition did not come about');
  }
}

/** Named signals in order; `next` resolves with the next one of that name, past or to come. */
function signals(): { give: (name: string) => void; next: (name: string) => Promise<void> } {
  const seen: string[] = [];
  let wake = (): void => {};
  return {
    give: (name) => {
      seen.push(name);
      wake();
    },
    next: async (name) => {
      while (!seen.includes(name)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      seen.splice(0, seen.indexOf(name) + 1);
    },
  };
}
