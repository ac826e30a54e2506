/**
 * Forgets by itself what ended long ago, if the settings say so (`retention_days`): once an hour, in small batches, as
 * `conclave prune` does. Never touches the audit trail, elections and their results. Any number of processes may do it at
 * the same time: batches take turns.
 */
import type { Knex } from 'knex';
import type { Clock } from '../engine/clock.ts';
import { systemClock } from '../engine/clock.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { olderThan, prune } from '../store/retention.ts';

const EVERY_MILLISECONDS = 3600 * 1000;
/** A node that starts has better things to do. */
const FIRST_MILLISECONDS = 60_000;

export interface RetentionOptions {
  readonly db: Knex;
  /** Keep what ended within so many days. */
  readonly days: number;
  readonly log: Log;
  readonly clock?: Clock;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #clock: Clock;
  #cancel: () => void = () => {};
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    this.#in(FIRST_MILLISECONDS);
  }

  /** Resolves when the batch under way is done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#working;
  }

  #in(milliseconds: number): void {
    if (this.#stopped) return;
    this.#cancel = this.#clock.after(milliseconds, () => {
      this.#working = this.#forget().finally(() => this.#in(EVERY_MILLISECONDS));
    });
  }

  async #forget(): Promise<void> {
    const { db, days, log } = this.#options;
    try {
      const pruned = await prune(db, {
        ...olderThan(days, this.#clock.now()),
        goesOn: () => !this.#stopped,
      });
      if (pruned.trees + pruned.messages > 0)
        log.info({ event: 'pruned', ...pruned }, 'what ended long ago was removed');
    } catch (thrown) {
      log.warn(
        { event: 'prune_failed', reason: reasonOf(thrown) },
        'what ended long ago could not be removed; it is tried again in an hour',
      );
    }
  }
}
