/**
 * Statements on the pool's own connections, past knex's query builder, whose work costs as much as PostgreSQL's for
 * small statements. Each text is prepared once per connection and by its plan from then on; behind a pooler in
 * transaction mode, where a prepared statement may be on another connection, it is not.
 *
 * Texts have `?` for their bindings, as knex's; so a function over a `Session` runs on a knex transaction as well
 * (`ctx.tx`, D14).
 */
import type { Knex } from 'knex';
import type { Client, QueryArrayResult } from 'pg';

/** pg's connection, with knex's mark for one that is to leave the pool. */
type Connection = Client & { __knex__disposed?: unknown };

/** What is sent before the program waits for something goes out at once: a system call costs more than a statement's text. */
function gather({ connection: { stream } }: Connection): void {
  stream.cork();
  process.nextTick(() => stream.uncork());
}

interface Prepared {
  readonly text: string;
  readonly name: string | undefined;
}

/** Texts are few and fixed; a defect that makes them endlessly must not fill the server's memory. */
const MOST_PREPARED = 500;
const prepared = new Map<string, Prepared>();

function prepare(text: string): Prepared {
  const known = prepared.get(text);
  if (known !== undefined) return known;
  let position = 0;
  const numbered = text.replaceAll('?', () => {
    position += 1;
    return `$${position}`;
  });
  if (prepared.size >= MOST_PREPARED) return { text: numbered, name: undefined };
  const made = { text: numbered, name: `conclave_${prepared.size}` };
  prepared.set(text, made);
  return made;
}

/** Knex, or a session. */
export interface Raw {
  raw<Result>(text: string, bindings?: readonly unknown[]): PromiseLike<Result>;
}

/** A connection, or whoever lends one for a statement. */
export interface Session {
  /** Rows as arrays of their columns' values. */
  rows<Row extends unknown[]>(text: string, bindings?: readonly unknown[]): Promise<Row[]>;
  /** As knex's. */
  raw<Result>(text: string, bindings?: readonly unknown[]): Promise<Result>;
  /**
   * A change whose outcome nobody looks at. Inside `inTransaction` it need not be awaited: it is on its way together with
   * what follows, and if it fails, so do the next statement and the commit.
   */
  write(text: string, bindings?: readonly unknown[]): Promise<void>;
}

class ConnectionSession implements Session {
  readonly #connection: Connection;
  readonly #named: boolean;
  readonly #isOver: () => boolean;

  constructor(connection: Connection, named: boolean, isOver: () => boolean) {
    this.#connection = connection;
    this.#named = named;
    this.#isOver = isOver;
  }

  async rows<Row extends unknown[]>(text: string, bindings: readonly unknown[] = []): Promise<Row[]> {
    gather(this.#connection);
    const result: QueryArrayResult<Row> = await this.#connection.query({
      ...this.#prepare(text),
      values: bindings as unknown[],
      rowMode: 'array',
    });
    return result.rows;
  }

  async raw<Result>(text: string, bindings: readonly unknown[] = []): Promise<Result> {
    gather(this.#connection);
    const result = await this.#connection.query({ ...this.#prepare(text), values: bindings as unknown[] });
    return result as Result;
  }

  async write(text: string, bindings: readonly unknown[] = []): Promise<void> {
    gather(this.#connection);
    await this.#connection.query({ ...this.#prepare(text), values: bindings as unknown[] });
  }

  #prepare(text: string): { text: string; name?: string } {
    if (this.#isOver()) throw new Error('the transaction has ended');
    const { text: numbered, name } = prepare(text);
    return this.#named && name !== undefined ? { text: numbered, name } : { text: numbered };
  }
}

/** Whether a pool's connections may keep prepared statements; see `openDatabase`. */
function keepsStatements(db: Knex): boolean {
  return db.userParams?.pooler !== true;
}

/** One statement on any connection of the pool, or on a transaction of knex's. */
export function sessionOf(db: Knex): Session {
  const lend = async <T>(use: (session: Session) => Promise<T>): Promise<T> => {
    const isOver = (): boolean => db.isTransaction === true && (db as Knex.Transaction).isCompleted();
    const connection: Connection = await db.client.acquireConnection();
    try {
      return await use(new ConnectionSession(connection, keepsStatements(db), isOver));
    } finally {
      db.client.releaseConnection(connection);
    }
  };
  return {
    rows: (text, bindings) => lend((session) => session.rows(text, bindings)),
    raw: (text, bindings) => lend((session) => session.raw(text, bindings)),
    write: (text, bindings) => lend((session) => session.write(text, bindings)),
  };
}

/** Writes that are on their way at a time: their bindings are in memory. */
const MOST_WRITES = 4;

/**
 * A session whose statements travel behind one another without waiting for answers (`pipeline` in `openDatabase`). In a
 * transaction the first failure makes all that follow fail too: it is the one to be told.
 */
class TransactionSession implements Session {
  readonly #connection: ConnectionSession;
  #underWay: Promise<unknown>[] = [];
  #failed: { reason: unknown } | undefined;

  constructor(connection: ConnectionSession, begun: Promise<unknown>) {
    this.#connection = connection;
    this.#send(begun);
  }

  rows<Row extends unknown[]>(text: string, bindings?: readonly unknown[]): Promise<Row[]> {
    return this.#behind(this.#connection.rows<Row>(text, bindings));
  }

  raw<Result>(text: string, bindings?: readonly unknown[]): Promise<Result> {
    return this.#behind(this.#connection.raw<Result>(text, bindings));
  }

  async write(text: string, bindings?: readonly unknown[]): Promise<void> {
    this.#send(this.#connection.write(text, bindings));
    if (this.#underWay.length > MOST_WRITES) await this.written();
  }

  /** @throws the first failure of anything that was sent */
  async written(): Promise<void> {
    await Promise.all(this.#underWay.splice(0));
    if (this.#failed !== undefined) throw this.#failed.reason;
  }

  #send(statement: Promise<unknown>): void {
    this.#underWay.push(
      statement.catch((reason: unknown) => {
        this.#failed ??= { reason };
      }),
    );
  }

  /** Answers come in the order of the statements. */
  async #behind<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (reason) {
      this.#failed ??= { reason };
      throw this.#failed.reason;
    }
  }
}

/**
 * A transaction of its own: committed when `work` resolves, rolled back when it rejects. Its beginning travels with its
 * first statement, its commit with its last writes.
 * @param opening what is sent with its beginning, without bindings
 */
export async function inTransaction<T>(
  db: Knex,
  work: (session: Session) => Promise<T>,
  opening = '',
): Promise<T> {
  const connection: Connection = await db.client.acquireConnection();
  let over = false;
  try {
    gather(connection);
    const begun = connection.query(`begin;${opening}`);
    const plain = new ConnectionSession(connection, keepsStatements(db), () => over);
    const session = new TransactionSession(plain, begun);
    const result = await work(session);
    over = true;
    const [committed] = await Promise.allSettled([connection.query('commit')]);
    await session.written();
    if (committed.status === 'rejected') throw committed.reason;
    // The server answers the commit of a transaction in which a statement had failed with this.
    const { command } = committed.value;
    if (command !== 'COMMIT') throw new Error(`the transaction was not committed: ${command}`);
    return result;
  } catch (thrown) {
    over = true;
    await connection.query('rollback').catch((lost: unknown) => {
      // Whatever state it is in, nobody else is to get it.
      connection.__knex__disposed = lost;
    });
    throw thrown;
  } finally {
    db.client.releaseConnection(connection);
  }
}
