/**
 * The engine: what workflow authors, the federation and the command line call. Composes the applier, the worker and
 * the pulse over one store; holds no state of its own that matters (D10).
 */
import { ConclaveError, ERROR_CODES, type ErrorCode, type Failure, reasonOf } from '../errors.ts';
import type { Json } from '../json.ts';
import { Applier } from './applier.ts';
import { type Chance, systemChance } from './chance.ts';
import { type Clock, systemClock } from './clock.ts';
import type { HandlerLog } from './context.ts';
import { DEFAULT_QUEUE, type QueueOptions, type Registry } from './definitions.ts';
import type { Event, Outcome } from './events.ts';
import { hasEnded, INTERNAL_QUEUE, type IncomingMessage, type Receipt, type Task } from './model.ts';
import { Pulse } from './pulse.ts';
import type { EngineStore, Hints } from './store.ts';
import { type Resolver, resolve, type TreeNode } from './tree.ts';
import { type Why, why } from './why.ts';
import { Worker } from './worker.ts';

/** The peers as the engine needs them; the federation keeps them. */
export interface PeerLookup {
  /** Null: this node itself; undefined: unknown. */
  idByUrl(url: string): string | null | undefined;
  dialect(peerId: string): 'unknown' | 'conclave' | 'frestq';
}

export interface EngineOptions {
  store: EngineStore;
  registry: Registry;
  peers: PeerLookup;
  node: { name: string; url: string };
  log: HandlerLog;
  clock?: Clock;
  chance?: Chance;
  queues?: Readonly<Record<string, QueueOptions>>;
  /** Handlers at a time in this process. Default 500, as many as one claim takes; queues have limits of their own. */
  capacity?: number;
  /** How long a dead worker's tasks wait, in seconds (D13). Default 5. */
  leaseSeconds?: number;
  /** In seconds (FQ-S5). Default 60. */
  reservationTimeout?: number;
  workerName?: string;
  isDeadWorker?(name: string): boolean;
  fetchAsyncData?(task: Task, signal: AbortSignal): Promise<Map<string, string>>;
  /** The outbox has messages for these peers. */
  onOutgoing?(peerIds: readonly string[]): void;
  /** These tasks have ended: a hint, after the commit. */
  onEnded?(taskIds: readonly string[]): void;
  /** Whether this process executes jobs. Default true. */
  works?: boolean;
}

/** What operators change together with rows of their own: an approval and its entry in the audit trail (D24). */
export interface ChangesTogether {
  /** The store's handle; with PostgreSQL, a knex transaction. */
  readonly handle: unknown;
  /** As `Engine.finishExternal`. */
  finishExternal(taskId: string, data: Json): Promise<void>;
  /** As `Engine.cancel`. */
  cancel(taskId: string, reason: string): Promise<void>;
}

/** How long an operator waits for handlers that hold all transactions. */
const TURN_MILLISECONDS = 20_000;

/** Hints get lost only with a connection; then all waiters look. This is for what is not foreseen. */
const ENDED_POLL = 1000;
const CREATE_ATTEMPTS = 5;

export class Engine {
  readonly store: EngineStore;
  readonly registry: Registry;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #applier: Applier;
  readonly #worker: Worker;
  readonly #pulse: Pulse;
  readonly #resolver: Resolver;
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #notices = new Set<Promise<void>>();
  #listening: { close(): Promise<void> } | null = null;

  constructor(options: EngineOptions) {
    const { store, registry, node, peers, log, queues = {} } = options;
    const { clock = systemClock, chance = systemChance } = options;
    this.#options = options;
    this.store = store;
    this.registry = registry;
    this.#clock = clock;
    this.#resolver = {
      ownUrl: node.url,
      peerIdOf: (url) => (url === node.url ? null : peers.idByUrl(url)),
      isDefined: (queue, action) => registry.task(queue, action) !== undefined,
      slotsOf: (queue) => (queues[queue] ?? DEFAULT_QUEUE).maxThreads,
      isContainerHandler: (name) => registry.container(name) !== undefined,
      newId: chance.newId,
    };
    const { reservationTimeout = 60 } = options;
    this.#applier = new Applier({
      store,
      registry,
      clock,
      context: { node, newId: chance.newId, dialect: (id) => peers.dialect(id), reservationTimeout },
      room: async (queue) => {
        const most = queues[queue]?.maxWaiting;
        return most === undefined ? Number.POSITIVE_INFINITY : most - (await store.waiting(queue, most));
      },
      committed: (hints) => this.#committed(hints),
    });
    this.#worker = new Worker({
      store,
      applier: this.#applier,
      registry,
      resolver: this.#resolver,
      clock,
      chance,
      log,
      node,
      name: options.workerName ?? node.name,
      queues,
      capacity: options.capacity ?? 500,
      leaseSeconds: options.leaseSeconds ?? 5,
      fetchAsyncData: options.fetchAsyncData ?? refuseAsyncData,
      isDead: options.isDeadWorker ?? (() => false),
      committed: (hints) => this.#committed(hints),
    });
    const poll = () => this.#worker.poll();
    this.#pulse = new Pulse({ store, applier: this.#applier, clock, log, poll });
  }

  async start(): Promise<void> {
    this.#listening = this.store.listen(
      (hints) => this.#heard(hints),
      () => this.#missed(),
    );
    if (this.#options.works === false) return;
    await this.#worker.start();
    this.#pulse.start();
  }

  /** Stops claiming, lets handlers end for so long, and gives the rest back. Nothing is lost either way. */
  async stop(graceSeconds = 10): Promise<void> {
    if (this.#options.works !== false) {
      await this.#pulse.stop();
      await this.#worker.stop(graceSeconds);
    }
    await this.#applier.idle();
    await this.#listening?.close();
    await Promise.all(this.#notices);
  }

  /** How many jobs this process executes now. */
  get busy(): number {
    return this.#worker.busy;
  }

  /**
   * Creates and starts a task tree; it is durable when the promise resolves.
   * @returns the id of its root
   * @throws ConclaveError `invalid_tree`, `unknown_peer`
   */
  async create(tree: TreeNode, options: { trace?: string } = {}): Promise<string> {
    const node = resolve(tree, this.#resolver);
    // Its ids are fixed: asking once more for what may have been committed makes no second tree.
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#applier.apply({ kind: 'create', node, ...options, repeated: attempt > 1 });
        return node.id;
      } catch (thrown) {
        const away = thrown instanceof ConclaveError && thrown.code === 'database_unavailable';
        if (!away || attempt === CREATE_ATTEMPTS) throw thrown;
        await new Promise<void>((resume) => this.#clock.after(100 * 2 ** attempt, resume));
      }
    }
  }

  /** Appends subtasks to a running task (FQ-T7). */
  async add(taskId: string, trees: readonly TreeNode[]): Promise<void> {
    const nodes = trees.map((tree) => resolve(tree, this.#resolver));
    await this.#demand(taskId, { type: 'add', nodes });
  }

  /** Ends an external task with data (FQ-T5, FQ-C8). @throws ConclaveError `not_external`, `task_ended`, … */
  async finishExternal(taskId: string, data: Json): Promise<void> {
    await this.#demand(taskId, { type: 'finish_external', data });
  }

  /** Ends a task and everything below it, here and at peers (D17). */
  async cancel(taskId: string, reason: string): Promise<void> {
    await this.#demand(taskId, this.#cancellation(reason));
  }

  #cancellation(reason: string): Event {
    return {
      type: 'cancel',
      failure: new ConclaveError('cancelled', { reason }).toFailure(this.#options.node.name),
    };
  }

  /** Runs `work` in one transaction: what it writes with the handle and what it changes of tasks commit together. */
  async together<T>(work: (changes: ChangesTogether) => Promise<T>): Promise<T> {
    const transaction = await this.store.begin(AbortSignal.timeout(TURN_MILLISECONDS));
    const committed: Hints[] = [];
    const demand = async (taskId: string, event: Event): Promise<void> => {
      const { engine } = transaction;
      const { results, hints } = await this.#applier.applyWithin(engine, [{ kind: 'event', taskId, event }]);
      this.#refuse(taskId, event, results[0] as Outcome, await transaction.task(taskId));
      committed.push(hints);
    };
    try {
      const result = await work({
        handle: transaction.handle,
        finishExternal: (taskId, data) => demand(taskId, { type: 'finish_external', data }),
        cancel: (taskId, reason) => demand(taskId, this.#cancellation(reason)),
      });
      await transaction.commit();
      for (const hints of committed) this.#committed(hints);
      return result;
    } catch (thrown) {
      await transaction.rollback();
      throw thrown;
    }
  }

  /** Messages of peers, authenticated and parsed (FQ-P*). They are durable and applied when the promise resolves. */
  receive(messages: readonly IncomingMessage[]): Promise<Receipt[]> {
    return this.#applier.receive(messages);
  }

  /** The sender gave these messages up: they are dead, and their tasks fail (D21). */
  async undeliverable(
    items: readonly { messageId: string; taskId: string | null; failure: Failure }[],
  ): Promise<void> {
    await Promise.all(items.map((item) => this.#applier.apply({ kind: 'undeliverable', ...item })));
  }

  /**
   * Waits until a task has ended, whoever ends it.
   * @throws ConclaveError `task_not_found`; the signal's reason when it is aborted
   */
  async ended(taskId: string, signal?: AbortSignal): Promise<Task> {
    for (;;) {
      signal?.throwIfAborted();
      const wake = this.#nextEnd(taskId, signal);
      try {
        const task = await this.#look(taskId);
        if (task === undefined) throw new ConclaveError('task_not_found', { taskId });
        if (task !== 'unknown' && hasEnded(task)) return task;
        await wake.promise;
      } finally {
        wake.forget();
      }
    }
  }

  /** While the database is away nobody knows; who waits goes on waiting. */
  async #look(taskId: string): Promise<Task | undefined | 'unknown'> {
    try {
      return await this.store.task(taskId);
    } catch (thrown) {
      if (!this.store.isPassing(thrown)) throw thrown;
      return 'unknown';
    }
  }

  /**
   * Why a task waits: who or what is awaited, since when, what was tried, what comes next (D18).
   * @throws ConclaveError `task_not_found`, `database_unavailable`
   */
  async why(taskId: string): Promise<Why> {
    const { queues = {} } = this.#options;
    const slotsOf = (queue: string): number | null =>
      queue === INTERNAL_QUEUE || this.registry.hasQueue(queue)
        ? (queues[queue] ?? DEFAULT_QUEUE).maxThreads
        : null;
    const loaded = this.store.whyFacts(taskId, this.#clock.now(), slotsOf);
    const [first, ...below] = await loaded.catch((cause: unknown) => {
      throw this.store.isPassing(cause) ? new ConclaveError('database_unavailable', {}, { cause }) : cause;
    });
    if (first === undefined) throw new ConclaveError('task_not_found', { taskId });
    const repeats = (task: Task): boolean => this.registry.facts(task)?.idempotent === true;
    return why([first, ...below], { node: this.#options.node, repeats });
  }

  /** Hints of this process's outbox sender and of tests: looks for work now. */
  async poll(): Promise<void> {
    await this.#worker.poll();
  }

  async #demand(taskId: string, event: Event): Promise<void> {
    const outcome: Outcome = await this.#applier.apply({ kind: 'event', taskId, event });
    if (outcome.outcome === 'applied') return;
    this.#refuse(taskId, event, outcome, await this.store.task(taskId));
  }

  /** @throws ConclaveError that says why an event was not applied */
  #refuse(taskId: string, event: Event, outcome: Outcome, task: Task | undefined): void {
    if (outcome.outcome === 'applied') return;
    if (task === undefined) throw new ConclaveError('task_not_found', { taskId });
    if (event.type === 'finish_external' && task.type !== 'external')
      throw new ConclaveError('not_external', { taskId });
    if (hasEnded(task)) throw new ConclaveError('task_ended', { taskId, status: task.status });
    if (outcome.outcome === 'ignored')
      throw new ConclaveError('task_not_waiting', { taskId, status: task.status });
    const { code, message } = outcome.failure;
    throw code in ERROR_CODES
      ? new ConclaveError(code as ErrorCode, { taskId, status: task.status, reason: message })
      : new ConclaveError('task_failed', { reason: message });
  }

  #committed(hints: Hints): void {
    this.#heard(hints);
    const { log } = this.#options;
    if (hints.queues.length + hints.peers.length + hints.ended.length + hints.aborts.length === 0) return;
    const notice = this.store
      .notify(hints)
      .catch((thrown) =>
        log.debug(
          { event: 'notify_failed', reason: reasonOf(thrown) },
          'other processes could not be notified',
        ),
      )
      .finally(() => this.#notices.delete(notice));
    this.#notices.add(notice);
  }

  /** Hints of other processes may have got lost: everybody looks. */
  #missed(): void {
    const { log } = this.#options;
    for (const waiters of this.#waiters.values()) for (const wake of waiters) wake();
    this.#worker
      .poll()
      .catch((thrown) =>
        log.debug({ event: 'jobs_unread', reason: reasonOf(thrown) }, 'jobs could not be looked for'),
      );
  }

  #heard({ queues, peers, ended, aborts, timer }: Hints): void {
    this.#worker.poke(queues);
    this.#worker.abort(aborts);
    if (peers.length > 0) this.#options.onOutgoing?.(peers);
    if (timer !== null) this.#pulse.due(timer);
    if (ended.length === 0) return;
    for (const id of ended) for (const wake of this.#waiters.get(id) ?? []) wake();
    this.#options.onEnded?.(ended);
  }

  #nextEnd(taskId: string, signal: AbortSignal | undefined): { promise: Promise<void>; forget: () => void } {
    const waiters = this.#waiters.get(taskId) ?? new Set();
    this.#waiters.set(taskId, waiters);
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const cancel = this.#clock.after(ENDED_POLL, wake);
    waiters.add(wake);
    signal?.addEventListener('abort', wake);
    const forget = (): void => {
      cancel();
      signal?.removeEventListener('abort', wake);
      waiters.delete(wake);
      if (waiters.size === 0 && this.#waiters.get(taskId) === waiters) this.#waiters.delete(taskId);
    };
    return { promise, forget };
  }
}

async function refuseAsyncData(task: Task): Promise<Map<string, string>> {
  const name = Object.keys(task.asyncData ?? {})[0];
  throw new ConclaveError('async_data_failed', { name, reason: 'this process fetches no bulk data' });
}
