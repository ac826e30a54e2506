/**
 * A worker: claims ready jobs of its queues, has them executed, and reports their end under the fencing token of the
 * claim (D13).
 *
 *     ready job ──claim──▶ held (lease, fence f) ──execute──▶ report with f ──▶ next state
 *                             │ lease lapses, task cancelled: fence or holder changes
 *                             ▼
 *                     signal aborted; a report with f is refused, and nothing of it was committed
 *
 * The lease is the process's, not the task's: one row is renewed however many jobs it executes.
 */
import { randomUUID } from 'node:crypto';
import { Batcher } from '../batcher.ts';
import { reasonOf } from '../errors.ts';
import type { Applier } from './applier.ts';
import type { Clock } from './clock.ts';
import type { HandlerLog } from './context.ts';
import { DEFAULT_QUEUE, type QueueOptions, type Registry } from './definitions.ts';
import { type Executed, type ExecutionParts, execute } from './execution.ts';
import { INTERNAL_QUEUE, type Json, type Task } from './model.ts';
import type { EngineStore, Hints } from './store.ts';
import type { Resolver } from './tree.ts';

export interface WorkerOptions {
  store: EngineStore;
  applier: Applier;
  registry: Registry;
  resolver: Resolver;
  clock: Clock;
  log: HandlerLog;
  node: { name: string; url: string };
  /** Tells this process from others, for operators; see `isDead`. */
  name: string;
  queues: Readonly<Record<string, QueueOptions>>;
  /** How many jobs this process executes at a time. */
  capacity: number;
  leaseSeconds: number;
  fetchAsyncData: ExecutionParts['fetchAsyncData'];
  /** Whether a worker of that name is known to be dead, so that its lease need not be waited for. */
  isDead(name: string): boolean;
  committed(hints: Hints): void;
}

interface Held {
  task: Task;
  abort: AbortController;
  done: Promise<void>;
}

const CLAIM_LIMIT = 500;
const PROGRESS_PAUSE = 500;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #held = new Map<string, Held>();
  readonly #wanted = new Set<string>();
  readonly #progress: Batcher<{ taskId: string; workerId: string; fence: number; progress: Json }, void>;
  #id = randomUUID();
  #claiming: Promise<void> | undefined;
  #renewing: Promise<void> | undefined;
  #cancelRenewal: () => void = () => {};
  #started = false;
  #stopping = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#progress = new Batcher(
      async (reports) => {
        await options.store.reportProgress(reports);
        return reports.map(() => undefined);
      },
      { max: 500, parallel: 1 },
    );
  }

  get #queues(): string[] {
    return [...this.#options.registry.queues, INTERNAL_QUEUE];
  }

  async start(): Promise<void> {
    const { store, name, leaseSeconds, isDead } = this.#options;
    for (const worker of await store.workers()) if (isDead(worker.name)) await store.removeWorker(worker.id);
    await store.registerWorker(this.#id, name, leaseSeconds);
    await this.#takeOver();
    this.#started = true;
    this.#scheduleRenewal();
    await this.poll();
  }

  /** No further claims; handlers under way may end within `graceSeconds`, then their tasks are given back. */
  async stop(graceSeconds: number): Promise<void> {
    this.#stopping = true;
    this.#cancelRenewal();
    await this.#claiming;
    await this.#renewing;
    const cancel = this.#options.clock.after(graceSeconds * 1000, () => {
      for (const { abort } of this.#held.values()) abort.abort(new Error('the node stops'));
    });
    await Promise.all([...this.#held.values()].map(({ done }) => done));
    cancel();
    await this.#options.store.removeWorker(this.#id);
  }

  /** How many jobs are being executed. */
  get busy(): number {
    return this.#held.size;
  }

  /** Jobs of these queues may be ready. */
  poke(queues: readonly string[]): void {
    if (!this.#started || this.#stopping) return;
    const own = this.#queues;
    for (const queue of queues) if (own.includes(queue)) this.#wanted.add(queue);
    if (this.#wanted.size > 0) this.#claiming ??= this.#claimAll().finally(() => this.#afterClaims());
  }

  /** Looks at all queues: for what no hint told of, and for older trees that wait for a slot (wound–wait). */
  async poll(): Promise<void> {
    if (!this.#started || this.#stopping) return;
    const { store, clock } = this.#options;
    const ready = await store.ready(this.#queues, clock.now());
    for (const queue of ready) await this.#wound(queue);
    this.poke(ready);
  }

  abort(taskIds: readonly string[]): void {
    for (const id of taskIds) this.#held.get(id)?.abort.abort(new Error('the task was ended from outside'));
  }

  #afterClaims(): void {
    this.#claiming = undefined;
    if (this.#wanted.size > 0) this.poke([]);
  }

  async #claimAll(): Promise<void> {
    while (this.#wanted.size > 0 && !this.#stopping) {
      const [queue] = this.#wanted as Iterable<string> as [string];
      const limit = Math.min(CLAIM_LIMIT, this.#options.capacity - this.#held.size);
      // Whoever frees capacity pokes again.
      if (limit <= 0) return;
      this.#wanted.delete(queue);
      const claimed = await this.#claim(queue, limit);
      if (claimed === limit) this.#wanted.add(queue);
    }
  }

  async #claim(queue: string, limit: number): Promise<number> {
    const { store, clock, queues, log } = this.#options;
    const { maxThreads: slots } = queues[queue] ?? DEFAULT_QUEUE;
    try {
      const tasks = await store.claim({ queue, workerId: this.#id, slots, limit, now: clock.now() });
      for (const task of tasks) this.#hold(task);
      return tasks.length;
    } catch (thrown) {
      log.warn({ queue, reason: reasonOf(thrown) }, 'claiming failed; it is tried again within a second');
      return 0;
    }
  }

  #hold(task: Task): void {
    const abort = new AbortController();
    const held: Held = { task, abort, done: Promise.resolve() };
    this.#held.set(task.id, held);
    held.done = this.#run(task, abort.signal).finally(() => {
      if (this.#held.get(task.id) === held) this.#held.delete(task.id);
      this.poke([task.jobQueue!]);
    });
  }

  async #run(task: Task, signal: AbortSignal): Promise<void> {
    const { store, registry, resolver, node, clock, fetchAsyncData } = this.#options;
    const log = this.#taskLog(task);
    const executed = await execute({
      task,
      store,
      registry,
      resolver,
      signal,
      log,
      node,
      now: clock.now(),
      fetchAsyncData,
      reportProgress: this.#progressReporter(task),
    });
    if (signal.aborted) await executed.requests.transaction?.rollback();
    if (signal.aborted && !this.#stopping) return;
    if (signal.aborted) return this.#report(task, { ...executed, event: this.#givenBack() }, log);
    if (executed.event.type === 'handler_failed')
      log.warn({ failure: executed.event.failure, attempt: task.attempt + 1 }, 'a handler failed');
    await this.#report(task, executed, log);
  }

  #givenBack(): Executed['event'] {
    return { type: 'worker_lost', workerId: this.#id, graceful: true };
  }

  #taskLog(task: Task): HandlerLog {
    const { log } = this.#options;
    const about = { task: task.id, action: task.action, queue: task.queue, job: task.job };
    return {
      debug: (fields, message) => log.debug({ ...about, ...fields }, message),
      info: (fields, message) => log.info({ ...about, ...fields }, message),
      warn: (fields, message) => log.warn({ ...about, ...fields }, message),
      error: (fields, message) => log.error({ ...about, ...fields }, message),
    };
  }

  /** Reports the end; a database that is away for a moment does not cost the work that was done. */
  async #report(task: Task, executed: Executed, log: HandlerLog): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#reportOnce(task, executed, log);
        return;
      } catch (thrown) {
        const inHandlersTransaction = executed.requests.transaction !== undefined;
        log.warn({ reason: reasonOf(thrown), attempt }, 'the end of a job could not be written');
        // What the handler wrote is gone with its transaction: only running it again can repeat that.
        if (inHandlersTransaction) return this.#reportRolledBack(task, executed, thrown, log);
        if (this.#held.get(task.id)?.abort.signal.aborted === true || attempt >= 10) return;
        await this.#pause(Math.min(2000, 100 * 2 ** attempt));
      }
    }
  }

  async #reportOnce(task: Task, { event, requests }: Executed, log: HandlerLog): Promise<void> {
    const { applier, committed } = this.#options;
    const claim = { workerId: this.#id, fence: task.fence };
    const input = { kind: 'event', taskId: task.id, event, claim } as const;
    const { transaction } = requests;
    if (transaction === undefined) {
      const outcome = await applier.apply(input);
      if (outcome.outcome !== 'applied') log.warn({ outcome }, 'the end of a job was not accepted');
      return;
    }
    const { results, hints } = await applier.applyWithin(transaction.engine, [input]);
    if (results[0]!.outcome !== 'applied') {
      await transaction.rollback();
      log.warn({ outcome: results[0] }, 'the end of a job was not accepted; its transaction was rolled back');
      return;
    }
    await transaction.commit();
    committed(hints);
  }

  async #reportRolledBack(task: Task, executed: Executed, thrown: unknown, log: HandlerLog): Promise<void> {
    await executed.requests.transaction!.rollback().catch(() => {});
    const event = {
      type: 'handler_failed',
      failure: { code: 'handler_error', message: `the handler's transaction failed: ${reasonOf(thrown)}` },
      final: false,
      chance: Math.random(),
    } as const;
    const requests = { ...executed.requests, transaction: undefined };
    await this.#report(task, { event, requests }, log);
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(milliseconds, resolve));
  }

  #progressReporter(task: Task): (state: Json) => void {
    const { clock, log } = this.#options;
    let latest: Json | undefined;
    let pausing = false;
    const send = (): void => {
      if (latest === undefined) {
        pausing = false;
        return;
      }
      const progress = latest;
      latest = undefined;
      pausing = true;
      this.#progress
        .add({ taskId: task.id, workerId: this.#id, fence: task.fence, progress })
        .catch((thrown) => log.debug({ reason: reasonOf(thrown) }, 'progress could not be written'))
        .finally(() => clock.after(PROGRESS_PAUSE, send));
    };
    return (state) => {
      latest = state;
      if (!pausing) send();
    };
  }

  async #wound(queue: string): Promise<void> {
    const { store, applier, clock } = this.#options;
    for (const { id, epoch } of await store.wounded({ queue, now: clock.now() })) {
      const reason = `an older task needs the slot of the queue ${queue}`;
      await applier.apply({ kind: 'event', taskId: id, event: { type: 'release', epoch, reason } });
    }
  }

  #scheduleRenewal(): void {
    const { clock, leaseSeconds } = this.#options;
    this.#cancelRenewal = clock.after((leaseSeconds * 1000) / 3, () => {
      this.#renewing = this.#renew().finally(() => {
        if (!this.#stopping) this.#scheduleRenewal();
      });
    });
  }

  async #renew(): Promise<void> {
    const { store, leaseSeconds, name, log } = this.#options;
    try {
      if (!(await store.renewLease(this.#id, leaseSeconds))) {
        log.warn({ worker: this.#id }, 'the lease had lapsed; others may have taken the tasks over');
        this.abort([...this.#held.keys()]);
        this.#id = randomUUID();
        await store.registerWorker(this.#id, name, leaseSeconds);
      }
      const held = [...this.#held.values()].map(({ task: { id, fence } }) => ({ id, fence }));
      if (held.length > 0) this.abort(await store.lost(this.#id, held));
      await this.#takeOver();
    } catch (thrown) {
      log.warn({ reason: reasonOf(thrown) }, 'the lease could not be renewed');
    }
  }

  /** Offers the tasks of dead workers again (D13). */
  async #takeOver(): Promise<void> {
    const { store, applier, log } = this.#options;
    const orphans = await store.orphans();
    if (orphans.length > 0) log.info({ tasks: orphans.length }, 'taking over the tasks of workers that died');
    await Promise.all(
      orphans.map(({ id, workerId }) =>
        applier.apply({
          kind: 'event',
          taskId: id,
          event: { type: 'worker_lost', workerId: workerId!, graceful: false },
        }),
      ),
    );
  }
}
