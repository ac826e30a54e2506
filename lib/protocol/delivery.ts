/**
 * What an answer means for the message that was sent (D21). Pure: the table of the protocol's documentation as code.
 *
 * | answer | means |
 * |---|---|
 * | 2xx | delivered |
 * | 500 of an original | retry; after `IN_DOUBT_LIMIT` of them taken as delivered, in doubt |
 * | 503 `queue_full`, 408, 425, other 5xx | retry this message |
 * | 429, 502, 503, 504, 3xx, no answer | the peer is down: retry everything |
 * | a Conclave node that does not know us, or not in this role | the same: its operator can repair it |
 * | any other 4xx | dead: refused |
 */
import { ConclaveError, type Failure } from '../errors.ts';
import type { Answer, RequestFailed } from './client.ts';

/**
 * An original answers 500 to a message that it has handled before, and to one that it cannot handle at the moment.
 * After so many of them the message is taken as delivered; the task's next update, or its `pingback_date`, tells.
 */
export const IN_DOUBT_LIMIT = 5;

export const BASE_DELAY_MILLISECONDS = 500;
export const MAX_DELAY_MILLISECONDS = 60_000;

/** Exponential back-off with full jitter: uniform between 0 and the ceiling, which doubles with each attempt. */
export function backOff(attempts: number, random: number): number {
  const ceiling = Math.min(MAX_DELAY_MILLISECONDS, BASE_DELAY_MILLISECONDS * 2 ** Math.min(attempts - 1, 20));
  return Math.round(ceiling * random);
}

export type Outcome =
  | { kind: 'delivered'; status: number; error: Failure | null }
  | { kind: 'dead'; status: number | null; error: Failure }
  | {
      kind: 'retry';
      /** Whether the answer is about this message or about everything that is sent to the peer. */
      about: 'message' | 'peer';
      status: number | null;
      error: Failure;
      /** What the peer asked for. */
      afterMilliseconds: number | null;
    };

/** The part of an answer that decides; a result of a batch has it too. */
export type Verdict = Pick<Answer, 'status' | 'code' | 'text'> &
  Partial<Pick<Answer, 'retryAfterMilliseconds'>>;

export interface Sent {
  peerName: string;
  dialect: 'conclave' | 'frestq';
  /** How many answers 500 the message got before. */
  doubts: number;
}

/** Refusals that say nothing about the message: the peer's operator has not (yet) let us in. */
const TRUST_CODES = new Set([
  'certificate_required',
  'unknown_certificate',
  'wrong_role',
  'proxy_not_allowed',
]);
const PEER_STATUSES = new Set([429, 502, 503, 504]);
const PASSING_STATUSES = new Set([408, 425]);

export function outcomeOf(answer: Verdict, sent: Sent): Outcome {
  const { status, code } = answer;
  if (status >= 200 && status < 300) return { kind: 'delivered', status, error: null };
  if (status === 500 && sent.dialect === 'frestq') return inDoubt(answer, sent);
  const redirected = status >= 300 && status < 400;
  const untrusted = code !== null && TRUST_CODES.has(code);
  if (redirected || untrusted || (PEER_STATUSES.has(status) && code !== 'queue_full')) {
    return retry('peer', answer, sent);
  }
  if (status >= 500 || PASSING_STATUSES.has(status)) return retry('message', answer, sent);
  return {
    kind: 'dead',
    status,
    error: failure('peer_refused', answer, sent),
  };
}

/** What was found out about a peer that cannot be used at the moment. */
export interface PeerDown {
  up: false;
  error: Failure;
  afterMilliseconds: number | null;
}

/** No answer came. */
export function outcomeOfFailure(failed: RequestFailed, sent: Sent): PeerDown {
  const { message: reason, code } = failed;
  const error = new ConclaveError('peer_error', { peer: sent.peerName, reason, code }).toFailure();
  return { up: false, error, afterMilliseconds: null };
}

function inDoubt(answer: Verdict, sent: Sent): Outcome {
  const doubts = sent.doubts + 1;
  const error = failure('peer_error', answer, { ...sent, doubts });
  if (doubts >= IN_DOUBT_LIMIT) return { kind: 'delivered', status: answer.status, error };
  return { kind: 'retry', about: 'message', status: answer.status, error, afterMilliseconds: null };
}

function retry(about: 'message' | 'peer', answer: Verdict, sent: Sent): Outcome {
  return {
    kind: 'retry',
    about,
    status: answer.status,
    error: failure('peer_error', answer, sent),
    afterMilliseconds: answer.retryAfterMilliseconds ?? null,
  };
}

function failure(code: 'peer_refused' | 'peer_error', answer: Verdict, sent: Sent): Failure {
  return new ConclaveError(code, {
    peer: sent.peerName,
    reason: answer.text,
    status: answer.status,
    ...(answer.code === null ? {} : { code: answer.code }),
    ...(sent.doubts === 0 ? {} : { doubts: sent.doubts }),
  }).toFailure();
}

/** How many answers 500 a message got, as its row's `error` remembers. */
export function doubtsOf(error: Failure | null): number {
  const doubts = (error?.data as { doubts?: unknown } | undefined)?.doubts;
  return typeof doubts === 'number' ? doubts : 0;
}
