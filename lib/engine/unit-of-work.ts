/**
 * The shell around the functional core (D11): applies inputs to tasks and writes everything that follows in one
 * transaction, with one statement per table and kind of change, however many inputs there are (D10).
 *
 * Effects are applied in rounds. Before a round, all tasks that it needs are loaded at once; then its effects are
 * applied in order; what they cause is the next round.
 */
import { ConclaveError, type Failure } from '../errors.ts';
import type { Context, Effect, Event, Outcome } from './events.ts';
import { hasEnded, type OutgoingMessage, type Task, type Timer } from './model.ts';
import { type EngineTransaction, type Hints, noHints, type TaskChange } from './store.ts';
import { transition } from './transitions.ts';

/** Of which claim a worker's report is; without it, the report comes from elsewhere. */
export interface Claim {
  workerId: string;
  fence: number;
}

/** How many rounds a unit may take: a guard against rules that chase each other. */
const MAX_ROUNDS = 100_000;

export class UnitOfWork {
  readonly hints: Hints = noHints();
  readonly #transaction: EngineTransaction;
  readonly #context: Context;
  readonly #tasks = new Map<string, Task>();
  /** By parent: its children by their order. */
  readonly #childrenOf = new Map<string, Map<number, string>>();
  readonly #inserted = new Set<string>();
  /** Changed tasks as they were read. */
  readonly #changed = new Map<string, Task>();
  readonly #messages: OutgoingMessage[] = [];
  readonly #timers = new Map<string, Timer[]>();
  readonly #clears: Extract<Effect, { effect: 'clear_timers' }>[] = [];
  readonly #withdrawn: string[] = [];
  #pending: Effect[] = [];

  constructor(transaction: EngineTransaction, context: Context) {
    this.#transaction = transaction;
    this.#context = context;
  }

  /** Locks the trees of these tasks. Once, before anything else. */
  async lock(taskIds: readonly string[], claimed: readonly Task[]): Promise<void> {
    if (taskIds.length === 0) return;
    for (const task of await this.#transaction.lock(taskIds, claimed)) this.#know(task);
  }

  task(id: string): Task | undefined {
    return this.#tasks.get(id);
  }

  insert(tasks: readonly Task[]): void {
    for (const task of tasks) {
      this.#know(task);
      this.#inserted.add(task.id);
    }
  }

  /** Applies one event; what follows from it waits for `settle`. */
  apply(taskId: string, event: Event, claim?: Claim): Outcome {
    const task = this.#tasks.get(taskId);
    if (task === undefined) return refused('task_not_found', { taskId });
    if (claim !== undefined && (task.workerId !== claim.workerId || task.fence !== claim.fence))
      return refused('fenced', { taskId });
    const outcome = transition(task, event, this.#context);
    if (outcome.outcome !== 'applied') return outcome;
    // A worker that reports an end need not be told to stop.
    const own = (effect: Effect) => effect.effect === 'abort' && effect.taskId === taskId;
    const effects = claim === undefined ? outcome.effects : outcome.effects.filter((effect) => !own(effect));
    this.#change(task, outcome.changes, effects);
    return outcome;
  }

  /** Whether something follows from what was applied so far. */
  get unsettled(): boolean {
    return this.#pending.length > 0;
  }

  /** Applies everything that follows from what was applied so far. */
  async settle(): Promise<void> {
    for (let round = 0; this.#pending.length > 0; round += 1) {
      if (round > MAX_ROUNDS) throw new Error('the effects of a unit of work do not come to an end');
      const effects = this.#pending;
      this.#pending = [];
      await this.#fetch(effects);
      for (const effect of effects) this.#effect(effect);
    }
  }

  /** Writes all changes. The transaction may be committed after it. */
  async flush(): Promise<void> {
    const { now } = this.#context;
    const inserted = [...this.#inserted].map((id) => this.#tasks.get(id)!);
    const changed: TaskChange[] = [];
    for (const [id, before] of this.#changed)
      if (!this.#inserted.has(id)) changed.push({ before, after: this.#tasks.get(id)! });
    for (const task of this.#tasks.values()) this.#hint(task);
    if (inserted.length > 0) await this.#transaction.insertTasks(inserted);
    if (changed.length > 0) await this.#transaction.updateTasks(changed);
    if (this.#clears.length > 0) await this.#transaction.clearTimers(this.#clears);
    const timers = this.#liveTimers();
    if (timers.length > 0) await this.#transaction.setTimers(timers);
    if (this.#withdrawn.length > 0) await this.#transaction.withdraw(this.#withdrawn, now);
    if (this.#messages.length > 0) await this.#transaction.recordOutgoing(this.#messages, now);
  }

  #liveTimers(): Timer[] {
    const live = [...this.#timers.values()]
      .flat()
      .filter(({ taskId }) => !hasEnded(this.#tasks.get(taskId)!));
    for (const { fireAt } of live) this.#soonest(fireAt);
    return live;
  }

  /** Of unchanged tasks too: a claim may just have passed over one because it was locked here. */
  #hint(task: Task): void {
    if (task.jobQueue !== null && task.workerId === null) {
      if (task.runAt <= this.#context.now) push(this.hints.queues, task.jobQueue);
      else this.#soonest(task.runAt);
    }
    if (hasEnded(task) && this.#changed.has(task.id)) this.hints.ended.push(task.id);
  }

  #soonest(date: Date): void {
    if (this.hints.timer === null || date < this.hints.timer) this.hints.timer = date;
  }

  #know(task: Task): void {
    if (this.#tasks.has(task.id)) return;
    this.#tasks.set(task.id, task);
    if (task.parentId === null) return;
    const siblings = this.#childrenOf.get(task.parentId);
    if (siblings === undefined) this.#childrenOf.set(task.parentId, new Map([[task.order, task.id]]));
    else siblings.set(task.order, task.id);
  }

  #change(task: Task, changes: Partial<Task>, effects: Effect[]): void {
    // A slot that is freed lets another task of the queue start.
    if (task.slot && changes.slot === false) push(this.hints.queues, task.queue);
    if (Object.keys(changes).length > 0) {
      this.#tasks.set(task.id, { ...task, ...changes, modifiedDate: this.#context.now });
      if (!this.#changed.has(task.id)) this.#changed.set(task.id, task);
    }
    for (const effect of effects) this.#pending.push(effect);
  }

  /** Loads what the effects of a round need, in at most two statements. */
  async #fetch(effects: readonly Effect[]): Promise<void> {
    const missing = new Set<string>();
    const queries: Parameters<EngineTransaction['children']>[0][number][] = [];
    for (const effect of effects) {
      if (effect.effect === 'event' && !this.#tasks.has(effect.taskId)) missing.add(effect.taskId);
      // The children of a task that is new in this unit are all here.
      if (effect.effect === 'child' && !this.#inserted.has(effect.parentId)) {
        if (this.#child(effect.parentId, effect.order) === undefined)
          queries.push({ parentId: effect.parentId, match: { order: effect.order } });
      }
      if (effect.effect === 'children' && !this.#inserted.has(effect.parentId))
        queries.push({ parentId: effect.parentId, match: { statuses: effect.statuses } });
    }
    for (const effect of effects)
      if (effect.effect === 'insert') for (const { id } of effect.tasks) missing.delete(id);
    if (missing.size > 0) for (const task of await this.#transaction.load([...missing])) this.#know(task);
    if (queries.length > 0) for (const task of await this.#transaction.children(queries)) this.#know(task);
  }

  #child(parentId: string, order: number): Task | undefined {
    const id = this.#childrenOf.get(parentId)?.get(order);
    return id === undefined ? undefined : this.#tasks.get(id);
  }

  #effect(effect: Effect): void {
    switch (effect.effect) {
      case 'event':
        this.apply(effect.taskId, effect.event);
        break;
      case 'child': {
        const child = this.#child(effect.parentId, effect.order);
        if (child === undefined)
          throw new Error(`task ${effect.parentId} has no child with the order ${effect.order}`);
        this.apply(child.id, effect.event);
        break;
      }
      case 'children':
        for (const id of [...(this.#childrenOf.get(effect.parentId)?.values() ?? [])])
          if (effect.statuses.includes(this.#tasks.get(id)!.status)) this.apply(id, effect.event);
        break;
      case 'insert':
        this.insert(effect.tasks);
        break;
      case 'message':
        this.#messages.push(effect.message);
        push(this.hints.peers, effect.message.peerId);
        break;
      case 'withdraw':
        this.#withdrawn.push(effect.taskId);
        break;
      case 'timer': {
        const { taskId, kind, fireAt, epoch } = effect;
        const timers = this.#timers.get(taskId) ?? [];
        this.#timers.set(taskId, [...timers, { taskId, kind, fireAt, epoch }]);
        break;
      }
      case 'clear_timers':
        this.#clearTimers(effect);
        break;
      case 'abort':
        this.hints.aborts.push(effect.taskId);
        break;
    }
  }

  #clearTimers(effect: Extract<Effect, { effect: 'clear_timers' }>): void {
    const { taskId, kinds } = effect;
    const timers = this.#timers.get(taskId);
    if (kinds === 'all') this.#timers.delete(taskId);
    else if (timers !== undefined)
      this.#timers.set(
        taskId,
        timers.filter(({ kind }) => !kinds.includes(kind)),
      );
    if (!this.#inserted.has(taskId) && mayHaveTimers(this.#tasks.get(taskId)!)) this.#clears.push(effect);
  }
}

/** What timers are set for; most tasks have none, and are spared the statement that removes them. */
function mayHaveTimers({ expirationDate, pingbackDate, quorum, epoch }: Task): boolean {
  return expirationDate !== null || pingbackDate !== null || quorum !== null || epoch > 0;
}

function push(list: string[], item: string): void {
  if (!list.includes(item)) list.push(item);
}

function refused(code: 'task_not_found' | 'fenced', data: Record<string, unknown>): Outcome {
  const failure: Failure = new ConclaveError(code, data).toFailure();
  return { outcome: 'refused', failure };
}
