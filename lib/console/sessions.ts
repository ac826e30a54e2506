/**
 * Who may use the console: one-time links, made in the node's own database by whoever owns the node, and the sessions that
 * they are exchanged for. The database holds SHA-256 of tokens only; who reads it cannot take a session over.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Knex } from 'knex';
import { ConclaveError } from '../errors.ts';

export interface Session {
  readonly operator: string;
  readonly csrfToken: string;
  readonly expires: Date;
}

export const LINK_SECONDS = 120;
export const IDLE_SECONDS = 30 * 60;
const SESSION_SECONDS = 12 * 3600;

/** @returns the token of a link that can be used once, within `LINK_SECONDS` */
export async function createLink(db: Knex, operator: string): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  await db.raw('delete from console_links where expires_date < now()');
  await db.raw(
    `insert into console_links (token_hash, operator, expires_date) values (?, ?, now() + ? * interval '1 second')`,
    [digest(token), operator, LINK_SECONDS],
  );
  return token;
}

/** Exchanges a link for a session; of two who try at the same moment, one succeeds. @throws ConclaveError `link_refused` */
export async function openSession(db: Knex, link: string): Promise<{ cookie: string; session: Session }> {
  const { rows: links } = await db.raw<{ rows: { operator: string }[] }>(
    'delete from console_links where token_hash = ? and expires_date > now() returning operator',
    [digest(link)],
  );
  const operator = links[0]?.operator;
  if (operator === undefined) throw new ConclaveError('link_refused');
  const cookie = randomBytes(32).toString('base64url');
  const csrfToken = randomBytes(32).toString('base64url');
  await db.raw('delete from console_sessions where expires_date < now()');
  const { rows } = await db.raw<{ rows: { expires: Date }[] }>(
    `insert into console_sessions (token_hash, operator, csrf_token, expires_date)
     values (?, ?, ?, now() + ? * interval '1 second') returning expires_date as expires`,
    [digest(cookie), operator, csrfToken, SESSION_SECONDS],
  );
  return { cookie, session: { operator, csrfToken, expires: rows[0]!.expires } };
}

/** The session of a cookie, which counts as used. @throws ConclaveError `session_required` */
export async function sessionOf(db: Knex, cookie: string | undefined): Promise<Session> {
  if (cookie === undefined) throw new ConclaveError('session_required');
  const { rows } = await db.raw<{ rows: Session[] }>(
    `update console_sessions set last_used_date = now()
     where token_hash = ? and expires_date > now() and last_used_date > now() - ? * interval '1 second'
     returning operator, csrf_token as "csrfToken", expires_date as expires`,
    [digest(cookie), IDLE_SECONDS],
  );
  if (rows[0] === undefined) throw new ConclaveError('session_required');
  return rows[0];
}

export async function endSession(db: Knex, cookie: string): Promise<void> {
  await db.raw('delete from console_sessions where token_hash = ?', [digest(cookie)]);
}

/** In a time that does not tell where they differ. */
export function sameToken(one: string, other: string): boolean {
  return timingSafeEqual(digest(one), digest(other));
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token, 'utf8').digest();
}
