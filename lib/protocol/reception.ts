/**
 * What becomes of a peer's parsed messages: they are handed to `receive` in natural batches, and every message gets its
 * answer. A message is acknowledged after `receive` has recorded it, never before (FQ-P9, D21). Knows no HTTP.
 */
import { Batcher } from '../batcher.ts';
import type { Clock } from '../engine/clock.ts';
import type { IncomingMessage, Receipt } from '../engine/model.ts';
import { ConclaveError, ERROR_CODES, type ErrorCode, type Failure, reasonOf } from '../errors.ts';
import type { Json } from '../json.ts';
import { isConnectionLoss } from '../store/database.ts';
import { type BatchEntry, type BatchResult, parseBatch } from './batch.ts';
import type { Log } from './log.ts';
import { parseMessage } from './message.ts';
import type { Peer } from './peers.ts';
import { asConclaveError } from './refusal.ts';

export interface ReceptionOptions {
  /** The engine's: records and applies messages in one transaction, one receipt each, in order. */
  receive: (messages: readonly IncomingMessage[]) => Promise<Receipt[]>;
  log: Log;
  clock?: Pick<Clock, 'soon'>;
}

const MAX_RECEIVE_BATCH = 500;

export class Reception {
  readonly #options: ReceptionOptions;
  readonly #received: Batcher<IncomingMessage, Received>;

  constructor(options: ReceptionOptions) {
    const { clock } = options;
    this.#options = options;
    // One batch at a time: the messages of a peer are applied in the order in which they came.
    this.#received = new Batcher((messages) => this.#receive(messages), {
      max: MAX_RECEIVE_BATCH,
      parallel: 1,
      ...(clock === undefined ? {} : { soon: (call) => clock.soon(call) }),
    });
  }

  /** Resolves when every message that was handed to `receive` has its receipt. */
  idle(): Promise<void> {
    return this.#received.idle();
  }

  /** One message (FQ-P1). @throws ConclaveError what its sender is answered */
  async single(body: Json, queue: string, peer: Peer): Promise<void> {
    const received = await this.#received.add(parseMessage(body, queue, peer.id));
    const refusal = refusalOf(received);
    if (refusal?.code === 'task_not_found' && peer.dialect === 'frestq')
      return this.#logUnknown(peer, refusal);
    if (refusal !== null) throw refusal;
    this.#logIgnored(peer, received);
  }

  /**
   * An original answers 200 to what is about a task that it does not know, and makes nothing of our answer; a Conclave
   * node is told, and its operator sees the dead message.
   */
  #logUnknown(peer: Peer, { message: reason }: ConclaveError): void {
    this.#options.log.info(
      { event: 'message_ignored', peer: peer.name, reason },
      'an original sent a message about a task that is not here; it is ignored',
    );
  }

  /** A batch: one result for each message. @throws ConclaveError when the batch as a whole is refused */
  async batch(body: Json, peer: Peer): Promise<BatchResult[]> {
    const entries = parseBatch(body, peer.id);
    const results = await Promise.all(entries.map((entry) => this.#resultOf(entry, peer)));
    const [first] = results;
    // Nothing was recorded, and for the same passing reason: that is an answer to the batch.
    if (
      first?.failure instanceof ConclaveError &&
      results.every(({ failure }) => failure === first.failure)
    ) {
      throw first.failure;
    }
    return results.map(({ result }) => result);
  }

  /**
   * When a batch fails for no passing reason, a message in it is to blame: halves are tried, so that one peer's
   * message does not hold up those of others.
   */
  async #receive(messages: IncomingMessage[]): Promise<Received[]> {
    try {
      const receipts = await this.#options.receive(messages);
      return receipts.map((receipt) => ({ receipt }));
    } catch (reason) {
      const failure = isConnectionLoss(reason)
        ? new ConclaveError('database_unavailable', {}, { cause: reason })
        : asConclaveError(reason);
      if (failure.status === 503 || messages.length === 1) return messages.map(() => ({ failure }));
      const half = Math.ceil(messages.length / 2);
      const first = await this.#receive(messages.slice(0, half));
      return [...first, ...(await this.#receive(messages.slice(half)))];
    }
  }

  async #resultOf(entry: BatchEntry, peer: Peer): Promise<{ result: BatchResult; failure?: ConclaveError }> {
    const { messageId } = entry;
    if ('refusal' in entry) return { result: badResult(messageId, entry.refusal) };
    const received = await this.#received.add(entry.message);
    const refusal = refusalOf(received);
    if (refusal !== null) {
      if (refusal.code === 'internal_error') this.#logFailed(peer, messageId, refusal);
      const result = badResult(messageId, refusal);
      return 'failure' in received ? { result, failure: refusal } : { result };
    }
    this.#logIgnored(peer, received);
    return { result: { message_id: messageId, status: 200 } };
  }

  #logIgnored(peer: Peer, received: Received): void {
    if (!('receipt' in received) || received.receipt.outcome !== 'ignored') return;
    const { reason } = received.receipt;
    this.#options.log.debug({ event: 'message_ignored', peer: peer.name, reason }, 'message ignored');
  }

  #logFailed(peer: Peer, messageId: string | null, error: ConclaveError): void {
    const reason = reasonOf(error.cause);
    this.#options.log.error(
      { event: 'message_failed', peer: peer.name, messageId, reason, err: error.cause },
      'a message could not be received',
    );
  }
}

/** What became of a message: the engine's receipt, or that the engine failed and recorded nothing. */
type Received = { receipt: Receipt } | { failure: ConclaveError };

/** An error as the engine has put it: its own text, with the code's status. */
class Rejection extends ConclaveError {
  constructor(code: ErrorCode, failure: Failure) {
    super(code, isRecord(failure.data) ? failure.data : {});
    this.message = failure.message;
  }
}

function isRecord(data: unknown): data is Record<string, unknown> {
  return data !== null && typeof data === 'object' && !Array.isArray(data);
}

function refusalOf(received: Received): ConclaveError | null {
  if ('failure' in received) return received.failure;
  const { receipt } = received;
  if (receipt.outcome !== 'rejected') return null;
  const { failure } = receipt;
  const code = Object.hasOwn(ERROR_CODES, failure.code) ? (failure.code as ErrorCode) : 'internal_error';
  return new Rejection(code, failure);
}

function badResult(messageId: string | null, error: ConclaveError): BatchResult {
  return { message_id: messageId, status: error.status, code: error.code, message: error.message };
}
