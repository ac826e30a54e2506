/**
 * Everything that changes a task passes through here, in natural batches: one transaction for all inputs that
 * gathered while the last one was under way (D10, D11).
 *
 * A batch that fails as a whole is applied again input by input, so that one bad input never takes others with it.
 */
import { Batcher } from '../batcher.ts';
import { ConclaveError, ERROR_CODES, type Failure } from '../errors.ts';
import type { Clock } from './clock.ts';
import type { Registry } from './definitions.ts';
import type { Context, Event, Outcome } from './events.ts';
import { queueOf, receive, tasksNamed } from './incoming.ts';
import type { IncomingMessage, Receipt, Task, TimerKind } from './model.ts';
import type { DueTimer, EngineStore, EngineTransaction, Hints, ProcessedMessage } from './store.ts';
import { type ResolvedNode, rows } from './tree.ts';
import { type Claim, UnitOfWork } from './unit-of-work.ts';

export type Input =
  /** `claimed`: the task as its claim was answered; then the event is of that claim. */
  | { kind: 'event'; taskId: string; event: Event; claim?: Claim; claimed?: Task }
  /** `repeated`: it was asked for before, and may have come to be. */
  | { kind: 'create'; node: ResolvedNode; trace?: string; repeated?: boolean }
  | { kind: 'message'; message: IncomingMessage }
  | { kind: 'timer'; timer: DueTimer }
  | { kind: 'undeliverable'; messageId: string; taskId: string | null; failure: Failure };

type Result = Outcome | Receipt;

export interface ApplierOptions {
  store: EngineStore;
  registry: Registry;
  clock: Clock;
  context: Omit<Context, 'now' | 'facts'>;
  /** How many more tasks a queue takes from peers (FQ-P4, 503). */
  room(queue: string): Promise<number>;
  /** Called after each commit. */
  committed(hints: Hints): void;
}

const MAX_BATCH = 500;

const TIMER_EVENTS: Record<TimerKind, (epoch: number) => Event> = {
  expiration: () => ({ type: 'expire' }),
  pingback: () => ({ type: 'pingback' }),
  reservation: (epoch) => ({ type: 'reservation_expired', epoch }),
  quorum: (epoch) => ({ type: 'quorum_waited', epoch }),
};

export class Applier {
  readonly #options: ApplierOptions;
  readonly #batches: Batcher<Input, Result | Error>;

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#batches = new Batcher((inputs) => this.#together(inputs), {
      max: MAX_BATCH,
      parallel: 2,
      soon: (call) => options.clock.soon(call),
    });
  }

  /** Applies one input; it is durable when the promise resolves. */
  async apply(input: Exclude<Input, { kind: 'message' }>): Promise<Outcome> {
    const result = await this.#batches.add(input);
    if (result instanceof Error) throw result;
    return result as Outcome;
  }

  async receive(messages: readonly IncomingMessage[]): Promise<Receipt[]> {
    const results = await Promise.all(
      messages.map((message) => this.#batches.add({ kind: 'message', message })),
    );
    return results.map((result) => {
      if (result instanceof Error) throw result;
      return result as Receipt;
    });
  }

  /** Applies inputs inside a transaction of the caller's; `committed` is to be called with the hints after its commit. */
  async applyWithin(
    transaction: EngineTransaction,
    inputs: readonly Input[],
  ): Promise<{ results: Result[]; hints: Hints }> {
    return this.#within(transaction, inputs, await this.#roomFor(inputs));
  }

  idle(): Promise<void> {
    return this.#batches.idle();
  }

  async #together(inputs: readonly Input[]): Promise<(Result | Error)[]> {
    try {
      return await this.#inOneTransaction(inputs);
    } catch (thrown) {
      // Nobody's fault, and perhaps committed after all: whoever asked looks, or asks again.
      if (this.#options.store.isPassing(thrown)) return inputs.map(() => unavailable(thrown));
      if (inputs.length === 1) return [asError(thrown)];
      const results: (Result | Error)[] = [];
      for (const input of inputs) {
        try {
          results.push(...(await this.#inOneTransaction([input])));
        } catch (failed) {
          results.push(asError(failed));
        }
      }
      return results;
    }
  }

  async #inOneTransaction(inputs: readonly Input[]): Promise<Result[]> {
    const room = await this.#roomFor(inputs);
    const { results, hints } = await this.#options.store.transaction((transaction) =>
      this.#within(transaction, inputs, new Map(room)),
    );
    this.#options.committed(hints);
    return results;
  }

  async #roomFor(inputs: readonly Input[]): Promise<Map<string, number>> {
    const room = new Map<string, number>();
    const queues = new Set(
      inputs.flatMap((input) => (input.kind === 'message' ? queueOf(input.message) : [])),
    );
    for (const queue of queues) room.set(queue, await this.#options.room(queue));
    return room;
  }

  async #within(
    transaction: EngineTransaction,
    inputs: readonly Input[],
    room: Map<string, number>,
  ): Promise<{ results: Result[]; hints: Hints }> {
    const { clock, registry, context: base } = this.#options;
    const context: Context = { ...base, now: clock.now(), facts: (task) => registry.facts(task) };
    const unit = new UnitOfWork(transaction, context);
    const claimed = inputs.flatMap((input) => (input.kind === 'event' ? (input.claimed ?? []) : []));
    await unit.lock([...new Set(inputs.flatMap(named))], claimed);
    const inbox = new Inbox(await seenBefore(transaction, inputs));
    const live = await liveTimers(transaction, inputs);
    const buried: { messageId: string; failure: Failure }[] = [];
    const results: Result[] = [];
    for (const input of inputs) {
      switch (input.kind) {
        case 'event':
          results.push(unit.apply(input.taskId, input.event, input.claim));
          break;
        case 'create':
          results.push(create(unit, input, context));
          break;
        case 'timer':
          results.push(fire(unit, input.timer, live));
          break;
        case 'undeliverable':
          buried.push(input);
          results.push(undeliverable(unit, input));
          break;
        case 'message':
          results.push(
            inbox.process(input.message, () => receive(input.message, unit, registry, context, room)),
          );
          break;
      }
      // What one input causes is done before the next: the order of a peer's messages matters.
      if (unit.unsettled) await unit.settle();
    }
    await unit.flush();
    if (inbox.records.length > 0) await transaction.recordIncoming(inbox.records, context.now);
    if (buried.length > 0) await transaction.bury(buried, context.now);
    return { results, hints: unit.hints };
  }
}

function named(input: Input): string[] {
  switch (input.kind) {
    case 'event':
      return [input.taskId];
    case 'timer':
      return [input.timer.taskId];
    case 'message':
      return tasksNamed(input.message);
    case 'undeliverable':
      return input.taskId === null ? [] : [input.taskId];
    case 'create':
      return input.repeated === true ? [input.node.id] : [];
  }
}

function create(unit: UnitOfWork, input: Extract<Input, { kind: 'create' }>, context: Context): Outcome {
  // Asked for again, because it was not known whether the first time was committed.
  if (unit.task(input.node.id) !== undefined) return { outcome: 'ignored', reason: 'the tree exists' };
  const tasks = rows([input.node], null, context);
  if (input.trace !== undefined) tasks[0]!.metadata.trace = input.trace;
  unit.insert(tasks);
  return unit.apply(tasks[0]!.id, { type: 'start' });
}

function fire(unit: UnitOfWork, timer: DueTimer, live: ReadonlySet<string>): Outcome {
  if (!live.has(timer.timerId)) return { outcome: 'ignored', reason: 'another process has taken the timer' };
  return unit.apply(timer.taskId, TIMER_EVENTS[timer.kind](timer.epoch));
}

function undeliverable(unit: UnitOfWork, input: Extract<Input, { kind: 'undeliverable' }>): Outcome {
  if (input.taskId === null) return { outcome: 'ignored', reason: 'the message is of no task' };
  return unit.apply(input.taskId, { type: 'undeliverable', failure: input.failure });
}

async function liveTimers(transaction: EngineTransaction, inputs: readonly Input[]): Promise<Set<string>> {
  const ids = inputs.flatMap((input) => (input.kind === 'timer' ? [input.timer.timerId] : []));
  return ids.length === 0 ? new Set() : transaction.takeTimers(ids);
}

async function seenBefore(transaction: EngineTransaction, inputs: readonly Input[]): Promise<Set<string>> {
  const messages = inputs.flatMap((input) => (input.kind === 'message' ? [input.message] : []));
  return messages.length === 0 ? new Set() : transaction.processed(messages);
}

/** Which messages are new, and what is recorded of them (D21). */
class Inbox {
  readonly records: ProcessedMessage[] = [];
  readonly #seen: Set<string>;

  constructor(seen: Set<string>) {
    this.#seen = seen;
  }

  process(message: IncomingMessage, apply: () => Receipt): Receipt {
    const key = `${message.peerId}/${message.messageId}`;
    if (this.#seen.has(key)) return { outcome: 'duplicate' };
    const receipt = apply();
    const status = receipt.outcome === 'rejected' ? statusOf(receipt.failure) : 200;
    // What will be sent again must not be taken for a duplicate then.
    if (status === 503) return receipt;
    this.#seen.add(key);
    const failure = receipt.outcome === 'rejected' ? receipt.failure : null;
    this.records.push({ message, taskId: message.taskId, status, failure });
    return receipt;
  }
}

function statusOf(failure: Failure): number {
  const known = ERROR_CODES[failure.code as keyof typeof ERROR_CODES];
  return known === undefined ? 400 : known.status;
}

function unavailable(thrown: unknown): Error {
  return new ConclaveError('database_unavailable', {}, { cause: thrown });
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new ConclaveError('internal_error', {}, { cause: thrown });
}
