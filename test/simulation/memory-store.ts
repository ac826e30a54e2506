/**
 * The contracts of `lib/engine/store.ts` and `lib/store/outbox.ts` over a database in memory. Every statement passes a
 * gate, which decides when it has its effect, when it is answered, and whether it fails.
 */
import type { Task } from '../../lib/engine/model.ts';
import type {
  ClaimRequest,
  EngineStore,
  EngineTransaction,
  Hints,
  Holding,
  OpenTransaction,
  ProgressReport,
  WoundRequest,
} from '../../lib/engine/store.ts';
import { type Change, DatabaseError, type MemoryDatabase, UNIQUE_VIOLATION } from './memory-database.ts';
import { MemoryTransaction } from './memory-transaction.ts';

/** Where in its transaction a statement stands. */
export type Step = 'first' | 'inside' | 'commit' | 'alone';

export interface Gate {
  /** `effect` answers, then or later, or throws. */
  pass<T>(
    step: Step,
    effect: (answer: (value: T) => void, fail: (thrown: Error) => void) => void,
    transaction?: MemoryTransaction,
  ): Promise<T>;
  opened(transaction: MemoryTransaction): void;
  closed(transaction: MemoryTransaction): void;
  /** Hints to the other processes of the node. */
  publish(hints: Hints): void;
  subscribe(heard: (hints: Hints) => void, missed: () => void): () => void;
}

/** What handlers write their rows with. */
export interface Handle {
  add(taskId: string, what: string): Promise<void>;
}

/** The connection is gone; whether the statement had its effect is unknown. */
export class ConnectionLost extends Error {
  readonly code = 'ECONNRESET';
}

const RETRIED = [UNIQUE_VIOLATION, '40001', '40P01'];
const ATTEMPTS = 5;

export function createMemoryStore(
  database: MemoryDatabase,
  gate: Gate,
  options: { handlerTransactions: number },
): EngineStore<Handle> {
  const alone = <T>(effect: () => T): Promise<T> => gate.pass('alone', (answer) => answer(effect()));
  const turns = new Turns(options.handlerTransactions);
  return {
    transaction: (work) => withRetries(() => inTransaction(database, gate, work)),
    begin: async (signal) => {
      await turns.take(signal);
      return openTransaction(database, gate, () => turns.leave());
    },
    isPassing: (thrown) =>
      thrown instanceof ConnectionLost ||
      (thrown instanceof DatabaseError && (thrown.code === '40001' || thrown.code === '40P01')),
    claim: (request) => alone(() => claim(database, request)),
    wounded: (request) => alone(() => wounded(database, request)),
    ready: (queues, now) =>
      alone(() => queues.filter((queue) => some(database.jobs, (task) => isReady(task, queue, now)))),
    waiting: (queue, limit) =>
      alone(() => {
        let count = 0;
        for (const task of database.jobs.values())
          if (task.jobQueue === queue && task.workerId === null) count += 1;
        return Math.min(count, limit);
      }),
    workers: () => alone(() => [...database.workers.values()].map(({ id, name }) => ({ id, name }))),
    registerWorker: (id, name, seconds) =>
      alone(() => {
        database.workers.set(id, { id, name, leaseUntil: database.now().getTime() + seconds * 1000 });
      }),
    renewLease: (id, seconds) =>
      alone(() => {
        const worker = database.workers.get(id);
        if (worker === undefined) return false;
        worker.leaseUntil = database.now().getTime() + seconds * 1000;
        return true;
      }),
    removeWorker: (id) =>
      alone(() => {
        database.workers.delete(id);
      }),
    orphans: () => alone(() => orphans(database)),
    heldBy: (workerId) =>
      alone(() => [...database.held.values()].filter((task) => task.workerId === workerId).map(holdingOf)),
    reportProgress: (reports) => alone(() => reportProgress(database, reports)),
    dueTimers: (now, limit) =>
      alone(() =>
        [...database.timers.values()]
          .filter(({ fireAt }) => fireAt <= now)
          .sort((one, other) => one.fireAt.getTime() - other.fireAt.getTime())
          .slice(0, limit),
      ),
    nextDue: () =>
      alone(() => {
        let soonest: Date | null = null;
        for (const { fireAt } of database.timers.values())
          if (soonest === null || fireAt < soonest) soonest = fireAt;
        return soonest;
      }),
    // Reads for operators only; nothing that is simulated asks.
    whyFacts: () => Promise.reject(new Error('a simulated node is not asked why it waits')),
    task: (id) => alone(() => database.tasks.get(id)),
    childrenOf: (id) => alone(() => database.children(id)),
    notify: (hints) => alone(() => gate.publish(hints)),
    listen(heard, missed) {
      const close = gate.subscribe(heard, missed);
      return { close: async () => close() };
    },
  };
}

async function withRetries<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (thrown) {
      const retried = thrown instanceof DatabaseError && RETRIED.includes(thrown.code);
      if (attempt === ATTEMPTS || !retried) throw thrown;
    }
  }
}

async function inTransaction<T>(
  database: MemoryDatabase,
  gate: Gate,
  work: (transaction: EngineTransaction) => Promise<T>,
): Promise<T> {
  const transaction = new MemoryTransaction(database);
  gate.opened(transaction);
  try {
    const result = await work(engineTransaction(gate, transaction));
    await gate.pass<void>('commit', (answer) => answer(transaction.commit()), transaction);
    return result;
  } catch (thrown) {
    transaction.rollback();
    throw thrown;
  } finally {
    gate.closed(transaction);
  }
}

function engineTransaction(gate: Gate, transaction: MemoryTransaction): EngineTransaction {
  const inside = <T>(effect: () => T): Promise<T> =>
    gate.pass('inside', (answer) => answer(effect()), transaction);
  return {
    lock: (ids) =>
      gate.pass<Task[]>(
        'first',
        (answer, fail) => transaction.lock(ids, answer, () => fail(refusal(transaction))),
        transaction,
      ),
    load: (ids) => inside(() => transaction.load(ids)),
    children: (queries) => inside(() => transaction.children(queries)),
    insertTasks: (tasks) => inside(() => transaction.insertTasks(tasks)),
    updateTasks: (changes) => inside(() => transaction.updateTasks(changes)),
    processed: (messages) => inside(() => transaction.processed(messages)),
    recordIncoming: (messages) => inside(() => transaction.recordIncoming(messages)),
    recordOutgoing: (messages, now) => inside(() => transaction.recordOutgoing(messages, now)),
    record: (entries) => inside(() => transaction.record(entries)),
    withdraw: (ids) => inside(() => transaction.withdraw(ids)),
    bury: (messages) => inside(() => transaction.bury(messages)),
    setTimers: (timers) => inside(() => transaction.setTimers(timers)),
    clearTimers: (clears) => inside(() => transaction.clearTimers(clears)),
    takeTimers: (ids) => inside(() => transaction.takeTimers(ids)),
  };
}

function openTransaction(database: MemoryDatabase, gate: Gate, left: () => void): OpenTransaction<Handle> {
  const transaction = new MemoryTransaction(database);
  gate.opened(transaction);
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    gate.closed(transaction);
    left();
  };
  const inside = <T>(effect: () => T): Promise<T> =>
    gate.pass('inside', (answer) => answer(effect()), transaction);
  return {
    handle: { add: (taskId, what) => inside(() => transaction.addEffect({ taskId, what })) },
    engine: engineTransaction(gate, transaction),
    task: (id) => inside(() => transaction.task(id)),
    childrenOf: (id) => inside(() => transaction.childrenOf(id)),
    isAlive: () => inside(() => transaction.open && !transaction.failed).catch(() => false),
    async commit() {
      try {
        await gate.pass<void>('commit', (answer) => answer(transaction.commit()), transaction);
      } finally {
        end();
      }
    },
    async rollback() {
      transaction.rollback();
      end();
    },
  };
}

function refusal(transaction: MemoryTransaction): Error {
  return transaction.open
    ? new DatabaseError('40P01', 'deadlock detected')
    : new ConnectionLost('it was rolled back');
}

/** The turns of handlers that want a transaction. */
class Turns {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(free: number) {
    this.#free = free;
  }

  take(signal: AbortSignal): Promise<void> {
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

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

// Claims

function isReady(task: Task, queue: string, now: Date): boolean {
  return task.jobQueue === queue && task.workerId === null && task.runAt <= now;
}

function needsNoSlot({ slot, job, epoch }: Task): boolean {
  return slot || (job !== 'execute' && job !== 'reserve') || (job === 'execute' && epoch > 0);
}

function byRunAt(one: Task, other: Task): number {
  return one.runAt.getTime() - other.runAt.getTime() || (one.id < other.id ? -1 : 1);
}

function claim(database: MemoryDatabase, request: ClaimRequest): Task[] {
  const { queue, workerId, slots, limit, now } = request;
  const ready: Task[] = [];
  for (const task of database.jobs.values())
    if (isReady(task, queue, now) && !database.isLocked(task.id)) ready.push(task);
  if (ready.length === 0) return [];
  ready.sort(byRunAt);
  const without = ready.filter(needsNoSlot).slice(0, limit);
  // A start that takes a slot without having waited for it leaves one less.
  const taking = without.filter(({ slot, job }) => !slot && job === 'execute').length;
  const free = Math.max(0, Math.min(slots - slotsTaken(database, queue) - taking, limit - without.length));
  const inTurn = ready.filter((task) => !needsNoSlot(task)).slice(0, free);
  const others = inTurn.filter(({ job }) => job !== 'reserve');
  const oldest = ready
    .filter(({ job, slot }) => job === 'reserve' && !slot)
    .sort((one, other) => inBytes(one.priority ?? '', other.priority ?? '') || inBytes(one.id, other.id))
    .slice(0, inTurn.length - others.length);
  const chosen = [...without, ...others, ...oldest];
  const changes = chosen.map((task) =>
    database.put({
      ...task,
      workerId,
      fence: task.fence + 1,
      modifiedDate: now,
      slot: task.slot || task.job === 'execute' || task.job === 'reserve',
      status: task.job === 'execute' ? 'executing' : task.status,
    }),
  );
  database.committed(changes);
  return changes.map(({ after }) => after);
}

export function slotsTaken(database: MemoryDatabase, queue: string): number {
  let taken = 0;
  for (const task of database.slots.values()) if (task.queue === queue) taken += 1;
  return taken;
}

function wounded(
  database: MemoryDatabase,
  { queue, slots, now }: WoundRequest,
): Pick<Task, 'id' | 'epoch'>[] {
  const waiting = [...database.jobs.values()]
    .filter((task) => isReady(task, queue, now) && task.job === 'reserve' && !task.slot)
    .map(({ priority }) => priority!)
    .sort(inBytes);
  const holding = [...database.slots.values()]
    .filter((task) => task.queue === queue && task.status === 'reserved' && task.job === null)
    .sort((one, other) => inBytes(other.priority!, one.priority!));
  const free = Math.max(0, slots - slotsTaken(database, queue));
  const chosen: Pick<Task, 'id' | 'epoch'>[] = [];
  for (const [place, { id, epoch, priority }] of holding.entries()) {
    const older = waiting[place + free];
    if (older !== undefined && inBytes(older, priority!) < 0) chosen.push({ id, epoch });
  }
  return chosen;
}

function inBytes(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function orphans(database: MemoryDatabase): Holding[] {
  const now = database.now().getTime();
  for (const worker of database.workers.values())
    if (worker.leaseUntil < now) database.workers.delete(worker.id);
  return [...database.held.values()]
    .filter(({ workerId }) => !database.workers.has(workerId!))
    .map(holdingOf);
}

function holdingOf({ id, workerId, fence }: Task): Holding {
  return { id, workerId: workerId!, fence };
}

function reportProgress(database: MemoryDatabase, reports: readonly ProgressReport[]): string[] {
  const changes: Change[] = [];
  for (const { id, workerId, fence, progress } of reports) {
    const task = database.tasks.get(id);
    if (task?.workerId !== workerId || task.fence !== fence || database.isLocked(id)) continue;
    changes.push(database.put({ ...task, progress, modifiedDate: database.now() }));
  }
  database.committed(changes);
  return changes.map(({ after }) => after.id);
}

function some<T>(items: ReadonlyMap<string, T>, test: (item: T) => boolean): boolean {
  for (const item of items.values()) if (test(item)) return true;
  return false;
}
