/**
 * A transaction on a database in memory. Its methods are statements: they have their effect at once, or wait for a
 * lock, or throw as PostgreSQL does.
 */
import type { AuditEntry } from '../../lib/audit/entries.ts';
import type { OutgoingMessage, Status, Task, Timer, TimerKind } from '../../lib/engine/model.ts';
import type { ChildrenQuery, ProcessedMessage, TaskChange } from '../../lib/engine/store.ts';
import type { Failure } from '../../lib/errors.ts';
import {
  type Change,
  DatabaseError,
  type Effect,
  FOREIGN_KEY_VIOLATION,
  type MemoryDatabase,
  type TimerRow,
  UNIQUE_VIOLATION,
} from './memory-database.ts';

/** Columns that `updateTasks` does not write. */
const FIXED = [
  'rootId',
  'parentId',
  'order',
  'label',
  'action',
  'queue',
  'isReceived',
  'isLocal',
  'peerId',
  'createdDate',
  'expirationDate',
  'pingbackDate',
  'quorum',
] as const satisfies (keyof Task)[];

export class MemoryTransaction {
  readonly #database: MemoryDatabase;
  readonly #locked = new Set<string>();
  readonly #inserted = new Map<string, Task>();
  readonly #updated = new Map<string, Task>();
  readonly #takenTimers = new Set<string>();
  readonly #addedTimers: TimerRow[] = [];
  readonly #incoming: ProcessedMessage[] = [];
  readonly #effects: Effect[] = [];
  /** What is done to messages when it commits, in order. */
  readonly #messages: (() => void)[] = [];
  #refused: (() => void) | undefined;
  open = true;
  /** A statement failed: nothing but a rollback is possible (SQLSTATE 25P02). */
  failed = false;

  constructor(database: MemoryDatabase) {
    this.#database = database;
  }

  /**
   * Calls `granted` when the trees are locked; at once, if nobody else holds them. `refused`: the transaction was
   * rolled back while it waited, or has to begin again.
   */
  lock(ids: readonly string[], granted: (tasks: Task[]) => void, refused: () => void): void {
    const roots = this.#rootsOf(ids).sort();
    let next = 0;
    const go = (): void => {
      if (!this.open) return;
      this.#refused = refused;
      while (next < roots.length) {
        if (!this.#database.tryLock(this, roots[next]!, go)) return;
        this.#locked.add(roots[next]!);
        next += 1;
      }
      this.#refused = undefined;
      // Tasks that came to be while it waited: PostgreSQL's second statement sees them, and locks them as they are.
      for (const late of this.#rootsOf(ids)) {
        if (roots.includes(late)) continue;
        if (!this.#database.tryLock(this, late, () => {})) {
          this.failed = true;
          refused();
          return;
        }
        this.#locked.add(late);
        roots.push(late);
      }
      granted(this.#read(ids, roots));
    };
    go();
  }

  #rootsOf(ids: readonly string[]): string[] {
    const { tasks } = this.#database;
    const roots = new Set<string>();
    for (const id of ids) {
      const task = tasks.get(id);
      if (task !== undefined) roots.add(task.rootId);
    }
    return [...roots];
  }

  #read(ids: readonly string[], roots: readonly string[]): Task[] {
    const found = new Set(roots);
    const add = (task: Task | undefined): void => {
      if (task === undefined || found.has(task.id)) return;
      found.add(task.id);
    };
    if (roots.length > 0)
      for (const id of ids)
        for (let task = this.#database.tasks.get(id); task !== undefined; ) {
          add(task);
          const parent: Task | undefined =
            task.parentId === null ? undefined : this.#database.tasks.get(task.parentId);
          if (parent?.type === 'sequential') add(this.#sibling(parent.id, task.order + 1));
          task = parent;
        }
    return this.#lockRows([...found]);
  }

  #sibling(parentId: string, order: number): Task | undefined {
    for (const id of this.#database.childrenOf.get(parentId) ?? []) {
      const task = this.#database.tasks.get(id)!;
      if (task.order === order) return task;
    }
    return undefined;
  }

  #lockRows(ids: readonly string[]): Task[] {
    const rows: Task[] = [];
    for (const id of ids) {
      const task = this.task(id);
      if (task === undefined) continue;
      // Only the holder of a tree's root locks its rows, and claims are over in an instant.
      if (!this.#locked.has(task.rootId)) throw new Error(`the tree of ${id} is not locked`);
      if (!this.#inserted.has(id) && !this.#locked.has(id)) {
        if (!this.#database.tryLock(this, id, () => {})) throw new Error(`${id} is locked by another`);
        this.#locked.add(id);
      }
      rows.push(task);
    }
    return rows;
  }

  load(ids: readonly string[]): Task[] {
    return this.#lockRows(ids);
  }

  children(queries: readonly ChildrenQuery[]): Task[] {
    const ids = new Set<string>();
    for (const { parentId, match } of queries)
      for (const task of this.childrenOf(parentId))
        if ('order' in match ? task.order === match.order : match.statuses.includes(task.status as Status))
          ids.add(task.id);
    return this.#lockRows([...ids]);
  }

  insertTasks(tasks: readonly Task[]): void {
    for (const task of tasks) {
      if (this.task(task.id) !== undefined) throw duplicate(`the task ${task.id}`);
      if (task.parentId !== null && this.task(task.parentId) === undefined)
        throw new DatabaseError(FOREIGN_KEY_VIOLATION, `there is no task ${task.parentId}`);
      this.#inserted.set(task.id, task);
      // Those of a tree that is new are nobody else's yet.
      this.#locked.add(task.id);
    }
  }

  updateTasks(changes: readonly TaskChange[]): void {
    for (const { after: task } of changes) {
      if (this.#inserted.has(task.id)) {
        this.#inserted.set(task.id, task);
        continue;
      }
      const before = this.task(task.id);
      if (before === undefined) continue;
      if (!this.#locked.has(task.id)) throw new Error(`${task.id} is changed without being locked`);
      for (const field of FIXED)
        if (task[field] !== before[field]) throw new Error(`${field} of ${task.id} is not to change`);
      this.#updated.set(task.id, task);
    }
  }

  processed(messages: readonly { peerId: string; messageId: string }[]): Set<string> {
    const seen = new Set<string>();
    for (const { peerId, messageId } of messages) {
      const key = `${peerId}/${messageId}`;
      if (this.#database.inbox.has(key)) seen.add(key);
    }
    return seen;
  }

  recordIncoming(messages: readonly ProcessedMessage[]): void {
    for (const record of messages) {
      const { peerId, messageId } = record.message;
      if (this.#database.inbox.has(`${peerId}/${messageId}`)) throw duplicate(`the message ${messageId}`);
      this.#incoming.push(record);
    }
  }

  recordOutgoing(messages: readonly OutgoingMessage[], now: Date): void {
    for (const message of messages) {
      const row = {
        ...message,
        sequence: this.#database.nextSequence(),
        senderUrl: this.#database.url,
        receiverUrl: this.#database.peers.get(message.peerId)?.url ?? '',
        state: 'pending',
        attempts: 0,
        nextAttempt: now.getTime(),
        status: null,
        error: null,
      } as const;
      this.#messages.push(() => this.#database.addMessage({ ...row }));
    }
  }

  record(entries: readonly AuditEntry[]): void {
    this.#messages.push(() => void this.#database.log.push(...entries));
  }

  withdraw(taskIds: readonly string[]): void {
    this.#messages.push(() => {
      for (const row of [...this.#database.pending.values()])
        if (row.attempts === 0 && row.taskId !== null && taskIds.includes(row.taskId))
          this.#database.settle(row, 'withdrawn');
    });
  }

  bury(messages: readonly { messageId: string; failure: unknown }[]): void {
    this.#messages.push(() => {
      for (const { messageId, failure } of messages)
        for (const row of [...this.#database.pending.values()]) {
          if (row.messageId !== messageId) continue;
          row.error = failure as Failure;
          this.#database.settle(row, 'dead');
        }
    });
  }

  setTimers(timers: readonly Timer[]): void {
    for (const timer of timers) {
      if (this.task(timer.taskId) === undefined)
        throw new DatabaseError(FOREIGN_KEY_VIOLATION, `there is no task ${timer.taskId}`);
      this.#addedTimers.push({ ...timer, timerId: this.#database.nextTimerId() });
    }
  }

  clearTimers(clears: readonly { taskId: string; kinds: readonly TimerKind[] | 'all' }[]): void {
    const cleared = (timer: Timer): boolean =>
      clears.some(
        ({ taskId, kinds }) => taskId === timer.taskId && (kinds === 'all' || kinds.includes(timer.kind)),
      );
    for (const timer of this.#database.timers.values())
      if (cleared(timer)) this.#takenTimers.add(timer.timerId);
    for (let index = this.#addedTimers.length - 1; index >= 0; index -= 1)
      if (cleared(this.#addedTimers[index]!)) this.#addedTimers.splice(index, 1);
  }

  takeTimers(ids: readonly string[]): Set<string> {
    const taken = new Set<string>();
    for (const id of ids) {
      if (!this.#database.timers.has(id) || this.#takenTimers.has(id)) continue;
      this.#takenTimers.add(id);
      taken.add(id);
    }
    return taken;
  }

  /** What a handler writes with `ctx.tx`. */
  addEffect(effect: Effect): void {
    this.#effects.push(effect);
  }

  task(id: string): Task | undefined {
    return this.#updated.get(id) ?? this.#inserted.get(id) ?? this.#database.tasks.get(id);
  }

  childrenOf(parentId: string): Task[] {
    const ids = this.#database.childrenOf.get(parentId) ?? [];
    const children = ids.map((id) => this.task(id)!);
    for (const task of this.#inserted.values()) if (task.parentId === parentId) children.push(task);
    return children.sort((one, other) => one.order - other.order);
  }

  /** @throws DatabaseError when another transaction has committed the same key meanwhile; then it is rolled back */
  commit(): void {
    if (!this.open) throw new DatabaseError('25P01', 'there is no transaction');
    if (this.failed) {
      this.rollback();
      throw new DatabaseError('25P02', 'the transaction is aborted');
    }
    const database = this.#database;
    try {
      for (const id of this.#inserted.keys()) if (database.tasks.has(id)) throw duplicate(`the task ${id}`);
      for (const { message } of this.#incoming)
        if (database.inbox.has(`${message.peerId}/${message.messageId}`))
          throw duplicate(`the message ${message.messageId}`);
      for (const task of this.#inserted.values()) this.#checkOrder(task);
    } catch (thrown) {
      this.rollback();
      throw thrown;
    }
    const changes: Change[] = [];
    for (const task of this.#inserted.values()) changes.push(database.put(task));
    for (const task of this.#updated.values()) changes.push(database.put(task));
    for (const { message, status } of this.#incoming)
      database.inbox.set(`${message.peerId}/${message.messageId}`, { message, status });
    for (const apply of this.#messages) apply();
    for (const id of this.#takenTimers) database.timers.delete(id);
    for (const timer of this.#addedTimers) database.timers.set(timer.timerId, timer);
    database.effects.push(...this.#effects);
    this.open = false;
    database.committed(changes, this.#effects);
    database.unlock(this.#locked);
  }

  #checkOrder({ id, parentId, order }: Task): void {
    if (parentId === null) return;
    for (const sibling of this.#database.childrenOf.get(parentId) ?? [])
      if (this.#database.tasks.get(sibling)!.order === order && sibling !== id)
        throw duplicate(`the place ${order} below ${parentId}`);
  }

  rollback(): void {
    if (!this.open) return;
    this.open = false;
    this.#database.unlock(this.#locked);
    this.#refused?.();
  }
}

function duplicate(what: string): DatabaseError {
  return new DatabaseError(UNIQUE_VIOLATION, `${what} is there already`);
}
