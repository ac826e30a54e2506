/**
 * Carrying messages to one peer and writing down what became of each: as batches to a Conclave node, one message a
 * request to an original (D21). What a courier finds out about the peer as a whole it tells its lane, which decides
 * when to try again.
 */
import type { Clock } from '../engine/clock.ts';
import type { Failure } from '../errors.ts';
import type { OutboxMessage } from '../store/outbox.ts';
import { type BatchResult, parseBatchResults } from './batch.ts';
import { type Answer, type PeerRequests, plainText, type ReachablePeer, RequestFailed } from './client.ts';
import { doubtsOf, type Outcome, outcomeOf, outcomeOfFailure, type PeerDown, type Sent } from './delivery.ts';
import type { Log } from './log.ts';
import { batchEntry } from './message.ts';
import type { KnownPeers } from './peers.ts';
import type { Settlement, Settling } from './settlement.ts';

export interface CourierLimits {
  /** Bytes of one request; a message that is larger travels alone. */
  batchBytes: number;
  /** Requests to an original at a time. */
  singlesInFlight: number;
  /** For one request, from connecting to the last byte of the answer. */
  requestMilliseconds: number;
}

export interface CourierOptions {
  client: PeerRequests;
  clock: Clock;
  settlement: Settlement;
  peers: KnownPeers;
  log: Log;
  limits: CourierLimits;
  /** When true, nothing more is sent. */
  stopping: () => boolean;
  /** Told when a message is to be tried again. */
  onRetry: (date: Date) => void;
}

/** What was found out about the peer as a whole. */
export type PeerVerdict = { up: true } | PeerDown;
export class Courier {
  readonly #options: CourierOptions;
  readonly #unsupportedLogged = new Set<string>();

  constructor(options: CourierOptions) {
    this.#options = options;
  }

  async sendBatches(peer: ReachablePeer, messages: readonly OutboxMessage[]): Promise<PeerVerdict | null> {
    const entries = messages.map(batchEntry);
    let verdict: PeerVerdict | null = null;
    let from = 0;
    while (from < messages.length) {
      if (this.#options.stopping() || verdict?.up === false) {
        await this.#hold(messages.slice(from), verdict);
        break;
      }
      const to = this.#endOfBatch(entries, from);
      verdict = await this.#sendBatch(peer, messages.slice(from, to), entries.slice(from, to));
      from = to;
    }
    return verdict;
  }

  #endOfBatch(entries: readonly string[], from: number): number {
    let to = from;
    let bytes = 0;
    while (to < entries.length) {
      bytes += Buffer.byteLength(entries[to] as string) + 1;
      if (to > from && bytes > this.#options.limits.batchBytes) break;
      to += 1;
    }
    return to;
  }

  async #sendBatch(
    peer: ReachablePeer,
    messages: readonly OutboxMessage[],
    entries: readonly string[],
  ): Promise<PeerVerdict> {
    const { client } = this.#options;
    let answer: Answer;
    try {
      answer = await withinTime(this.#options, (signal) => client.sendBatch(peer, entries, signal));
    } catch (thrown) {
      return this.#unanswered(peer, messages, thrown);
    }
    const sent: Sent = { peerName: peer.name, dialect: 'conclave', doubts: 0 };
    if (answer.status === 200) {
      const results = parseBatchResults(
        answer.body,
        messages.map(({ messageId }) => messageId),
      );
      if (results !== null) {
        await this.#settleAll(
          messages.map((message, index) => {
            const { status, code = null, message: words } = results[index] as BatchResult;
            const text = words === undefined ? `status ${status}` : plainText(words);
            return { message, outcome: aboutMessage(outcomeOf({ status, code, text }, sent)) };
          }),
        );
        return { up: true };
      }
      answer = { ...answer, status: 502, text: 'its answer does not fit the batch' };
    }
    if (answer.status === 404 || answer.status === 405) {
      // It was a Conclave node and is none any more: ask again.
      await this.#options.peers.setDialect(peer.id, 'unknown');
      answer = { ...answer, status: 502, text: 'it does not take batches any more' };
    }
    const outcome = outcomeOf(answer, sent);
    if (outcome.kind === 'retry' && outcome.about === 'peer') {
      return this.#held(messages, {
        up: false,
        error: outcome.error,
        afterMilliseconds: outcome.afterMilliseconds,
      });
    }
    if (messages.length > 1) return this.#sendOneByOne(peer, messages);
    await this.#settleAll(messages.map((message) => ({ message, outcome })));
    return { up: true };
  }

  /** The batch as a whole was refused: one message of it is to blame, and the others are not to suffer. */
  async #sendOneByOne(peer: ReachablePeer, messages: readonly OutboxMessage[]): Promise<PeerVerdict> {
    for (const [index, message] of messages.entries()) {
      const verdict = this.#options.stopping() ? null : await this.#sendSingle(peer, message, 'conclave');
      if (verdict?.up !== true) {
        const rest = verdict === null ? messages.slice(index) : messages.slice(index + 1);
        await this.#hold(rest, verdict);
        return verdict ?? { up: true };
      }
    }
    return { up: true };
  }

  /** Null when nothing was sent. */
  async sendSingles(peer: ReachablePeer, messages: readonly OutboxMessage[]): Promise<PeerVerdict | null> {
    const lines = [...Map.groupBy(messages, ({ taskId, messageId }) => taskId ?? messageId).values()];
    const found: { verdict: PeerVerdict | null } = { verdict: null };
    const sendLines = async (): Promise<void> => {
      for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
        await this.#sendLine(peer, line, found);
      }
    };
    await Promise.all(Array.from({ length: this.#options.limits.singlesInFlight }, sendLines));
    return found.verdict;
  }

  /** The messages of one task, one after the other; the first that shows that the peer is down stops all lines. */
  async #sendLine(
    peer: ReachablePeer,
    line: readonly OutboxMessage[],
    found: { verdict: PeerVerdict | null },
  ): Promise<void> {
    for (const [index, message] of line.entries()) {
      if (this.#options.stopping() || isDown(found.verdict)) {
        return this.#hold(line.slice(index), found.verdict);
      }
      const verdict = await this.#sendSingle(peer, message, 'frestq');
      if (!isDown(found.verdict)) found.verdict = verdict ?? found.verdict;
    }
  }

  /** Null when nothing was sent. */
  async #sendSingle(
    peer: ReachablePeer,
    message: OutboxMessage,
    dialect: 'conclave' | 'frestq',
  ): Promise<PeerVerdict | null> {
    if (dialect === 'frestq' && message.action.startsWith('conclave.')) {
      this.#logUnsupported(peer, message.action);
      await this.#settleAll([{ message, outcome: { kind: 'unsupported' } }]);
      return null;
    }
    const { client } = this.#options;
    let answer: Answer;
    try {
      answer = await withinTime(this.#options, (signal) => client.sendMessage(peer, message, signal));
    } catch (thrown) {
      return this.#unanswered(peer, [message], thrown);
    }
    const outcome = outcomeOf(answer, { peerName: peer.name, dialect, doubts: doubtsOf(message.error) });
    if (outcome.kind === 'retry' && outcome.about === 'peer') {
      return this.#held([message], {
        up: false,
        error: outcome.error,
        afterMilliseconds: outcome.afterMilliseconds,
      });
    }
    await this.#settleAll([{ message, outcome }]);
    return { up: true };
  }

  async #unanswered(
    peer: ReachablePeer,
    messages: readonly OutboxMessage[],
    thrown: unknown,
  ): Promise<PeerVerdict> {
    const sent: Sent = { peerName: peer.name, dialect: 'conclave', doubts: 0 };
    return this.#held(messages, outcomeOfFailure(asRequestFailed(thrown), sent));
  }

  async #held(messages: readonly OutboxMessage[], verdict: PeerVerdict): Promise<PeerVerdict> {
    await this.#hold(messages, verdict);
    return verdict;
  }

  /** Puts messages back; each keeps what it remembers of its own. */
  async #hold(messages: readonly OutboxMessage[], verdict: PeerVerdict | null): Promise<void> {
    const failure = verdict?.up === false ? verdict.error : STOPPED;
    await this.#settleAll(
      messages.map((message) => {
        const doubts = doubtsOf(message.error);
        const data = { ...(failure.data as object | undefined), ...(doubts > 0 ? { doubts } : {}) };
        return { message, outcome: { kind: 'held', error: { ...failure, data } } };
      }),
    );
  }

  async #settleAll(settling: readonly Settling[]): Promise<void> {
    const dates = await Promise.all(settling.map((one) => this.#options.settlement.settle(one)));
    for (const [index, date] of dates.entries()) {
      // What is held waits for the peer, not for a date of its own.
      if (date !== null && settling[index]?.outcome.kind === 'retry') this.#options.onRetry(date);
    }
  }

  #logUnsupported(peer: ReachablePeer, action: string): void {
    if (this.#unsupportedLogged.has(action)) return;
    this.#unsupportedLogged.add(action);
    this.#options.log.info(
      { event: 'action_not_supported', peer: peer.name, action },
      'an original peer does not know this action; it is not sent',
    );
  }
}

function isDown(verdict: PeerVerdict | null): boolean {
  return verdict?.up === false;
}

const STOPPED: Failure = { code: 'shutting_down', message: 'this node is shutting down' };

/** What one result of a batch says is about its message, whatever its status: the batch as such was answered. */
function aboutMessage(outcome: Outcome): Outcome {
  return outcome.kind === 'retry' ? { ...outcome, about: 'message' } : outcome;
}

export function unusable(peer: ReachablePeer, answer: Answer): PeerDown {
  const message = `the peer ${peer.name} reported an error: ${answer.text}`;
  const error: Failure = { code: 'peer_error', message, data: { peer: peer.name, status: answer.status } };
  return { up: false, error, afterMilliseconds: answer.retryAfterMilliseconds };
}

export function asRequestFailed(thrown: unknown): RequestFailed {
  if (thrown instanceof RequestFailed) return thrown;
  throw thrown;
}

/** Runs a request that is aborted when it takes too long. */
export async function withinTime<Result>(
  { clock, limits }: { clock: Clock; limits: Pick<CourierLimits, 'requestMilliseconds'> },
  request: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const cancel = clock.after(limits.requestMilliseconds, () =>
    controller.abort(new DOMException('the request took too long', 'TimeoutError')),
  );
  try {
    return await request(controller.signal);
  } finally {
    cancel();
  }
}
