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
  /** Requests to an original at a time, at first. */
  singlesInFlight: number;
  /** And at most, to one that answers quickly. */
  mostSinglesInFlight: number;
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

/** An original that takes longer for a request, on the average of a round, gets fewer of them at a time. */
const QUICK_MILLISECONDS = 250;

/** What a round of single messages has shown so far. */
interface Round {
  verdict: PeerVerdict | null;
  requests: number;
  /** Time that its requests took, in all. */
  milliseconds: number;
  /** Some were answered by "not now". */
  refused: boolean;
  /** What is still being written down. */
  settling: Promise<void>[];
}

export class Courier {
  readonly #options: CourierOptions;
  readonly #unsupportedLogged = new Set<string>();
  #inFlight: number;

  constructor(options: CourierOptions) {
    this.#options = options;
    this.#inFlight = options.limits.singlesInFlight;
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
      const verdict = this.#options.stopping() ? null : await this.#sendSingle(peer, message);
      if (verdict?.up !== true) {
        const rest = verdict === null ? messages.slice(index) : messages.slice(index + 1);
        await this.#hold(rest, verdict);
        return verdict ?? { up: true };
      }
    }
    return { up: true };
  }

  /**
   * Several at a time, those of one task one after the other. How many depends on how the peer took the round before:
   * an original gets no more than it answers at once. Null when nothing was sent.
   */
  async sendSingles(peer: ReachablePeer, messages: readonly OutboxMessage[]): Promise<PeerVerdict | null> {
    const lines = [...Map.groupBy(messages, ({ taskId, messageId }) => taskId ?? messageId).values()];
    const round: Round = { verdict: null, requests: 0, milliseconds: 0, refused: false, settling: [] };
    const full = lines.length >= this.#inFlight;
    const sendLines = async (): Promise<void> => {
      for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
        await this.#sendLine(peer, line, round);
      }
    };
    await Promise.all(Array.from({ length: this.#inFlight }, sendLines));
    await Promise.all(round.settling);
    this.#adapt(round, full);
    return round.verdict;
  }

  #adapt({ verdict, requests, milliseconds, refused }: Round, full: boolean): void {
    const { singlesInFlight: least, mostSinglesInFlight: most } = this.#options.limits;
    const quick = !refused && !isDown(verdict) && milliseconds <= requests * QUICK_MILLISECONDS;
    if (!quick) this.#inFlight = Math.max(least, Math.floor(this.#inFlight / 2));
    else if (full) this.#inFlight = Math.min(most, this.#inFlight * 2);
  }

  /** The messages of one task, one after the other; the first that shows that the peer is down stops all lines. */
  async #sendLine(peer: ReachablePeer, line: readonly OutboxMessage[], round: Round): Promise<void> {
    for (const [index, message] of line.entries()) {
      if (this.#options.stopping() || isDown(round.verdict)) {
        return this.#hold(line.slice(index), round.verdict);
      }
      const verdict = await this.#sendToOriginal(peer, message, round);
      if (!isDown(round.verdict)) round.verdict = verdict ?? round.verdict;
    }
  }

  /** Null when nothing was sent. What became of it is written down while the next is on its way. */
  async #sendToOriginal(
    peer: ReachablePeer,
    message: OutboxMessage,
    round: Round,
  ): Promise<PeerVerdict | null> {
    const later = (settled: Promise<void>): void => {
      // Awaited with the others at the end of the round.
      settled.catch(() => {});
      round.settling.push(settled);
    };
    if (message.action.startsWith('conclave.')) {
      this.#logUnsupported(peer, message.action);
      later(this.#settleAll([{ message, outcome: { kind: 'unsupported' } }]));
      return null;
    }
    const { clock } = this.#options;
    const started = clock.now().getTime();
    const found = await this.#post(peer, message, 'frestq');
    round.requests += 1;
    round.milliseconds += clock.now().getTime() - started;
    if ('verdict' in found) return this.#held([message], found.verdict);
    if (found.outcome.kind === 'retry') round.refused = true;
    later(this.#settleAll([{ message, outcome: found.outcome }]));
    return { up: true };
  }

  async #sendSingle(peer: ReachablePeer, message: OutboxMessage): Promise<PeerVerdict> {
    const found = await this.#post(peer, message, 'conclave');
    if ('verdict' in found) return this.#held([message], found.verdict);
    await this.#settleAll([{ message, outcome: found.outcome }]);
    return { up: true };
  }

  /** One message in a request of its own: what its answer means for it, or for the peer as a whole. */
  async #post(
    peer: ReachablePeer,
    message: OutboxMessage,
    dialect: 'conclave' | 'frestq',
  ): Promise<{ outcome: Outcome } | { verdict: PeerDown }> {
    const { client } = this.#options;
    let answer: Answer;
    try {
      answer = await withinTime(this.#options, (signal) => client.sendMessage(peer, message, signal));
    } catch (thrown) {
      const sent: Sent = { peerName: peer.name, dialect: 'conclave', doubts: 0 };
      return { verdict: outcomeOfFailure(asRequestFailed(thrown), sent) };
    }
    const outcome = outcomeOf(answer, { peerName: peer.name, dialect, doubts: doubtsOf(message.error) });
    if (outcome.kind !== 'retry' || outcome.about !== 'peer') return { outcome };
    const { error, afterMilliseconds } = outcome;
    return { verdict: { up: false, error, afterMilliseconds } };
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
