/**
 * Answering with an error: status, code and text for the caller, one structured line for this node's log.
 *
 * Errors that the original's node answers too have its body, `{"message": …}`, and nothing else; the others add `code` and `data`.
 * The header `X-Conclave-Error` always carries the code.
 */
import type { ErrorRequestHandler, Request, Response } from 'express';
import { ConclaveError, type ErrorCode, reasonOf } from '../errors.ts';
import type { Log } from './log.ts';
import type { Peer } from './peers.ts';

export const ERROR_HEADER = 'X-Conclave-Error';

const ORIGINAL_ANSWERS: ReadonlySet<ErrorCode> = new Set([
  'invalid_json',
  'invalid_field',
  'unknown_action',
  'unknown_queue',
]);

/** After how many seconds a temporary refusal is worth another try. */
const RETRY_AFTER: Partial<Record<ErrorCode, number>> = {
  queue_full: 5,
  shutting_down: 1,
  database_unavailable: 1,
};

const MAX_LOGGED_PATH = 200;

/** The client went away before its request was complete: nobody is left to answer. */
export class ClientGone extends Error {}

/** Turns whatever was thrown into an error of the list; what is not expected shows nothing of itself. */
export function asConclaveError(thrown: unknown): ConclaveError {
  return thrown instanceof ConclaveError
    ? thrown
    : new ConclaveError('internal_error', {}, { cause: thrown });
}

export function refuse(request: Request, response: Response, error: ConclaveError, log: Log): void {
  logRefusal(request, response, error, log);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { code, status, message, data } = error;
  const body = ORIGINAL_ANSWERS.has(code)
    ? { message }
    : { message, code, ...(Object.keys(data).length > 0 ? { data } : {}) };
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader(ERROR_HEADER, code);
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Content-Length', Buffer.byteLength(text));
  const retryAfter = RETRY_AFTER[code];
  if (retryAfter !== undefined) response.setHeader('Retry-After', retryAfter);
  // What is left of the body is not read, and strangers need no connection that stays.
  if (!request.complete || code === 'unknown_certificate' || code === 'certificate_required') {
    response.setHeader('Connection', 'close');
  }
  response.end(text);
}

function logRefusal(request: Request, response: Response, error: ConclaveError, log: Log): void {
  const peer = response.locals.peer as Peer | undefined;
  const fields = {
    event: 'request_refused',
    code: error.code,
    status: error.status,
    method: request.method,
    path: request.originalUrl.slice(0, MAX_LOGGED_PATH),
    address: request.socket.remoteAddress,
    peer: peer?.name,
    fingerprint: error.data.fingerprint ?? response.locals.fingerprint,
    reason: error.data.reason,
  };
  if (error.code === 'internal_error') {
    log.error({ ...fields, err: error.cause, reason: reasonOf(error.cause) }, 'request failed');
  } else {
    log.warn(fields, error.message);
  }
}

/** The last handler of the federation's app. */
export function refusalHandler(log: Log): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    if (thrown instanceof ClientGone) {
      response.destroy();
      return;
    }
    // Express' router throws this for a path with bad escapes.
    const error =
      thrown instanceof URIError
        ? new ConclaveError('not_found', { path: request.originalUrl.slice(0, MAX_LOGGED_PATH) })
        : asConclaveError(thrown);
    refuse(request, response, error, log);
  };
}
