/**
 * The engine's store on PostgreSQL: the transactional contract of `lib/engine/store.ts`, over the named queries of
 * this folder. Transactions are retried when PostgreSQL asks for it, and when two of them inserted the same task or
 * message (then the second sees it on its next attempt).
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Knex } from 'knex';
import { Batcher } from '../batcher.ts';
import { type EngineStore, type EngineTransaction, type Hints, noHints } from '../engine/store.ts';
import * as audit from './audit.ts';
import * as claims from './claims.ts';
import { type Database, isConnectionLoss } from './database.ts';
import { HandlerTransactions } from './handler-transactions.ts';
import * as messages from './messages.ts';
import { inTransaction, type Session, sessionOf } from './session.ts';
import * as tasks from './tasks.ts';
import * as timers from './timers.ts';
import { whyFacts } from './why-facts.ts';

/** serialization_failure, deadlock_detected */
const ASKS_FOR_RETRY = ['40001', '40P01'];
const UNIQUE_VIOLATION = '23505';
const ATTEMPTS = 5;

/** Channel of `NOTIFY` for what commits of other processes have made possible. */
const CHANNEL = 'conclave_engine';
/** `NOTIFY` carries less than 8,000 bytes; what does not fit is found by polling. */
const MAX_PAYLOAD = 7000;
const MAX_NOTIFIED = 1000;
/** Between two of a process, in milliseconds: the first goes at once, what gathers meanwhile goes together. */
const NOTIFY_PAUSE = 10;

/** The engine's transaction inside one of the caller's (`ctx.tx`, D14). */
export function engineTransaction(transaction: Session, ownUrl: string): EngineTransaction {
  return {
    lock: (ids, claimed = []) => tasks.lockTrees(transaction, ids, claimed),
    load: (ids) => tasks.loadTasks(transaction, ids),
    children: (queries) => tasks.loadChildren(transaction, queries),
    insertTasks: (made) => tasks.insertTasks(transaction, made),
    updateTasks: (changed) => tasks.updateTasks(transaction, changed),
    processed: (received) => messages.processedBefore(transaction, received),
    recordIncoming: (records, now) => messages.recordIncoming(transaction, ownUrl, records, now),
    recordOutgoing: (sent, now) => messages.recordOutgoing(transaction, ownUrl, sent, now),
    withdraw: (ids, now) => messages.withdraw(transaction, ids, now),
    record: (entries) => audit.record(transaction, ...entries),
    bury: (dead, now) => messages.bury(transaction, dead, now),
    setTimers: (set) => timers.setTimers(transaction, set),
    clearTimers: (clears) => timers.clearTimers(transaction, clears),
    takeTimers: (ids) => timers.takeTimers(transaction, ids),
  };
}

export interface EngineStoreOptions {
  /** How many transactions handlers may hold open at a time (`ctx.tx`). Default: half of the pool. */
  handlerTransactions?: number;
}

export function createEngineStore(
  database: Database,
  ownUrl: string,
  options: EngineStoreOptions = {},
): EngineStore<Knex.Transaction> {
  const db = database.knex;
  const poolSize: number = db.client.config.pool?.max ?? 10;
  const open = new HandlerTransactions(
    db,
    options.handlerTransactions ?? Math.max(1, Math.floor(poolSize / 2)),
    (transaction) => engineTransaction(sessionOf(transaction), ownUrl),
  );
  const session = sessionOf(db);
  const own = randomUUID();
  const notices = new Batcher<Hints, void>((hints) => notifyAll(session, own, hints), {
    max: MAX_NOTIFIED,
    parallel: 1,
  });
  return {
    transaction: (work) =>
      withRetries(() => inTransaction(db, (session) => work(engineTransaction(session, ownUrl)))),
    begin: (signal) => open.begin(signal),
    isPassing,
    claim: (request) => claims.claim(db, request),
    wounded: (request) => claims.wounded(session, request),
    ready: (queues, now) => claims.ready(session, queues, now),
    waiting: (queue, limit) => claims.waiting(session, queue, limit),
    workers: () => claims.workers(session),
    registerWorker: (id, name, seconds) => claims.registerWorker(session, id, name, seconds),
    renewLease: (id, seconds) => claims.renewLease(session, id, seconds),
    removeWorker: (id) => claims.removeWorker(session, id),
    orphans: () => claims.orphans(session),
    heldBy: (workerId) => claims.heldBy(session, workerId),
    reportProgress: (reports) => claims.reportProgress(session, reports),
    dueTimers: (now, limit) => timers.dueTimers(session, now, limit),
    nextDue: () => timers.nextDue(session),
    task: (id) => tasks.readTask(session, id),
    childrenOf: (id) => tasks.readChildren(session, id),
    whyFacts: (id, now, slotsOf) => whyFacts(db, id, now, slotsOf),
    notify: (hints) => notices.add(hints),
    listen: (heard, missed) =>
      database.listen([CHANNEL], {
        onNotification: ({ payload }) => {
          const hints = parseHints(payload, own);
          if (hints !== null) heard(hints);
        },
        // What was notified while the connection was down is gone.
        onConnect: missed,
      }),
  };
}

/** The database is away, or asks for another attempt. */
function isPassing(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const { code } = thrown as { code?: unknown };
  if (typeof code === 'string' && ASKS_FOR_RETRY.includes(code)) return true;
  return thrown.name === 'KnexTimeoutError' || isConnectionLoss(thrown);
}

async function notifyAll(db: Session, own: string, all: readonly Hints[]): Promise<undefined[]> {
  const merged = merge(all);
  let payload = JSON.stringify({ from: own, ...merged });
  if (Buffer.byteLength(payload) > MAX_PAYLOAD) payload = JSON.stringify({ from: own, ...shortened(merged) });
  // Hints may get lost: nobody waits for the disk because of them.
  await db.rows("select set_config('synchronous_commit', 'off', true), pg_notify(?, ?)", [CHANNEL, payload]);
  await setTimeout(NOTIFY_PAUSE);
  return all.map(() => undefined);
}

function merge(all: readonly Hints[]): Hints {
  const union = (lists: string[][]) => [...new Set(lists.flat())];
  const times = all.flatMap(({ timer }) => (timer === null ? [] : [timer.getTime()]));
  return {
    queues: union(all.map(({ queues }) => queues)),
    peers: union(all.map(({ peers }) => peers)),
    ended: union(all.map(({ ended }) => ended)),
    aborts: union(all.map(({ aborts }) => aborts)),
    timer: times.length === 0 ? null : new Date(times.reduce((one, other) => Math.min(one, other))),
  };
}

/** Names may be long: those of at most 5,000 bytes together. */
function shortened(hints: Hints): Hints {
  let room = 5000;
  const fitting = (names: string[]) =>
    names.filter((name) => {
      room -= Buffer.byteLength(JSON.stringify(name)) + 1;
      return room > 0;
    });
  return { ...noHints(), timer: hints.timer, queues: fitting(hints.queues), peers: fitting(hints.peers) };
}

/** Null: our own, or not ours at all. */
function parseHints(payload: string, own: string): Hints | null {
  try {
    const { from, ...hints } = JSON.parse(payload) as Hints & { from: string };
    if (from === own || !Array.isArray(hints.queues)) return null;
    return { ...noHints(), ...hints, timer: hints.timer === null ? null : new Date(hints.timer) };
  } catch {
    return null;
  }
}

async function withRetries<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (thrown) {
      const code = String((thrown as { code?: unknown }).code);
      const retried = code === UNIQUE_VIOLATION || ASKS_FOR_RETRY.includes(code);
      if (attempt === ATTEMPTS || !retried) throw thrown;
    }
  }
}
