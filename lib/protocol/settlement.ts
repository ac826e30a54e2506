/**
 * Writing down what became of messages that were sent: delivered, to be tried again, dead. Outcomes that come in
 * while others are being written are written together. A dead message of a task is settled by the engine, in the
 * transaction in which its task fails; the others here.
 */
import { Batcher } from '../batcher.ts';
import type { Clock } from '../engine/clock.ts';
import type { Failure } from '../errors.ts';
import type { Delivered, OutboxMessage, OutboxStore, Retried } from '../store/outbox.ts';
import { backOff, type Outcome } from './delivery.ts';

export interface UndeliverableMessage {
  messageId: string;
  taskId: string;
  failure: Failure;
}

/** The engine's: settles the messages as dead and fails their tasks, in one transaction. */
export type Undeliverable = (items: UndeliverableMessage[]) => Promise<void>;

export interface SettlementOptions {
  store: OutboxStore;
  clock: Clock;
  random: () => number;
  undeliverable: Undeliverable;
}

type Settled = Pick<OutboxMessage, 'sequence' | 'messageId' | 'taskId' | 'attempts'>;

/** `held`: not sent at all, or sent in vain because the peer is down; due again as soon as the peer is up. */
export type Settling = {
  message: Settled;
  outcome: Outcome | { kind: 'held'; error: Failure } | { kind: 'unsupported' };
};

const MAX_BATCH = 1000;

export class Settlement {
  readonly #options: SettlementOptions;
  readonly #batcher: Batcher<Settling, Date | null>;

  constructor(options: SettlementOptions) {
    this.#options = options;
    this.#batcher = new Batcher((items) => this.#write(items), {
      max: MAX_BATCH,
      parallel: 1,
      soon: (call) => options.clock.soon(call),
    });
  }

  /** Resolves when it is written, to the date of the next attempt if there is to be one. */
  settle(settling: Settling): Promise<Date | null> {
    return this.#batcher.add(settling);
  }

  idle(): Promise<void> {
    return this.#batcher.idle();
  }

  async #write(items: Settling[]): Promise<(Date | null)[]> {
    const { store, clock, random } = this.#options;
    const now = clock.now();
    const delivered: Delivered[] = [];
    const retried: Retried[] = [];
    const dead: { message: Settled; status: number | null; error: Failure }[] = [];
    const dates: (Date | null)[] = [];
    for (const { message, outcome } of items) {
      const { sequence, attempts } = message;
      let nextAttempt: Date | null = null;
      if (outcome.kind === 'delivered') {
        delivered.push({ sequence, status: outcome.status, error: outcome.error });
      } else if (outcome.kind === 'unsupported') {
        delivered.push({ sequence, status: null, error: NOT_SUPPORTED });
      } else if (outcome.kind === 'dead') {
        dead.push({ message, status: outcome.status, error: outcome.error });
      } else if (outcome.kind === 'held') {
        nextAttempt = now;
        retried.push({ sequence, attempts, nextAttempt, status: null, error: outcome.error });
      } else {
        const delay = Math.max(backOff(attempts, random()), outcome.afterMilliseconds ?? 0);
        nextAttempt = new Date(now.getTime() + delay);
        retried.push({ sequence, attempts, nextAttempt, status: outcome.status, error: outcome.error });
      }
      dates.push(nextAttempt);
    }
    if (delivered.length > 0) await store.settleDelivered(delivered, now);
    if (retried.length > 0) await store.settleRetried(retried);
    if (dead.length > 0) await this.#bury(dead);
    return dates;
  }

  /** Gives messages up: refused, past their deadline, or to a peer that is gone. */
  async #bury(items: readonly { message: Settled; status: number | null; error: Failure }[]): Promise<void> {
    const { store, clock, undeliverable } = this.#options;
    const rows = items.map(({ message: { sequence }, status, error }) => ({ sequence, status, error }));
    await store.recordRefusals(rows);
    const ofTasks = items.flatMap(({ message: { messageId, taskId }, error: failure }) =>
      taskId === null ? [] : [{ messageId, taskId, failure }],
    );
    if (ofTasks.length > 0) await undeliverable(ofTasks);
    const others = rows.filter((_row, index) => items[index]?.message.taskId === null);
    if (others.length > 0) await store.settleDead(others, clock.now());
  }
}

/** For actions of ours that an original does not know: nobody is to wait for them. */
const NOT_SUPPORTED: Failure = {
  code: 'not_supported',
  message: 'the peer is no Conclave node and does not know this action',
};
