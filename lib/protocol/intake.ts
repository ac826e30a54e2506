/**
 * From requests to answers: reads what an identified peer posts, within limits of size, time and memory, and answers
 * with what its reception says.
 */
import type { Request, RequestHandler, Response } from 'express';
import type { Json } from '../json.ts';
import type { Dialect } from '../store/peers.ts';
import { BodyBudget, readBody } from './body.ts';
import { HEAD_HEADER, type HeadExchange } from './log-heads.ts';
import { parseBody } from './message.ts';
import type { Peer } from './peers.ts';
import { Reception, type ReceptionOptions } from './reception.ts';
import { peerOf } from './trust.ts';

export interface IntakeLimits {
  /** Of one message, or one batch. */
  maxBodyBytes: number;
  bodyMilliseconds: number;
  /** Bytes of bodies that one peer may have in memory at a time. */
  maxBytesPerPeer: number;
}

export interface IntakeOptions extends ReceptionOptions {
  /** Told of every request of a peer; `dialect` when the request shows it. */
  contacted: (peer: Peer, dialect: Dialect | null) => void;
  limits: IntakeLimits;
  heads?: HeadExchange | undefined;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #reception: Reception;
  readonly #budget: BodyBudget;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#reception = new Reception(options);
    this.#budget = new BodyBudget(options.limits.maxBytesPerPeer);
  }

  /** Resolves when every message that was handed to `receive` has its receipt. */
  idle(): Promise<void> {
    return this.#reception.idle();
  }

  /** `POST /api/queues/<queue>/` (FQ-P1): one message, answered by 200 and an empty body. */
  get single(): RequestHandler {
    return async (request, response) => {
      const peer = peerOf(response);
      const queue = String(request.params.queue);
      this.#options.contacted(peer, null);
      await this.#withBody(request, peer, queue, async (body) => {
        await this.#reception.single(body, queue, peer);
        answer(response, null);
      });
    };
  }

  /** `POST /api/conclave/messages`: a batch, answered by one result for each message. */
  get batch(): RequestHandler {
    return async (request, response) => {
      const peer = peerOf(response);
      const { heads } = this.#options;
      this.#options.contacted(peer, 'conclave');
      const theirs = request.get(HEAD_HEADER);
      if (theirs !== undefined) heads?.received(peer, theirs);
      const ours = heads?.current() ?? null;
      if (ours !== null) response.setHeader(HEAD_HEADER, ours);
      await this.#withBody(request, peer, 'conclave/messages', async (body) => {
        const results = await this.#reception.batch(body, peer);
        answer(response, { results: results as unknown as Json });
      });
    };
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
}

function answer(response: Response, body: Json): void {
  const text = body === null ? '' : JSON.stringify(body);
  if (body !== null) response.setHeader('Content-Type', 'application/json');
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.statusCode = 200;
  response.end(text);
}
