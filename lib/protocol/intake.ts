/**
 * From requests to receipts: reads and parses what an identified peer posts, hands it to `receive` in natural batches,
 * and answers. A message is acknowledged after `receive` has recorded it, never before (FQ-P9, D21).
 */
import type { Request, RequestHandler, Response } from 'express';
import { Batcher } from '../batcher.ts';
import type { IncomingMessage, Json, Receipt } from '../engine/model.ts';
import { ConclaveError, ERROR_CODES, type ErrorCode, type Failure } from '../errors.ts';
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
  readonly #received: Batcher<IncomingMessage, Receipt>;
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
        const receipt = await this.#received.add(parseMessage(body, queue, peer.id));
        const refusal = refusalOf(receipt);
        if (refusal !== null) throw refusal;
        this.#logIgnored(peer, receipt);
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

  async #receive(messages: IncomingMessage[]): Promise<Receipt[]> {
    try {
      return await this.#options.receive(messages);
    } catch (reason) {
      if (isConnectionLoss(reason)) throw new ConclaveError('database_unavailable', {}, { cause: reason });
      throw reason;
    }
  }

  async #resultOf(entry: BatchEntry, peer: Peer): Promise<{ result: BatchResult; failure?: ConclaveError }> {
    const { messageId } = entry;
    if ('refusal' in entry) return { result: badResult(messageId, entry.refusal) };
    let receipt: Receipt;
    try {
      receipt = await this.#received.add(entry.message);
    } catch (thrown) {
      const failure = thrown instanceof ConclaveError ? thrown : sharedInternalError(thrown);
      return { result: badResult(messageId, failure), failure };
    }
    const refusal = refusalOf(receipt);
    if (refusal !== null) return { result: badResult(messageId, refusal) };
    this.#logIgnored(peer, receipt);
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

  #logIgnored(peer: Peer, receipt: Receipt): void {
    if (receipt.outcome !== 'ignored') return;
    this.#options.log.debug(
      { event: 'message_ignored', peer: peer.name, reason: receipt.reason },
      'message ignored',
    );
  }
}

/** One error object for all messages of a batch that failed together. */
const internalErrors = new WeakMap<object, ConclaveError>();

function sharedInternalError(thrown: unknown): ConclaveError {
  if (thrown === null || typeof thrown !== 'object') return asConclaveError(thrown);
  const error = internalErrors.get(thrown) ?? asConclaveError(thrown);
  internalErrors.set(thrown, error);
  return error;
}

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

function refusalOf(receipt: Receipt): ConclaveError | null {
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
