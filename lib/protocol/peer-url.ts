/**
 * A peer's URL: the root of its queues, as it appears in `sender_url` and `receiver_url` (FQ-P5), normalised so that
 * two spellings of one URL are one peer: lower-case host, no default port, no trailing slash.
 */
import { ConclaveError } from '../errors.ts';

const MAX_URL_LENGTH = 1024;

/** Throws `invalid_request` for what cannot be a peer's URL: not https, with credentials, query or fragment. */
export function normalisePeerUrl(text: string): string {
  const refuse = (problem: string) => new ConclaveError('invalid_request', { problems: [`url: ${problem}`] });
  if (text.length > MAX_URL_LENGTH) throw refuse(`longer than ${MAX_URL_LENGTH} characters`);
  const url = URL.parse(text);
  if (url === null) throw refuse('not a URL');
  if (url.protocol !== 'https:')
    throw refuse('must begin with https://, peers are recognised by their certificates');
  if (url.username !== '' || url.password !== '') throw refuse('must not contain a user name or password');
  if (url.search !== '' || url.hash !== '') throw refuse('must not contain a query or a fragment');
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/** Null when the text is no peer's URL. For looking up what came from elsewhere. */
export function normalisedPeerUrlOrNull(text: string): string | null {
  try {
    return normalisePeerUrl(text);
  } catch {
    return null;
  }
}

/** Path of one queue below a peer's URL (FQ-P1). */
export function queuePath(peerUrl: string, queue: string): string {
  return `${new URL(peerUrl).pathname.replace(/\/$/, '')}/${encodeURIComponent(queue)}/`;
}

/** Path of Conclave's own endpoints: beside the queues, `/api/queues` → `/api/conclave`. */
export function conclavePath(peerUrl: string): string {
  return new URL(peerUrl).pathname.replace(/\/[^/]*$/, '/conclave');
}
