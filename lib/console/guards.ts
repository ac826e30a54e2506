/**
 * What every request to the console passes before anything looks at it: the name under which it was asked for (DNS
 * rebinding), the headers that confine the page, the session, and proof that the page itself sent what changes something.
 */
import type { Request, RequestHandler, Response } from 'express';
import type { Knex } from 'knex';
import { ConclaveError } from '../errors.ts';
import { CSRF_HEADER } from './contract.ts';
import { type Session, sameToken, sessionOf } from './sessions.ts';

const POLICY = [
  `default-src 'none'`,
  `script-src 'self'`,
  `style-src 'self'`,
  `img-src 'self' data:`,
  `connect-src 'self'`,
  `font-src 'self'`,
  `form-action 'none'`,
  `base-uri 'none'`,
  `frame-ancestors 'none'`,
  `require-trusted-types-for 'script'`,
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  'Cache-Control': 'no-store',
};

export const confine: RequestHandler = (_request, response, next) => {
  response.set(HEADERS);
  next();
};

/** A page of an attacker whose name resolves to this address sends that name. */
export function onlyHosts(allowed: () => readonly string[]): RequestHandler {
  return (request, _response, next) => {
    const host = request.headers.host ?? '';
    if (allowed().includes(host.toLowerCase())) return next();
    throw new ConclaveError('host_refused', { host: host.slice(0, 100) });
  };
}

/** Refuses what another web site's page asks for: by the browser's own word, and by the origin. */
export const onlyOwnPages: RequestHandler = (request, _response, next) => {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') throw refuse('it is of another site');
  const { origin, host } = request.headers;
  const changes = request.method !== 'GET' && request.method !== 'HEAD';
  if (changes && origin !== undefined && URL.parse(origin)?.host !== host)
    throw refuse('its origin is another');
  next();
};

function refuse(reason: string): ConclaveError {
  return new ConclaveError('csrf_refused', { reason });
}

export const COOKIE = 'conclave_console';

export function cookieOf(request: Request): string | undefined {
  const values = (request.headers.cookie ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${COOKIE}=`));
  // Two of one name: somebody has planted one.
  return values.length === 1 ? values[0]!.slice(COOKIE.length + 1) : undefined;
}

/** Everything but GET carries the session's token. */
export function requireSession(db: Knex): RequestHandler {
  return async (request, response, next) => {
    const session = await sessionOf(db, cookieOf(request));
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const given = request.get(CSRF_HEADER);
      if (given === undefined || !sameToken(given, session.csrfToken))
        throw refuse(`${CSRF_HEADER} is wrong`);
    }
    response.locals.session = session;
    next();
  };
}

export function sessionIn(response: Response): Session {
  return response.locals.session as Session;
}

/** So many attempts to use a link a minute, over all callers: links are long, and made one at a time. */
export class Attempts {
  readonly #most: number;
  #since = 0;
  #count = 0;

  constructor(most = 10) {
    this.#most = most;
  }

  /** @throws ConclaveError `too_many_attempts` */
  take(now = Date.now()): void {
    if (now - this.#since > 60_000) {
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count > this.#most)
      throw new ConclaveError('too_many_attempts', {
        seconds: Math.ceil((this.#since + 60_000 - now) / 1000),
      });
  }
}
