/**
 * The engine's store on PostgreSQL: the transactional contract of `lib/engine/store.ts`, over the named queries of
 * this folder. Transactions are retried when PostgreSQL asks for it, and when two of them inserted the same task or
 * message (then the second sees it on its next attempt).
 */
import type { Knex } from 'knex';
import type pg from 'pg';
import type { EngineStore, EngineTransaction, Hints } from '../engine/store.ts';
import * as claims from './claims.ts';
import type { Database } from './database.ts';
import * as messages from './messages.ts';
import { SELECTION } from './task-rows.ts';
import * as tasks from './tasks.ts';
import { select } from './tasks.ts';
import * as timers from './timers.ts';

/** serialization_failure, deadlock_detected, unique_violation */
const RETRIED = new Set(['40001', '40P01', '23505']);
const ATTEMPTS = 5;

/** Channel of `NOTIFY` for what commits of other processes have made possible. */
const CHANNEL = 'conclave_engine';
/** `NOTIFY` carries less than 8,000 bytes; what does not fit is found by polling. */
const MAX_PAYLOAD = 7000;

/** The engine's transaction inside one of the caller's (`ctx.tx`, D14). */
export function engineTransaction(transaction: Knex, ownUrl: string): EngineTransaction {
  return {
    lock: (ids) => tasks.lockTrees(transaction, ids),
    load: (ids) => tasks.loadTasks(transaction, ids),
    children: (queries) => tasks.loadChildren(transaction, queries),
    insertTasks: (made) => tasks.insertTasks(transaction, made),
    updateTasks: (changed) => tasks.updateTasks(transaction, changed),
    processed: (received) => messages.processedBefore(transaction, received),
    recordIncoming: (records) => messages.recordIncoming(transaction, ownUrl, records),
    recordOutgoing: (sent, now) => messages.recordOutgoing(transaction, ownUrl, sent, now),
    withdraw: (ids, now) => messages.withdraw(transaction, ids, now),
    bury: (dead, now) => messages.bury(transaction, dead, now),
    setTimers: (set) => timers.setTimers(transaction, set),
    clearTimers: (clears) => timers.clearTimers(transaction, clears),
    takeTimers: (ids) => timers.takeTimers(transaction, ids),
  };
}

export function createEngineStore(database: Database, ownUrl: string): EngineStore<Knex.Transaction> {
  const db = database.knex;
  return {
    transaction: (work) =>
      withRetries(() => db.transaction((transaction) => work(engineTransaction(transaction, ownUrl)))),
    async begin() {
      const transaction = await db.transaction();
      return {
        handle: transaction,
        engine: engineTransaction(transaction, ownUrl),
        commit: async () => void (await transaction.commit()),
        rollback: async () => void (await transaction.rollback()),
      };
    },
    claim: (request) => claims.claim(db, request),
    wounded: (request) => claims.wounded(db, request),
    ready: (queues, now) => claims.ready(db, queues, now),
    waiting: (queue, limit) => claims.waiting(db, queue, limit),
    workers: () => claims.workers(db),
    registerWorker: (id, name, seconds) => claims.registerWorker(db, id, name, seconds),
    renewLease: (id, seconds) => claims.renewLease(db, id, seconds),
    removeWorker: (id) => claims.removeWorker(db, id),
    orphans: () => claims.orphans(db),
    lost: (workerId, held) => claims.lost(db, workerId, held),
    reportProgress: (reports) => claims.reportProgress(db, reports),
    dueTimers: (now, limit) => timers.dueTimers(db, now, limit),
    nextDue: (now) => timers.nextDue(db, now),
    async task(id) {
      const [task] = await select(db, `select ${SELECTION} from tasks where id = ?`, [id]);
      return task;
    },
    childrenOf: (id) =>
      select(db, `select ${SELECTION} from tasks where parent_id = ? order by "order"`, [id]),
    async notify(hints) {
      const payload = JSON.stringify(hints);
      const fits = Buffer.byteLength(payload) <= MAX_PAYLOAD;
      await db.raw('select pg_notify(?, ?)', [CHANNEL, fits ? payload : JSON.stringify(shortened(hints))]);
    },
    listen(heard) {
      const listener = database.listen([CHANNEL], {
        onNotification: ({ payload }) => heard(parseHints(payload)),
        // What was notified while the connection was down is found by polling.
      });
      return listener;
    },
  };
}

function shortened(hints: Hints): Hints {
  return {
    ...hints,
    ended: [],
    aborts: [],
    queues: hints.queues.slice(0, 50),
    peers: hints.peers.slice(0, 50),
  };
}

function parseHints(payload: string): Hints {
  const hints = JSON.parse(payload) as Hints;
  return { ...hints, timer: hints.timer === null ? null : new Date(hints.timer) };
}

async function withRetries<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (thrown) {
      const { code } = thrown as Partial<pg.DatabaseError>;
      if (attempt === ATTEMPTS || code === undefined || !RETRIED.has(code)) throw thrown;
    }
  }
}
