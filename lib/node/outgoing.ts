/**
 * The only way to the URLs that others name (D25): https, no redirects, bounded in size and time, no proxy from the
 * environment. The host is resolved once, every address is checked, and the connection goes to exactly these addresses:
 * a name that answers differently the next time is not asked again.
 *
 * This node shows its own certificate (the original's peers ask for it). The server is recognised by pinned certificates,
 * when the caller has them, exactly as a peer is (D22: names and dates do not count); otherwise by host name and
 * certificate authorities. Nothing is sent before that.
 *
 * Errors: `outgoing_refused` when policy forbids it, `outgoing_failed` for all else; `data.problem` says which failure.
 */
import { createHash } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns/promises';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { isIP, type LookupFunction } from 'node:net';
import { getCACertificates, TLSSocket } from 'node:tls';
import { buildConnector, Client, type Dispatcher } from 'undici';

import { ConclaveError, reasonOf } from '../errors.ts';
import { fingerprintOf, pinCertificate } from '../protocol/certificate.ts';
import {
  acceptableUrl,
  checkAddresses,
  hostOf,
  type OutgoingPolicy,
  type ResolvedAddress,
  shown,
} from './outgoing-policy.ts';

/** All addresses of a host. */
export type Resolve = (host: string) => Promise<readonly ResolvedAddress[]>;

export interface OutgoingOptions {
  policy: OutgoingPolicy;
  /** PEM; shown to every server that asks. */
  identity?: { certificate: string; privateKey: string };
  /** PEM; trusted beside the system's certificate authorities. */
  authorities?: readonly string[];
  resolve?: Resolve;
  timeouts?: Partial<OutgoingTimeouts>;
}

/** In milliseconds. */
export interface OutgoingTimeouts {
  connect: number;
  /** Until the answer begins. */
  headers: number;
  /** Between pieces of the answer. */
  idle: number;
  /** All of one post. */
  post: number;
  /** All of one download: whoever sends a byte a second is cut off then. */
  download: number;
}

export const DEFAULT_TIMEOUTS: Readonly<OutgoingTimeouts> = {
  connect: 10_000,
  headers: 60_000,
  idle: 60_000,
  post: 60_000,
  download: 6 * 3_600_000,
};

export interface RequestOptions {
  /** Accept exactly these server certificates (PEM), and no others. */
  pinned?: readonly string[];
  signal?: AbortSignal;
}

export interface DownloadOptions extends RequestOptions {
  maxBytes: number;
  /** Refuse other contents. */
  sha256?: Uint8Array;
}

export interface Downloaded {
  sha256: Buffer;
  /** In bytes. */
  size: number;
}

/** What `data.problem` of `outgoing_failed` can be. */
export type OutgoingProblem =
  | 'unresolved'
  | 'unreachable'
  | 'certificate'
  | 'redirect'
  | 'status'
  | 'encoded'
  | 'too_large'
  | 'hash_mismatch'
  | 'too_slow'
  | 'aborted'
  | 'disk';

const MAX_ANSWER_BYTES = 64 << 10;

class Failed extends Error {
  readonly problem: OutgoingProblem;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(problem: OutgoingProblem, reason: string, data: Readonly<Record<string, unknown>> = {}) {
    super(reason);
    this.problem = problem;
    this.data = data;
  }
}

export class Outgoing {
  readonly #options: OutgoingOptions;
  readonly #timeouts: OutgoingTimeouts;
  readonly #resolve: Resolve;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    this.#resolve = options.resolve ?? resolveBySystem;
  }

  /** Resolves the host and checks everything that can be checked before a connection. Throws `outgoing_refused`. */
  async check(url: string, signal?: AbortSignal): Promise<void> {
    await this.#within(url, this.#timeouts.post, signal, async (parsed, within) => {
      await this.#addresses(parsed, within);
    });
  }

  /** POSTs JSON (a callback, EO-27, EO-41). Any 2xx is success; the answer's body is bounded and given back. */
  async postJson(
    url: string,
    body: unknown,
    options: RequestOptions = {},
  ): Promise<{ status: number; body: string }> {
    return await this.#within(url, this.#timeouts.post, options.signal, async (parsed, signal) => {
      const bytes = Buffer.from(JSON.stringify(body));
      const headers = { 'content-type': 'application/json' };
      return await this.#request(
        parsed,
        { method: 'POST', headers, body: bytes },
        options,
        signal,
        async (answer) => {
          const parts: Uint8Array[] = [];
          for await (const chunk of bounded(answer, MAX_ANSWER_BYTES)) parts.push(chunk);
          return { status: answer.statusCode, body: Buffer.concat(parts).toString() };
        },
      );
    });
  }

  /**
   * Streams the contents of a URL to a file (EO-32), durably, through `<path>.part`; mode 0600. The file has its name only
   * when everything arrived and the hash, if there is one to compare with, is right.
   */
  async download(url: string, path: string, options: DownloadOptions): Promise<Downloaded> {
    return await this.#within(url, this.#timeouts.download, options.signal, async (parsed, signal) => {
      return await this.#request(parsed, { method: 'GET' }, options, signal, async (answer) => {
        if (answer.statusCode !== 200)
          throw new Failed('status', `it answered ${answer.statusCode}, not 200`);
        return await saveTo(path, bounded(answer, options.maxBytes), options.sha256);
      });
    });
  }

  /** Runs `work` within a time; whatever goes wrong comes out as one of the two errors. */
  async #within<Result>(
    text: string,
    milliseconds: number,
    outer: AbortSignal | undefined,
    work: (url: URL, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const url = acceptableUrl(text);
    const deadline = AbortSignal.timeout(milliseconds);
    const signal = outer === undefined ? deadline : AbortSignal.any([outer, deadline]);
    try {
      signal.throwIfAborted();
      return await work(url, signal);
    } catch (thrown) {
      if (thrown instanceof ConclaveError) throw thrown;
      const failed = outer?.aborted
        ? new Failed('aborted', 'it was cancelled')
        : deadline.aborted
          ? new Failed('too_slow', `it took longer than ${milliseconds / 1000} seconds`)
          : asFailed(thrown);
      const data = { url: shown(url), reason: failed.message, problem: failed.problem, ...failed.data };
      throw new ConclaveError('outgoing_failed', data, { cause: thrown });
    }
  }

  async #addresses(url: URL, signal: AbortSignal): Promise<readonly ResolvedAddress[]> {
    const host = hostOf(url);
    const version = isIP(host);
    const addresses =
      version === 0
        ? await orAborted(this.#resolve(host), signal).catch((thrown: unknown) => {
            throw new Failed('unresolved', `the host ${host} cannot be resolved (${reasonOf(thrown)})`);
          })
        : [{ address: host, family: version as 4 | 6 }];
    checkAddresses(url, addresses, this.#options.policy);
    return addresses;
  }

  async #request<Result>(
    url: URL,
    request: Pick<Dispatcher.RequestOptions, 'method' | 'body' | 'headers'>,
    { pinned }: RequestOptions,
    signal: AbortSignal,
    read: (answer: Dispatcher.ResponseData) => Promise<Result>,
  ): Promise<Result> {
    const addresses = await this.#addresses(url, signal);
    const client = new Client(url.origin, {
      connect: this.#connector(addresses, pinned),
      headersTimeout: this.#timeouts.headers,
      bodyTimeout: this.#timeouts.idle,
      pipelining: 1,
      allowH2: false,
    });
    try {
      const answer = await client.request({ ...request, path: `${url.pathname}${url.search}`, signal });
      refuseAnswer(answer);
      return await read(answer);
    } finally {
      await client.destroy();
    }
  }

  /** Connects to the checked addresses only, and hands the connection over once the server is recognised. */
  #connector(
    addresses: readonly ResolvedAddress[],
    pinned: readonly string[] | undefined,
  ): buildConnector.connector {
    const { identity, authorities } = this.#options;
    const fingerprints = pinned?.map((pem) => pinCertificate(pem).fingerprint);
    const connect = buildConnector({
      lookup: lookupOf(addresses),
      timeout: this.#timeouts.connect,
      maxCachedSessions: 0,
      allowH2: false,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: fingerprints === undefined,
      ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.privateKey }),
      ...(authorities === undefined ? {} : { ca: [...getCACertificates('default'), ...authorities] }),
    });
    if (fingerprints === undefined) return connect;
    return (target, callback) =>
      connect(target, (...[error, socket]) => {
        if (error !== null) return callback(error, null);
        const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
        if (certificate !== undefined && fingerprints.includes(fingerprintOf(certificate.raw))) {
          return callback(null, socket);
        }
        socket.destroy();
        callback(new Failed('certificate', 'its server did not present the pinned certificate'), null);
      });
  }
}

const resolveBySystem: Resolve = async (host) =>
  (await systemLookup(host, { all: true, verbatim: true })).map(({ address, family }) => ({
    address,
    family: family === 6 ? 6 : 4,
  }));

/** Answers with the addresses that were checked, whatever is asked. */
function lookupOf(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first!.address, first!.family);
  };
}

/** The first to settle; a promise that cannot be stopped is left behind. */
async function orAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function refuseAnswer({ statusCode, headers }: Dispatcher.ResponseData): void {
  if (statusCode >= 300 && statusCode < 400) {
    throw new Failed('redirect', `it answered ${statusCode}, a redirect, and redirects are not followed`);
  }
  if (statusCode < 200 || statusCode > 299) {
    throw new Failed('status', `it answered ${statusCode}`, { status: statusCode });
  }
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Failed('encoded', 'its contents are compressed, though nobody asked for that');
  }
}

/** The pieces of an answer; an error as soon as there are, or are announced to be, too many. */
async function* bounded(
  { headers, body }: Dispatcher.ResponseData,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const tooLarge = (): Failed => new Failed('too_large', `its contents have more than ${maxBytes} bytes`);
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    yield chunk;
  }
}

async function saveTo(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  expected?: Uint8Array,
): Promise<Downloaded> {
  const part = `${path}.part`;
  let file: FileHandle | undefined;
  try {
    await onDisk(rm(part, { force: true }));
    file = await onDisk(open(part, 'wx', 0o600));
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of chunks) {
      hash.update(chunk);
      size += chunk.length;
      await onDisk(file.writeFile(chunk));
    }
    const sha256 = hash.digest();
    if (expected !== undefined && !sha256.equals(expected)) {
      const [actual, wanted] = [sha256.toString('hex'), Buffer.from(expected).toString('hex')];
      throw new Failed('hash_mismatch', `its contents have the SHA-256 ${actual}, not ${wanted}`, {
        actual,
        expected: wanted,
      });
    }
    await onDisk(file.sync());
    await file.close();
    await onDisk(rename(part, path));
    return { sha256, size };
  } catch (thrown) {
    await file?.close().catch(() => undefined);
    await rm(part, { force: true });
    throw thrown;
  }
}

async function onDisk<Value>(work: Promise<Value>): Promise<Value> {
  return await work.catch((thrown: unknown) => {
    throw new Failed('disk', `the file cannot be written (${reasonOf(thrown)})`);
  });
}

/** undici's and Node's errors, in words. */
function asFailed(thrown: unknown): Failed {
  if (thrown instanceof Failed) return thrown;
  const code = String((thrown as { code?: unknown } | null)?.code ?? '');
  if (/TIMEOUT|ETIMEDOUT/.test(code)) return new Failed('too_slow', `it was too slow (${reasonOf(thrown)})`);
  if (/CERT|ERR_TLS|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_SSL/.test(code)) {
    return new Failed('certificate', `its server is not trusted (${reasonOf(thrown)})`);
  }
  return new Failed('unreachable', reasonOf(thrown));
}
