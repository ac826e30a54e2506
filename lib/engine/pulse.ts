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
  #stopped = true;

  constructor(options: PulseOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    this.#sleepUntil(this.#options.clock.now().getTime());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#beating;
  }

  /** Something will be due at that time. */
  due(date: Date): void {
    if (date.getTime() >= this.#wakeAt) return;
    this.#wakeAt = date.getTime();
    // A beat that is under way looks at it when it goes to sleep.
    if (this.#beating === undefined) this.#sleepUntil(this.#wakeAt);
  }

  #sleepUntil(time: number): void {
    this.#cancel();
    if (this.#stopped) return;
    const { clock } = this.#options;
    const pause = Math.min(LONGEST_PAUSE, Math.max(0, time - clock.now().getTime()));
    this.#wakeAt = clock.now().getTime() + pause;
    this.#cancel = clock.after(pause, () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#beating = this.#beat().then((next) => {
        this.#beating = undefined;
        this.#sleepUntil(Math.min(next, this.#wakeAt));
      });
    });
  }

  /** Answers when the next beat is due. Never rejects. */
  async #beat(): Promise<number> {
    const { store, clock, log, poll } = this.#options;
    const later = clock.now().getTime() + LONGEST_PAUSE;
    try {
      const allFired = await this.#fire();
      await poll();
      // A timer that cannot be applied must not keep the others from their turn, nor us from sleeping.
      return allFired ? ((await store.nextDue())?.getTime() ?? later) : later;
    } catch (thrown) {
      const reason = reasonOf(thrown);
      log.warn(
        { event: 'timers_unread', reason },
        'timers could not be looked at; they are tried again in a second',
      );
      return later;
    }
  }

  async #fire(): Promise<boolean> {
    const { store, applier, clock, log } = this.#options;
    const timers = await store.dueTimers(clock.now(), BATCH);
    const fired = await Promise.allSettled(timers.map((timer) => applier.apply({ kind: 'timer', timer })));
    for (const [index, result] of fired.entries())
      if (result.status === 'rejected')
        log.warn(
          { event: 'timer_failed', timer: timers[index], reason: reasonOf(result.reason) },
          'a timer could not be applied; it is tried again in a second',
        );
    return fired.every(({ status }) => status === 'fulfilled');
  }
}
