/**
 * A worker's lease (D13): one row that is renewed however many tasks the worker holds. At each renewal it also
 * compares what the database says that it holds with what it works on, both ways: tasks that others have taken are
 * let go, and tasks that nobody works on (the answer to a claim or a report got lost) are offered again. And it offers
 * the tasks of workers whose leases lapsed.
 */
import { reasonOf } from '../errors.ts';
import type { Applier } from './applier.ts';
import type { Chance } from './chance.ts';
import type { Clock } from './clock.ts';
import type { HandlerLog } from './context.ts';
import type { EngineStore, Holding } from './store.ts';

export interface LeaseOptions {
  store: EngineStore;
  applier: Applier;
  clock: Clock;
  chance: Chance;
  log: HandlerLog;
  /** Tells this process from others, for operators; see `isDead`. */
  name: string;
  seconds: number;
  /** Whether a worker of that name is known to be dead, so that its lease need not be waited for. */
  isDead(name: string): boolean;
  /** What the worker works on. */
  held(): Holding[];
  /** Resolves when no claim is under way: what the database has given by then is known. */
  claimed(): Promise<void>;
  /** These are not this worker's any more. */
  lost(taskIds: readonly string[]): void;
}

export class Lease {
  readonly #options: LeaseOptions;
  #id: string;
  #renewing: Promise<void> | undefined;
  #cancel: () => void = () => {};
  #stopped = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#id = options.chance.newId();
  }

  /** Under which claims are made. Another one after the lease lapsed. */
  get workerId(): string {
    return this.#id;
  }

  async start(): Promise<void> {
    const { store, name, seconds, isDead } = this.#options;
    for (const worker of await store.workers()) if (isDead(worker.name)) await store.removeWorker(worker.id);
    await store.registerWorker(this.#id, name, seconds);
    await this.#takeOver();
    this.#schedule();
  }

  /** Ends the renewals; the lease itself holds on until `remove`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#renewing;
  }

  /** Whatever is still held is free for others at once. */
  async remove(): Promise<void> {
    const { store, log } = this.#options;
    await store.removeWorker(this.#id).catch((thrown) => {
      log.warn(
        { event: 'lease_not_returned', reason: reasonOf(thrown) },
        'the lease could not be given back; it lapses by itself',
      );
    });
  }

  #schedule(): void {
    const { clock, seconds } = this.#options;
    this.#cancel = clock.after((seconds * 1000) / 3, () => {
      this.#renewing = this.#renew().finally(() => {
        if (!this.#stopped) this.#schedule();
      });
    });
  }

  async #renew(): Promise<void> {
    const { store, seconds, name, log, lost, held } = this.#options;
    try {
      if (!(await store.renewLease(this.#id, seconds))) {
        log.warn(
          { event: 'lease_lapsed', worker: this.#id },
          'the lease had lapsed; others may have taken the tasks over',
        );
        lost(held().map(({ id }) => id));
        this.#id = this.#options.chance.newId();
        await store.registerWorker(this.#id, name, seconds);
      }
      await this.#compare();
      await this.#takeOver();
    } catch (thrown) {
      log.warn({ event: 'lease_not_renewed', reason: reasonOf(thrown) }, 'the lease could not be renewed');
    }
  }

  async #compare(): Promise<void> {
    const { store, claimed, held, lost, log } = this.#options;
    // In this order: what is worked on now and not in the database afterwards is lost, or has ended meanwhile.
    const before = held();
    const rows = await store.heldBy(this.#id);
    const theirs = new Set(rows.map(keyOf));
    lost(before.filter((holding) => !theirs.has(keyOf(holding))).map(({ id }) => id));
    await claimed();
    const known = new Set([...before, ...held()].map(keyOf));
    const strays = rows.filter((row) => !known.has(keyOf(row)));
    if (strays.length === 0) return;
    log.warn(
      { event: 'tasks_offered_again', tasks: strays.length },
      'tasks were held that nobody works on; they are offered again',
    );
    await this.#offer(strays, true);
  }

  async #takeOver(): Promise<void> {
    const { store, log } = this.#options;
    const orphans = await store.orphans();
    if (orphans.length === 0) return;
    log.info(
      { event: 'tasks_taken_over', tasks: orphans.length },
      'taking over the tasks of workers that died',
    );
    await this.#offer(orphans, false);
  }

  async #offer(holdings: readonly Holding[], graceful: boolean): Promise<void> {
    const { applier } = this.#options;
    await Promise.all(
      holdings.map(({ id, workerId, fence }) => {
        const event = { type: 'worker_lost', workerId, fence, graceful } as const;
        return applier.apply({ kind: 'event', taskId: id, event });
      }),
    );
  }
}

function keyOf({ id, workerId, fence }: Holding): string {
  return `${id} ${workerId} ${fence}`;
}
