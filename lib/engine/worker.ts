/**
 * A worker: claims ready jobs of its queues, has them executed, and reports their end under the fencing token of the
 * claim (D13).
 *
 *     ready job ──claim──▶ held (lease, fence f) ──execute──▶ report with f ──▶ next state
 *                             │ lease lapses, task cancelled: fence or holder changes
 *                             ▼
 *                     signal aborted; a report with f is refused, and nothing of it was committed
 *
 * The lease is the process's, not the task's (`lease.ts`). Jobs whose reports are under way are still held.
 */
import { reasonOf } from '../errors.ts';
import type { Applier } from './applier.ts';
import type { Chance } from './chance.ts';
import type { Clock } from './clock.ts';
import type { HandlerLog } from './context.ts';
import { DEFAULT_QUEUE, type QueueOptions, type Registry } from './definitions.ts';
import { type Executed, type ExecutionParts, execute } from './execution.ts';
import { Lease } from './lease.ts';
import { INTERNAL_QUEUE, type Task } from './model.ts';
import { Reports } from './reports.ts';
import { GIVES_WAY } from './rules/reservations.ts';
import type { EngineStore, Hints, Holding } from './store.ts';
import type { Resolver } from './tree.ts';

export interface WorkerOptions {
  store: EngineStore;
  applier: Applier;
  registry: Registry;
  resolver: Resolver;
  clock: Clock;
  chance: Chance;
  log: HandlerLog;
  node: { name: string; url: string };
  /** Tells this process from others, for operators; see `isDead`. */
  name: string;
  queues: Readonly<Record<string, QueueOptions>>;
  /** How many handlers run in this process at a time. As many ends of jobs again may be on their way to the database. */
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
/** How long handlers have, once the grace is over and their signals are aborted, in milliseconds. */
const LAST_GRACE = 2000;
/** What a handler's signal says when the process stops, rather than the task. */
class Stopping extends Error {}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #lease: Lease;
  readonly #reports: Reports;
  /** By task; and all of them, should one task be claimed again before its last call has returned. */
  readonly #held = new Map<string, Held>();
  readonly #running = new Set<Held>();
  /** Of them, those whose handlers have not returned. */
  #executing = 0;
  readonly #wanted = new Set<string>();
  readonly #queues: ReadonlySet<string>;
  #claiming: Promise<void> | undefined;
  /** A claim begins at the end of this turn of the event loop. */
  #claimsSoon = false;
  #started = false;
  #stopping = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#queues = new Set([...options.registry.queues, INTERNAL_QUEUE]);
    this.#reports = new Reports(options);
    this.#lease = new Lease({
      ...options,
      seconds: options.leaseSeconds,
      held: () => this.#holdings(),
      claimed: async () => this.#claiming,
      lost: (ids) => this.abort(ids),
    });
  }

  async start(): Promise<void> {
    await this.#lease.start();
    this.#started = true;
    await this.poll();
  }

  /**
   * No further claims; handlers under way may end within `graceSeconds`, then they are aborted, and their tasks given
   * back. A handler that does not heed its signal is left behind: what it reports later is refused.
   */
  async stop(graceSeconds: number): Promise<void> {
    if (!this.#started) return;
    this.#stopping = true;
    await this.#claiming;
    if (!(await this.#allDone(graceSeconds * 1000))) {
      for (const { abort } of this.#running) abort.abort(new Stopping('the node stops'));
      if (!(await this.#allDone(LAST_GRACE))) await this.#abandon();
    }
    await this.#lease.stop();
    await this.#lease.remove();
  }

  /** How many jobs are being executed. */
  get busy(): number {
    return this.#running.size;
  }

  /** Jobs of these queues may be ready. */
  poke(queues: readonly string[]): void {
    if (!this.#started || this.#stopping) return;
    for (const queue of queues) if (this.#queues.has(queue)) this.#wanted.add(queue);
    // At capacity, whoever ends its job pokes again.
    if (this.#wanted.size === 0 || this.#room === 0) return;
    if (this.#claimsSoon || this.#claiming !== undefined) return;
    this.#claimsSoon = true;
    // Jobs end in batches: at the end of the turn there is room for another batch, at the first of them for one job.
    this.#options.clock.soon(() => {
      this.#claimsSoon = false;
      if (this.#stopping || this.#claiming !== undefined) return;
      this.#claiming = this.#claimAll().finally(() => {
        this.#claiming = undefined;
        this.poke([]);
      });
    });
  }

  /** Looks at all queues: for what no hint told of, and for older trees that wait for a slot (wound–wait). */
  async poll(): Promise<void> {
    if (!this.#started || this.#stopping) return;
    const { store, clock } = this.#options;
    const ready = await store.ready([...this.#queues], clock.now());
    for (const queue of ready) await this.#wound(queue);
    this.poke(ready);
  }

  abort(taskIds: readonly string[]): void {
    for (const id of taskIds) this.#held.get(id)?.abort.abort(new Error('the task was ended from outside'));
  }

  get #room(): number {
    const { capacity } = this.#options;
    return Math.max(0, Math.min(CLAIM_LIMIT, capacity - this.#executing, 2 * capacity - this.#running.size));
  }

  /** One claim for each queue that is wanted. */
  async #claimAll(): Promise<void> {
    for (const queue of [...this.#wanted]) {
      const limit = this.#room;
      if (limit === 0 || this.#stopping) return;
      this.#wanted.delete(queue);
      if ((await this.#claim(queue, limit)) === limit) this.#wanted.add(queue);
    }
  }

  async #claim(queue: string, limit: number): Promise<number> {
    const { store, clock, log } = this.#options;
    const { workerId } = this.#lease;
    try {
      const slots = this.#slots(queue);
      const tasks = await store.claim({ queue, workerId, slots, limit, now: clock.now() });
      for (const task of tasks) this.#hold(task);
      return tasks.length;
    } catch (thrown) {
      log.warn(
        { event: 'claim_failed', queue, reason: reasonOf(thrown) },
        'claiming failed; it is tried again within a second',
      );
      return 0;
    }
  }

  #slots(queue: string): number {
    return (this.#options.queues[queue] ?? DEFAULT_QUEUE).maxThreads;
  }

  #hold(task: Task): void {
    // The last call has no claim any more; it may not have heard of that yet.
    this.#held.get(task.id)?.abort.abort(new Error('the task was claimed anew'));
    const abort = new AbortController();
    const held: Held = { task, abort, done: Promise.resolve() };
    this.#held.set(task.id, held);
    this.#running.add(held);
    held.done = this.#run(held).finally(() => this.#done(held));
  }

  #done(held: Held): void {
    this.#running.delete(held);
    if (this.#held.get(held.task.id) === held) this.#held.delete(held.task.id);
    this.poke([]);
  }

  /** The next jobs are claimed while the end of this one is on its way; the slots of queues are the database's to count. */
  async #execute(parts: ExecutionParts): Promise<Executed> {
    this.#executing += 1;
    try {
      return await execute(parts);
    } finally {
      this.#executing -= 1;
      this.poke([]);
    }
  }

  async #run({ task, abort: { signal } }: Held): Promise<void> {
    const { store, registry, resolver, node, clock, chance, fetchAsyncData } = this.#options;
    const log = this.#taskLog(task);
    try {
      const reportProgress = this.#reports.progressOf(task);
      const now = clock.now();
      const parts = { task, store, registry, resolver, signal, log, node, now, chance, fetchAsyncData };
      await this.#ended(task, await this.#execute({ ...parts, reportProgress }), signal, log);
    } catch (thrown) {
      log.error(
        { event: 'job_end_lost', reason: reasonOf(thrown) },
        'a job could not be brought to its end; it is offered again',
      );
    }
  }

  async #ended(task: Task, executed: Executed, signal: AbortSignal, log: HandlerLog): Promise<void> {
    const stops = signal.aborted && signal.reason instanceof Stopping;
    if (signal.aborted && !stops) return executed.transaction?.rollback();
    const failed = executed.event.type === 'handler_failed';
    // What threw because the process stops has not failed; what came to its end all the same has.
    if (stops && failed) return this.#giveBack(task, log);
    if (failed && executed.interruption === undefined)
      log.warn(
        { event: 'handler_failed', failure: executed.event, attempt: task.attempt + 1 },
        'a handler failed',
      );
    await this.#reports.ended(task, executed, signal, log);
  }

  #giveBack(task: Task, log: HandlerLog): Promise<void> {
    const { workerId, fence } = task;
    const event = { type: 'worker_lost', workerId: workerId!, fence, graceful: true } as const;
    return this.#reports.apply(task, event, AbortSignal.abort(), log);
  }

  async #allDone(milliseconds: number): Promise<boolean> {
    let cancel = (): void => {};
    const late = new Promise<false>((resolve) => {
      cancel = this.#options.clock.after(milliseconds, () => resolve(false));
    });
    const done = Promise.all([...this.#running].map((held) => held.done)).then(() => true);
    return Promise.race([done, late]).finally(() => cancel());
  }

  async #abandon(): Promise<void> {
    const { log } = this.#options;
    const tasks = [...this.#running].map(({ task }) => task);
    log.warn(
      { event: 'handlers_left_behind', tasks: tasks.map(({ id }) => id) },
      'handlers did not heed their signals; their tasks are given back',
    );
    await Promise.all(tasks.map((task) => this.#giveBack(task, this.#taskLog(task))));
  }

  #holdings(): Holding[] {
    return [...this.#running].map(({ task: { id, workerId, fence } }) => ({
      id,
      workerId: workerId!,
      fence,
    }));
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

  async #wound(queue: string): Promise<void> {
    const { store, applier, clock } = this.#options;
    const request = { queue, slots: this.#slots(queue), now: clock.now() };
    for (const { id, epoch } of await store.wounded(request)) {
      const reason = `${GIVES_WAY} of the queue ${queue}`;
      await applier.apply({ kind: 'event', taskId: id, event: { type: 'release', epoch, reason } });
    }
  }
}
