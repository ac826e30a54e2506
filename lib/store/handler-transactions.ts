/**
 * The transactions that handlers hold open (`ctx.tx`, D14). A handler may take its time, and there are many of them:
 * at most so many hold a connection at a time, the others wait their turn, so that claims, leases and reports always
 * find one in the pool.
 */
import type { Knex } from 'knex';
import type { EngineTransaction, OpenTransaction } from '../engine/store.ts';
import { readChildren, readTask } from './tasks.ts';

export class HandlerTransactions {
  readonly #db: Knex;
  readonly #engine: (transaction: Knex) => EngineTransaction;
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(db: Knex, most: number, engine: (transaction: Knex) => EngineTransaction) {
    this.#db = db;
    this.#free = most;
    this.#engine = engine;
  }

  /** @throws the signal's reason */
  async begin(signal: AbortSignal): Promise<OpenTransaction<Knex.Transaction>> {
    await this.#turn(signal);
    let transaction: Knex.Transaction;
    try {
      transaction = await this.#db.transaction();
      // knex hands a transaction out even if its BEGIN failed; its promise says why.
      if (transaction.isCompleted()) await transaction.executionPromise;
    } catch (thrown) {
      this.#leave();
      throw thrown;
    }
    // Rejects when the connection is lost; whoever uses the transaction hears of that from its statement.
    transaction.executionPromise.catch(() => {});
    return this.#opened(transaction);
  }

  #opened(transaction: Knex.Transaction): OpenTransaction<Knex.Transaction> {
    let ended = false;
    const end = (): boolean => {
      if (ended) return false;
      ended = true;
      this.#leave();
      return true;
    };
    return {
      handle: transaction,
      engine: this.#engine(transaction),
      task: (id) => readTask(transaction, id),
      childrenOf: (id) => readChildren(transaction, id),
      isAlive: async () =>
        !transaction.isCompleted() &&
        (await transaction.raw('select 1').then(
          () => true,
          () => false,
        )),
      commit: async () => {
        try {
          await transaction.commit();
        } finally {
          end();
        }
      },
      rollback: async () => {
        if (transaction.isCompleted()) {
          end();
          return;
        }
        try {
          await transaction.rollback();
        } catch {
          // The connection is gone, and the server rolls back what it has lost.
        } finally {
          end();
        }
      },
    };
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiting.delete(take);
        reject(signal.reason);
      };
      const take = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      this.#waiting.add(take);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
