/**
 * What the engine needs from its database: the transactional contract (D10, D11).
 *
 * Every change goes through `transaction`. A transaction first locks the trees that it will change, by their
 * roots and in the order of their ids; so two transactions never change one tree at a time, and never wait for
 * each other in a circle. Claims and progress take single rows and skip locked ones: they wait for nobody.
 */

import type { AuditEntry } from '../audit/entries.ts';
import type { Json } from '../json.ts';
import type { IncomingMessage, OutgoingMessage, Status, Task, Timer, TimerKind } from './model.ts';
import type { WhyFacts } from './why.ts';

export interface ChildrenQuery {
  parentId: string;
  /** All children in these statuses, or the one with this order. */
  match: { statuses: readonly Status[] } | { order: number };
}

/** A task as it was read and locked, and as it is to be. */
export interface TaskChange {
  before: Task;
  after: Task;
}

/** An incoming message with what became of it. */
export interface ProcessedMessage {
  message: IncomingMessage;
  taskId: string | null;
  /** The HTTP status of the answer. */
  status: number;
  failure: unknown;
}

export interface DueTimer extends Timer {
  timerId: string;
}

export interface EngineTransaction {
  /**
   * Locks the trees of the named tasks, and answers with the named tasks, everything above them, and what comes
   * next in the sequences among these.
   * Must be the first call of a transaction; ids that do not exist are passed over.
   * @param claimed of the named tasks, as `claim` answered them: what has not changed since need not be read again
   */
  lock(taskIds: readonly string[], claimed?: readonly Task[]): Promise<Task[]>;
  /** Further tasks of trees that are locked. */
  load(taskIds: readonly string[]): Promise<Task[]>;
  children(queries: readonly ChildrenQuery[]): Promise<Task[]>;
  insertTasks(tasks: readonly Task[]): Promise<void>;
  updateTasks(changes: readonly TaskChange[]): Promise<void>;
  /** Which of the messages were processed before, as `peerId/messageId`. */
  processed(messages: readonly IncomingMessage[]): Promise<Set<string>>;
  recordIncoming(messages: readonly ProcessedMessage[], now: Date): Promise<void>;
  recordOutgoing(messages: readonly OutgoingMessage[], now: Date): Promise<void>;
  /** Writes entries into the audit trail (D24); messages enter it by themselves. */
  record(entries: readonly AuditEntry[]): Promise<void>;
  /** Undelivered messages of these tasks that were never tried. */
  withdraw(taskIds: readonly string[], now: Date): Promise<void>;
  /** Undelivered messages that will not be tried again. */
  bury(messages: readonly { messageId: string; failure: unknown }[], now: Date): Promise<void>;
  setTimers(timers: readonly Timer[]): Promise<void>;
  clearTimers(clears: readonly { taskId: string; kinds: readonly TimerKind[] | 'all' }[]): Promise<void>;
  /** Removes timers; answers with the ids of those that were still there. */
  takeTimers(timerIds: readonly string[]): Promise<Set<string>>;
}

export interface ClaimRequest {
  queue: string;
  workerId: string;
  /** Slots of the queue over all workers (FQ-S6). */
  slots: number;
  /** At most so many jobs now. */
  limit: number;
  now: Date;
}

export interface WoundRequest {
  queue: string;
  slots: number;
  now: Date;
}

/** The claim of a task: who, and under which fencing token (D13). */
export interface Holding {
  id: string;
  workerId: string;
  fence: number;
}

export interface ProgressReport extends Holding {
  progress: Json;
}

/** What handlers read (FQ-A8). */
export interface TaskReads {
  task(id: string): Promise<Task | undefined>;
  childrenOf(id: string): Promise<Task[]>;
}

/** A transaction that a handler holds open, in which its own rows and its task's end commit together (D14). */
export interface OpenTransaction<Handle> extends TaskReads {
  /** What the handler works with. */
  handle: Handle;
  engine: EngineTransaction;
  /** False: it cannot commit any more. */
  isAlive(): Promise<boolean>;
  commit(): Promise<void>;
  /** Never rejects: what the server has lost it has rolled back. */
  rollback(): Promise<void>;
}

/** `Handle`: what a handler gets to write its own rows with; with PostgreSQL, a knex transaction. */
export interface EngineStore<Handle = unknown> extends TaskReads {
  /** Runs `work` in one transaction; retried from the start when the database asks for it. */
  transaction<T>(work: (transaction: EngineTransaction) => Promise<T>): Promise<T>;
  /**
   * Waits its turn: handlers never hold so many connections that none is left for the engine itself.
   * @throws the signal's reason
   */
  begin(signal: AbortSignal): Promise<OpenTransaction<Handle>>;
  /** Whether something failed because the database was away or asked for another attempt. */
  isPassing(thrown: unknown): boolean;

  /** Ready jobs become this worker's, with a new fencing token each (D13). */
  claim(request: ClaimRequest): Promise<Task[]>;
  /** Reserved tasks that hold slots for which an older tree waits: the youngest first (wound–wait, D16). */
  wounded(request: WoundRequest): Promise<Pick<Task, 'id' | 'epoch'>[]>;
  /** Which of the queues have ready jobs. */
  ready(queues: readonly string[], now: Date): Promise<string[]>;
  /** How many jobs of the queue wait, counted up to `limit`. */
  waiting(queue: string, limit: number): Promise<number>;

  workers(): Promise<{ id: string; name: string }[]>;
  registerWorker(workerId: string, name: string, leaseSeconds: number): Promise<void>;
  /** False: the lease had lapsed, and others may have taken its tasks. */
  renewLease(workerId: string, leaseSeconds: number): Promise<boolean>;
  removeWorker(workerId: string): Promise<void>;
  /** Tasks whose worker is not alive any more; dead workers are forgotten. */
  orphans(): Promise<Holding[]>;
  /** What the worker holds. */
  heldBy(workerId: string): Promise<Holding[]>;
  /** Stores progress where the claim still holds and nobody has locked the task; answers with the ids of these. */
  reportProgress(reports: readonly ProgressReport[]): Promise<string[]>;

  dueTimers(now: Date, limit: number): Promise<DueTimer[]>;
  /** When the next timer is due; null: none is set. */
  nextDue(): Promise<Date | null>;

  /** What `why` needs: the task, the subtask that it waits for, and so on; empty: there is no such task (D18). */
  whyFacts(id: string, now: Date, slotsOf: (queue: string) => number | null): Promise<WhyFacts[]>;

  /** Tells the other processes of this node what a commit has made possible (hints; they poll as well). */
  notify(hints: Hints): Promise<void>;
  /** Hears the hints of other processes; `missed`: some may have got lost. */
  listen(heard: (hints: Hints) => void, missed: () => void): { close(): Promise<void> } | null;
}

/** What may have become possible: hints, never needed for correctness. */
export interface Hints {
  queues: string[];
  peers: string[];
  ended: string[];
  aborts: string[];
  /** The soonest timer that was set, or delayed job. */
  timer: Date | null;
}

export function noHints(): Hints {
  return { queues: [], peers: [], ended: [], aborts: [], timer: null };
}
