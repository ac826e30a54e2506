/**
 * From requests to receipts: reads and parses what an identified peer posts, hands it to `receive` in natural batches,
 * and answers. A message is acknowledged after `receive` has recorded it, never before (FQ-P9, D21).
 */
import type { Request, RequestHandler, Response } from 'express';
import { Batcher } from '../batcher.ts';
import type { IncomingMessage, Json, Receipt } from '../engine/model.ts';
import { ConclaveError, ERROR_CODES, type ErrorCode, type Failure, reasonOf } from '../errors.ts';
import { isConnectionLoss } from '../store/database.ts';
import type { Dialect } from '../store/peers.ts';
import { type BatchEntry, type BatchResult, parseBatch } from './batch.ts';
import { BodyBudget, readBody } from './body.ts';
import type { Log } from './log.ts';
import { parseBody, parseMessage } from './message.ts';
import type { Peer } from './peers.ts';
import { asConclaveError } from './refusal.ts';
import { peerOf } from './trust.ts';

export interface IntakeLimits {
  /** Of one message, or one batch. */
  maxBodyBytes: number;
  bodyMilliseconds: number;
  /** Bytes of bodies that one peer may have in memory at a time. */
  maxBytesPerPeer: number;
}

export interface IntakeOptions {
  /** The engine's: records and applies messages in one transaction, one receipt each, in order. */
  receive: (messages: readonly IncomingMessage[]) => Promise<Receipt[]>;
  /** Told of every request of a peer; `dialect` when the request shows it. */
  contacted: (peer: Peer, dialect: Dialect | null) => void;
  limits: IntakeLimits;
  log: Log;
}

const MAX_RECEIVE_BATCH = 500;

export class Intake {
  readonly #options: IntakeOptions;
  readonly #received: Batcher<IncomingMessage, Received>;
  readonly #budget: BodyBudget;

  constructor(options: IntakeOptions) {
    this.#options = options;
    // One batch at a time: the messages of a peer are applied in the order in which they came.
    this.#received = new Batcher((messages) => this.#receive(messages), {
      max: MAX_RECEIVE_BATCH,
      parallel: 1,
    });
    this.#budget = new BodyBudget(options.limits.maxBytesPerPeer);
  }

  /** Resolves when every message that was handed to `receive` has its receipt. */
  idle(): Promise<void> {
    return this.#received.idle();
  }

  /** `POST /api/queues/<queue>/` (FQ-P1): one message, answered by 200 and an empty body. */
  get single(): RequestHandler {
    return async (request, response) => {
      const peer = peerOf(response);
      const queue = String(request.params.queue);
      this.#options.contacted(peer, null);
      await this.#withBody(request, peer, queue, async (body) => {
        const received = await this.#received.add(parseMessage(body, queue, peer.id));
        const refusal = refusalOf(received);
        if (refusal !== null) throw refusal;
        this.#logIgnored(peer, received);
        answer(response, null);
      });
    };
  }

  /** `POST /api/conclave/messages`: a batch, answered by one result for each message. */
  get batch(): RequestHandler {
    return async (request, response) => {
      const peer = peerOf(response);
      this.#options.contacted(peer, 'conclave');
      await this.#withBody(request, peer, 'conclave/messages', async (body) => {
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
        answer(response, { results: results.map(({ result }) => result) as unknown as Json });
      });
    };
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

  async #withBody(
    request: Request,
    peer: Peer,
    queue: string,
    use: (body: Json) => Promise<void>,
  ): Promise<void> {
    const { maxBodyBytes: maxBytes, bodyMilliseconds: milliseconds } = this.#options.limits;
    let held = 0;
    try {
      const bytes = await readBody(request, { maxBytes, milliseconds }, (more) => {
        this.#budget.claim(peer.id, more, queue);
        held += more;
      });
      await use(parseBody(bytes));
    } finally {
      this.#budget.release(peer.id, held);
    }
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

function answer(response: Response, body: Json): void {
  const text = body === null ? '' : JSON.stringify(body);
  if (body !== null) response.setHeader('Content-Type', 'application/json');
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.statusCode = 200;
  response.end(text);
}
