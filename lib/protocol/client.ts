/**
 * Requests to peers: one message, a batch, or the question what the peer is.
 *
 * An `Answer` says what came back; what that means for a message is decided by `delivery.ts`. A request that got no answer
 * throws `RequestFailed`: whether it arrived is then unknown, unless `connected` is false.
 */
import type { SecureContext } from 'node:tls';
import type { Dispatcher, Pool } from 'undici';
import { ConclaveError, reasonOf } from '../errors.ts';
import type { Json } from '../json.ts';
import { type ConnectionOptions, ownContext, pinnedPool } from './connection.ts';
import { HEAD_HEADER, type HeadExchange } from './log-heads.ts';
import { type WireMessage, wireBody } from './message.ts';
import { conclavePath, queuePath } from './peer-url.ts';
import type { Peer } from './peers.ts';
import { ERROR_HEADER } from './refusal.ts';
import type { ServerIdentity } from './server.ts';

/** Answers are small: an error, or one result for each message of a batch. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

const DEFAULT_CONNECTION: ConnectionOptions = {
  connections: 32,
  headersMilliseconds: 30_000,
  bodyMilliseconds: 30_000,
};

export interface Answer {
  status: number;
  /** The code of an error of a Conclave node; null from others. */
  code: string | null;
  /** The JSON of the body; null when it is none. */
  body: unknown;
  /** The text that says what is wrong, for people. */
  text: string;
  retryAfterMilliseconds: number | null;
  /** The peer's clock, to the second, as its `Date` header says; null: it says nothing. */
  date?: Date | null;
}

/** No answer. `connected`: the request may have arrived. */
export class RequestFailed extends Error {
  readonly connected: boolean;
  readonly code: string;

  constructor(code: string, reason: string, connected: boolean, options?: ErrorOptions) {
    super(reason, options);
    this.name = 'RequestFailed';
    this.code = code;
    this.connected = connected;
  }
}

export interface FederationClientOptions {
  identity: ServerIdentity;
  heads?: HeadExchange;
  connection?: Partial<ConnectionOptions>;
}

export type ReachablePeer = Peer & { url: string };

/** What the outbox sender asks of a client. */
export type PeerRequests = Pick<FederationClient, 'sendMessage' | 'sendBatch' | 'askIdentity' | 'keepOnly'>;

export class FederationClient {
  readonly #connection: ConnectionOptions;
  readonly #heads: HeadExchange | undefined;
  #context: SecureContext;
  /** By peer and purpose; `pins` tells when the pool is out of date. */
  readonly #pools = new Map<string, { peerId: string; pins: string; pool: Pool }>();

  constructor({ identity, connection, heads }: FederationClientOptions) {
    this.#heads = heads;
    this.#connection = { ...DEFAULT_CONNECTION, ...connection };
    this.#context = ownContext(identity);
  }

  /** Presents a new certificate from the next connection on (D22). */
  async setIdentity(identity: ServerIdentity): Promise<void> {
    this.#context = ownContext(identity);
    await this.#closePools(() => true);
  }

  /** One message, as the original sends it (FQ-P6). Throws `RequestFailed`. */
  sendMessage(peer: ReachablePeer, message: WireMessage, signal?: AbortSignal): Promise<Answer> {
    return this.#request(
      peer,
      'POST',
      queuePath(peer.url, message.queue),
      JSON.stringify(wireBody(message)),
      signal,
    );
  }

  /** A batch of entries in their JSON form (`batchEntry`), to a Conclave node. Throws `RequestFailed`. */
  sendBatch(peer: ReachablePeer, entries: readonly string[], signal?: AbortSignal): Promise<Answer> {
    const body = `{"messages":[${entries.join(',')}]}`;
    return this.#request(peer, 'POST', `${conclavePath(peer.url)}/messages`, body, signal, this.#heads);
  }

  /** Asks what the peer is. Throws `RequestFailed`. */
  askIdentity(peer: ReachablePeer, signal?: AbortSignal): Promise<Answer> {
    return this.#request(peer, 'GET', conclavePath(peer.url), null, signal);
  }

  /** The connections to a peer, pinned to the certificates that it has now. Bulk data has its own: messages do not wait behind it. */
  poolOf(peer: ReachablePeer, purpose: 'messages' | 'bulk' = 'messages'): Pool {
    const key = `${purpose} ${peer.id}`;
    const pins = JSON.stringify([peer.url, peer.certificates.map(({ fingerprint }) => fingerprint)]);
    const known = this.#pools.get(key);
    if (known?.pins === pins) return known.pool;
    void this.#closePools((entry) => entry === known);
    const pool = pinnedPool(peer, this.#context, this.#connection);
    this.#pools.set(key, { peerId: peer.id, pins, pool });
    return pool;
  }

  /** Closes the connections to peers that are not among `ids`, once their requests are over. */
  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    await this.#closePools(({ peerId }) => !ids.has(peerId));
  }

  /** Waits for requests under way, then closes every connection. */
  async close(): Promise<void> {
    await this.#closePools(() => true);
  }

  async #closePools(chosen: (entry: { peerId: string; pins: string; pool: Pool }) => boolean): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const [key, entry] of this.#pools) {
      if (!chosen(entry)) continue;
      this.#pools.delete(key);
      closing.push(entry.pool.close());
    }
    await Promise.all(closing);
  }

  async #request(
    peer: ReachablePeer,
    method: 'GET' | 'POST',
    path: string,
    body: string | null,
    signal: AbortSignal | undefined,
    heads?: HeadExchange,
  ): Promise<Answer> {
    const head = heads?.current() ?? null;
    const started = { connected: false };
    try {
      const response = await this.poolOf(peer).request({
        method,
        path,
        body,
        headers: {
          ...(body === null ? {} : { 'content-type': 'application/json' }),
          ...(head === null ? {} : { [HEAD_HEADER]: head }),
        },
        signal: signal ?? null,
      });
      started.connected = true;
      const theirs = response.headers[HEAD_HEADER.toLowerCase()];
      if (typeof theirs === 'string') heads?.received(peer, theirs);
      return await readAnswer(response);
    } catch (thrown) {
      throw asRequestFailed(thrown, peer, started.connected);
    }
  }
}

async function readAnswer(response: Dispatcher.ResponseData): Promise<Answer> {
  const { statusCode: status, headers } = response;
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response.body as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MAX_ANSWER_BYTES) throw new RequestFailed('answer_too_large', 'the answer is too large', true);
    pieces.push(piece);
  }
  const text = Buffer.concat(pieces).toString('utf8');
  const body = jsonOrNull(text);
  const code = headers[ERROR_HEADER.toLowerCase()];
  return {
    status,
    code: typeof code === 'string' && ERROR_CODE.test(code) ? code : null,
    body,
    text: messageOf(body) ?? `HTTP ${status}`,
    retryAfterMilliseconds: retryAfter(headers['retry-after']),
    date: dateOf(headers.date),
  };
}

function dateOf(header: string | string[] | undefined): Date | null {
  const date = new Date(typeof header === 'string' ? header : Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function messageOf(body: unknown): string | null {
  const message = (body as Record<string, Json> | null)?.message;
  return typeof message === 'string' ? plainText(message) : null;
}

const ERROR_CODE = /^[a-z_]{1,64}$/;

/** A peer's words, which will be shown on terminals: short, and without control characters. */
export function plainText(text: string): string {
  return text.slice(0, 1024).replaceAll(/\p{C}/gu, ' ');
}

/** Seconds only; a date would depend on two clocks. */
function retryAfter(value: string | string[] | undefined): number | null {
  const seconds = typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : null;
  return seconds === null ? null : seconds * 1000;
}

const UNCONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'peer_certificate_mismatch',
]);

/** undici's errors, in words: which machine, what happened. */
function asRequestFailed(thrown: unknown, peer: ReachablePeer, connected: boolean): RequestFailed {
  if (thrown instanceof RequestFailed) return thrown;
  if (thrown instanceof ConclaveError) {
    const { presented } = thrown.data;
    const reason = presented === undefined ? thrown.message : `${thrown.message}; it presented ${presented}`;
    return new RequestFailed(thrown.code, reason, false, { cause: thrown });
  }
  const code = String(
    (thrown as { code?: unknown } | null)?.code ?? (thrown as Error | null)?.name ?? 'unknown',
  );
  const unconnected = UNCONNECTED.has(code) || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS');
  const reason = REASONS[code] ?? reasonOf(thrown);
  return new RequestFailed(code, `${new URL(peer.url).host}: ${reason}`, connected || !unconnected, {
    cause: thrown,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens there',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name cannot be resolved at the moment',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out',
  UND_ERR_HEADERS_TIMEOUT: 'it accepted the request and did not answer in time',
  UND_ERR_BODY_TIMEOUT: 'its answer stopped half-way',
  UND_ERR_SOCKET: 'the connection was closed before the answer',
};
