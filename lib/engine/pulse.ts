/**
 * The engine's sense of time: fires due timers, and looks for delayed and overlooked jobs. Sleeps until the soonest of
 * them, and never longer than a second, because hints of other processes can get lost.
 */
import { reasonOf } from '../errors.ts';
import type { Applier } from './applier.ts';
import type { Clock } from './clock.ts';
import type { HandlerLog } from './context.ts';
import type { EngineStore } from './store.ts';

const LONGEST_PAUSE = 1000;
const BATCH = 500;

export interface PulseOptions {
  store: EngineStore;
  applier: Applier;
  clock: Clock;
  log: HandlerLog;
  /** Looks for ready jobs. */
  poll(): Promise<void>;
}

export class Pulse {
  readonly #options: PulseOptions;
  #cancel: () => void = () => {};
  #wakeAt = Number.POSITIVE_INFINITY;
  #beating: Promise<void> | undefined;
  #stopped = false;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  start(): void {
    this.#sleepUntil(this.#options.clock.now());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#beating;
  }

  /** Something will be due at that time. */
  due(date: Date): void {
    if (date.getTime() < this.#wakeAt && this.#beating === undefined) this.#sleepUntil(date);
  }

  #sleepUntil(date: Date): void {
    if (this.#stopped) return;
    this.#cancel();
    const pause = Math.min(LONGEST_PAUSE, Math.max(0, date.getTime() - this.#options.clock.now().getTime()));
    this.#wakeAt = this.#options.clock.now().getTime() + pause;
    this.#cancel = this.#options.clock.after(pause, () => {
      this.#beating = this.#beat().then((next) => {
        this.#beating = undefined;
        this.#sleepUntil(next);
      });
    });
  }

  /** Answers when the next beat is due. */
  async #beat(): Promise<Date> {
    const { store, applier, clock, log, poll } = this.#options;
    const later = new Date(clock.now().getTime() + LONGEST_PAUSE);
    try {
      const timers = await store.dueTimers(clock.now(), BATCH);
      await Promise.all(timers.map((timer) => applier.apply({ kind: 'timer', timer })));
      await poll();
      return (await store.nextDue(clock.now())) ?? later;
    } catch (thrown) {
      log.warn(
        { reason: reasonOf(thrown) },
        'timers could not be looked at; they are tried again in a second',
      );
      return later;
    }
  }
}
