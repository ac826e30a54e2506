/**
 * A node's database in memory, with what the engine relies on of PostgreSQL: transactions whose changes are seen by
 * others when they commit and not before, row locks, unique keys, and a clock of its own. Rows are immutable and shared
 * by reference; a transaction is an overlay.
 */
import type { AuditEntry } from '../../lib/audit/entries.ts';
import {
  hasEnded,
  type IncomingMessage,
  type OutgoingMessage,
  type Task,
  type Timer,
} from '../../lib/engine/model.ts';
import type { Failure } from '../../lib/errors.ts';
import type { PeerRow } from '../../lib/store/peers.ts';

export interface OutboxRow extends OutgoingMessage {
  readonly sequence: number;
  readonly senderUrl: string;
  readonly receiverUrl: string;
  state: 'pending' | 'delivered' | 'dead' | 'withdrawn';
  attempts: number;
  nextAttempt: number;
  status: number | null;
  error: Failure | null;
}

export interface TimerRow extends Timer {
  readonly timerId: string;
}

export interface WorkerRow {
  readonly id: string;
  readonly name: string;
  leaseUntil: number;
}

/** A row that handlers write with `ctx.tx`. */
export interface Effect {
  readonly taskId: string;
  readonly what: string;
}

/** What a commit has changed. */
export interface Change {
  readonly before: Task | undefined;
  readonly after: Task;
}

/** As PostgreSQL's: `code` is a SQLSTATE. */
export class DatabaseError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const UNIQUE_VIOLATION = '23505';
export const FOREIGN_KEY_VIOLATION = '23503';

export interface DatabaseOptions {
  /** Root queues URL of the node whose database it is. */
  url: string;
  now(): Date;
}

/** What holds rows locked. */
export interface Holder {
  readonly open: boolean;
}

export class MemoryDatabase {
  readonly url: string;
  readonly now: () => Date;
  readonly tasks = new Map<string, Task>();
  readonly childrenOf = new Map<string, string[]>();
  /** Tasks with a job, tasks in a worker's hands, tasks with a slot. */
  readonly jobs = new Map<string, Task>();
  readonly held = new Map<string, Task>();
  readonly slots = new Map<string, Task>();
  readonly timers = new Map<string, TimerRow>();
  readonly workers = new Map<string, WorkerRow>();
  readonly peers = new Map<string, PeerRow>();
  /** By `peerId/messageId`. */
  readonly inbox = new Map<string, { message: IncomingMessage; status: number }>();
  readonly outbox = new Map<number, OutboxRow>();
  readonly pending = new Map<number, OutboxRow>();
  /** What others than messages enter into the audit trail. */
  readonly log: AuditEntry[] = [];
  readonly effects: Effect[] = [];
  readonly #locks = new Map<string, Holder>();
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #commitListeners: ((changes: readonly Change[], effects: readonly Effect[]) => void)[] = [];
  #unfinished = 0;
  #sequence = 0;
  #timerIds = 0;

  constructor({ url, now }: DatabaseOptions) {
    this.url = url;
    this.now = now;
  }

  /** How much is still to be done: tasks that have not ended, and messages that wait. */
  get open(): number {
    return this.#unfinished + this.pending.size;
  }

  onCommit(listener: (changes: readonly Change[], effects: readonly Effect[]) => void): void {
    this.#commitListeners.push(listener);
  }

  nextSequence(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  nextTimerId(): string {
    this.#timerIds += 1;
    return String(this.#timerIds);
  }

  // Locks

  isLocked(taskId: string): boolean {
    return this.#locks.has(taskId);
  }

  holds(holder: Holder, taskId: string): boolean {
    return this.#locks.get(taskId) === holder;
  }

  /** Locks a row that nobody else has locked, or calls when it may be tried again. */
  tryLock(holder: Holder, taskId: string, again: () => void): boolean {
    const other = this.#locks.get(taskId);
    if (other !== undefined && other !== holder) {
      const waiting = this.#waiting.get(taskId);
      if (waiting === undefined) this.#waiting.set(taskId, [again]);
      else waiting.push(again);
      return false;
    }
    this.#locks.set(taskId, holder);
    return true;
  }

  unlock(taskIds: Iterable<string>): void {
    const awake: (() => void)[] = [];
    for (const id of taskIds) {
      this.#locks.delete(id);
      const waiting = this.#waiting.get(id);
      if (waiting === undefined) continue;
      this.#waiting.delete(id);
      awake.push(...waiting);
    }
    for (const wake of awake) wake();
  }

  // Writing, in a commit

  put(task: Task): Change {
    const { id } = task;
    const before = this.tasks.get(id);
    this.tasks.set(id, task);
    if (before === undefined) this.#unfinished += hasEnded(task) ? 0 : 1;
    else this.#unfinished += (hasEnded(before) ? 1 : 0) - (hasEnded(task) ? 1 : 0);
    if (before === undefined && task.parentId !== null) this.#addChild(task.parentId, task);
    if (task.job === null) this.jobs.delete(id);
    else this.jobs.set(id, task);
    if (task.workerId === null) this.held.delete(id);
    else this.held.set(id, task);
    if (task.slot) this.slots.set(id, task);
    else this.slots.delete(id);
    return { before, after: task };
  }

  #addChild(parentId: string, task: Task): void {
    const siblings = this.childrenOf.get(parentId);
    if (siblings === undefined) this.childrenOf.set(parentId, [task.id]);
    else siblings.push(task.id);
  }

  addMessage(row: OutboxRow): void {
    this.outbox.set(row.sequence, row);
    this.pending.set(row.sequence, row);
  }

  settle(row: OutboxRow, state: 'delivered' | 'dead' | 'withdrawn'): void {
    row.state = state;
    this.pending.delete(row.sequence);
  }

  committed(changes: readonly Change[], effects: readonly Effect[] = []): void {
    for (const listener of this.#commitListeners) listener(changes, effects);
  }

  /** Children in their order. */
  children(parentId: string): Task[] {
    const ids = this.childrenOf.get(parentId);
    if (ids === undefined) return [];
    return ids.map((id) => this.tasks.get(id)!).sort((one, other) => one.order - other.order);
  }
}
