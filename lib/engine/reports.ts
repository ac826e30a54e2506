/**
 * What a worker reports of the tasks that it holds: their ends, and meanwhile their progress. Every report names the
 * claim; one of a claim that does not hold any more is refused, and with it whatever the handler wrote (D13, D14).
 */
import { Batcher } from '../batcher.ts';
import { ConclaveError, type Failure, reasonOf } from '../errors.ts';
import type { Json } from '../json.ts';
import type { Applier } from './applier.ts';
import type { Chance } from './chance.ts';
import type { Clock } from './clock.ts';
import type { HandlerLog } from './context.ts';
import type { Event } from './events.ts';
import type { Executed } from './execution.ts';
import type { Task } from './model.ts';
import type { EngineStore, Hints, OpenTransaction, ProgressReport } from './store.ts';

export interface ReportsOptions {
  store: EngineStore;
  applier: Applier;
  clock: Clock;
  chance: Chance;
  log: HandlerLog;
  node: { name: string };
  committed(hints: Hints): void;
}

/** Between two reports of one task's progress, in milliseconds; of one that a peer sent, and is told of, longer. */
const PROGRESS_PAUSE = 500;
const TOLD_PROGRESS_PAUSE = 2000;
const LONGEST_PAUSE = 2000;
/** How often an end is reported that the database does not take, before the job counts as failed. */
const REFUSALS = 3;

export class Reports {
  readonly #options: ReportsOptions;
  readonly #progress: Batcher<ProgressReport, boolean>;

  constructor(options: ReportsOptions) {
    this.#options = options;
    const store = async (reports: ProgressReport[]): Promise<boolean[]> => {
      const written = new Set(await options.store.reportProgress(reports));
      return reports.map(({ id }) => written.has(id));
    };
    this.#progress = new Batcher(store, {
      max: 500,
      parallel: 1,
      soon: (call) => options.clock.soon(call),
    });
  }

  /** Reports the end of a job. A database that is away does not cost the work that was done. Never rejects. */
  async ended(task: Task, executed: Executed, signal: AbortSignal, log: HandlerLog): Promise<void> {
    const { event, transaction, interruption } = executed;
    if (interruption !== undefined) return this.#interrupted(task, interruption, signal, log);
    if (transaction !== undefined) return this.#endedWithin(task, event, transaction, signal, log);
    await this.apply(task, event, signal, log);
  }

  /** Applies an event under the task's claim, however long the database is away; gives up when `signal` is aborted. */
  async apply(task: Task, event: Event, signal: AbortSignal, log: HandlerLog): Promise<void> {
    for (let attempt = 1, refused = 0; ; attempt += 1) {
      try {
        const outcome = await this.#options.applier.apply(inputOf(task, event));
        if (outcome.outcome !== 'applied')
          log.warn({ event: 'job_end_refused', outcome }, 'the end of a job was not accepted');
        return;
      } catch (thrown) {
        log.warn(
          { event: 'job_end_unwritten', reason: reasonOf(thrown), attempt },
          'the end of a job could not be written',
        );
        if (!isUnavailable(thrown)) refused += 1;
        if (refused >= REFUSALS) return this.#unwritable(task, event, thrown, log);
        if (signal.aborted) return;
        await this.#pause(Math.min(LONGEST_PAUSE, 50 * 2 ** attempt), signal);
      }
    }
  }

  /** A handler's `ctx.progress`: the latest state, not too often. */
  progressOf(task: Task): (state: Json) => void {
    const { clock, log } = this.#options;
    const told = task.isReceived && task.metadata.unnamed !== true;
    let latest: Json | undefined;
    let pausing = false;
    const send = (): void => {
      pausing = latest !== undefined;
      if (latest === undefined) return;
      const state = latest;
      latest = undefined;
      this.#send(task, state, told)
        .then((written) => {
          // The task was locked for a moment.
          if (!written) latest ??= state;
        })
        .catch((thrown) =>
          log.debug(
            { event: 'progress_unwritten', reason: reasonOf(thrown) },
            'progress could not be written',
          ),
        )
        .finally(() => clock.after(told ? TOLD_PROGRESS_PAUSE : PROGRESS_PAUSE, send));
    };
    return (state) => {
      latest = state;
      if (!pausing) send();
    };
  }

  async #send(task: Task, state: Json, told: boolean): Promise<boolean> {
    if (told) {
      await this.#options.applier.apply(inputOf(task, { type: 'progress', state }));
      return true;
    }
    const { id, workerId, fence } = task;
    const written = await this.#progress.add({ id, workerId: workerId!, fence, progress: state });
    return written || (await this.#isOver(task));
  }

  async #isOver(task: Task): Promise<boolean> {
    const now = await this.#options.store.task(task.id);
    return now?.workerId !== task.workerId || now?.fence !== task.fence;
  }

  async #endedWithin(
    task: Task,
    event: Event,
    transaction: OpenTransaction<unknown>,
    signal: AbortSignal,
    log: HandlerLog,
  ): Promise<void> {
    const { applier, committed, store, node } = this.#options;
    try {
      const { results, hints } = await applier.applyWithin(transaction.engine, [inputOf(task, event)]);
      if (results[0]!.outcome !== 'applied') {
        await transaction.rollback();
        log.warn(
          { event: 'job_end_refused', outcome: results[0] },
          'the end of a job was not accepted; its transaction is rolled back',
        );
        return;
      }
      await transaction.commit();
      committed(hints);
    } catch (thrown) {
      await transaction.rollback();
      // What the handler wrote is gone with its transaction: only running it again can repeat that.
      if (store.isPassing(thrown)) return this.#interrupted(task, reasonOf(thrown), signal, log);
      const message = `the handler's transaction failed: ${reasonOf(thrown)}`;
      const failure: Failure = { code: 'handler_error', message, node: node.name };
      log.warn({ event: 'handler_failed', failure }, 'a handler failed');
      const failed = {
        type: 'handler_failed',
        failure,
        final: false,
        chance: this.#options.chance.random(),
      } as const;
      await this.apply(task, failed, signal, log);
    }
  }

  /** The job is offered again, a little later; if that goes on, it ends in an error. */
  async #interrupted(task: Task, reason: string, signal: AbortSignal, log: HandlerLog): Promise<void> {
    log.warn({ event: 'job_interrupted', reason }, 'a job was interrupted; it is done again');
    const { workerId, fence } = task;
    const event = { type: 'worker_lost', workerId: workerId!, fence, graceful: false, reason } as const;
    await this.apply(task, event, signal, log);
  }

  /** The database does not take this end (a text that it cannot store, say), and will not take it later. */
  async #unwritable(task: Task, event: Event, thrown: unknown, log: HandlerLog): Promise<void> {
    if (event.type === 'worker_lost') return;
    const message = `the end of the job could not be written: ${reasonOf(thrown).slice(0, 1000)}`;
    const failure: Failure = { code: 'handler_error', message, node: this.#options.node.name };
    const failed = { type: 'handler_failed', failure, final: true, chance: 0 } as const;
    try {
      await this.#options.applier.apply(inputOf(task, failed));
    } catch (again) {
      // The lease's keeper finds that nobody works on the task, and offers it again.
      log.error({ event: 'job_end_lost', reason: reasonOf(again) }, 'nor could its failure');
    }
  }

  #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.#options.clock.after(milliseconds, done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

function isUnavailable(thrown: unknown): boolean {
  return thrown instanceof ConclaveError && thrown.code === 'database_unavailable';
}

function inputOf(task: Task, event: Event) {
  const claim = { workerId: task.workerId!, fence: task.fence };
  return { kind: 'event', taskId: task.id, event, claim, claimed: task } as const;
}
