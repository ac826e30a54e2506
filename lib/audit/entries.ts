/**
 * Entries of a node's log: what they say, and their exact text (D24). An entry is one line of canonical JSON with at
 * least `kind` and `date`; the rest depends on the kind. Entries never hold what a message says, only its digest.
 * Pure: who writes them down, and in which transaction, is the store's business.
 */
import type { IncomingMessage, OutgoingMessage } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import { canonicalJson } from './canonical.ts';
import { messageDigest, type TextHash } from './digest.ts';

/** An entry as others write it: `kind` in lower case, words joined by `_`; anything else that is JSON. */
export interface AuditEntry {
  readonly kind: string;
  /** When it happened; the time of writing, when it is left out. */
  readonly date?: Date;
  /** Who did it: the operator, the process; `by` is what `conclave log show` prints first. */
  readonly by?: string;
  readonly [field: string]: Json | Date | undefined;
}

/** An entry as it is read from a log. */
export interface LogEntry {
  readonly kind: string;
  readonly date: string;
  readonly [field: string]: Json;
}

/** Kinds that only this folder's own writers may use: others could claim messages that there never were. */
const RESERVED = new Set(['sent', 'received', 'delivered', 'undelivered', 'peers', 'peer_head', 'fork']);
const KIND = /^[a-z][a-z_]{0,63}$/;
export const MAX_ENTRY_BYTES = 64 * 1024;

/**
 * The line of an entry that somebody else writes.
 * @throws ConclaveError `invalid_request` for a kind that is reserved or none, and for what is too large
 */
export function entryLine(entry: AuditEntry, now: Date): string {
  const { kind } = entry;
  if (!KIND.test(kind) || RESERVED.has(kind))
    throw refuse(`the kind ${JSON.stringify(kind)} cannot be recorded`);
  return line(entry, now);
}

function line(entry: AuditEntry, now: Date): string {
  const text = canonicalJson({ ...entry, date: entry.date ?? now });
  if (Buffer.byteLength(text) > MAX_ENTRY_BYTES)
    throw refuse(`an entry of kind ${entry.kind} is larger than ${MAX_ENTRY_BYTES} bytes`);
  return text;
}

function refuse(problem: string): ConclaveError {
  return new ConclaveError('invalid_request', { problems: [`log: ${problem}`] });
}

/** The lines of messages that a transaction puts into the outbox. */
export function sentLines(
  messages: readonly OutgoingMessage[],
  ownUrl: string,
  now: Date,
  digest?: TextHash,
): string[] {
  const date = now.toISOString();
  return messages.map((message) => {
    const { action, messageId, peerId, queue, taskId } = message;
    return (
      `{"action":${JSON.stringify(action)},"date":"${date}","digest":"${messageDigest(message, ownUrl, digest)}",` +
      `"kind":"sent","message":${JSON.stringify(messageId)},"peer":${JSON.stringify(peerId)},` +
      `"queue":${JSON.stringify(queue)},"task":${taskId ? JSON.stringify(taskId) : 'null'}}`
    );
  });
}

/** The lines of messages that were processed; `status` is the HTTP status of the answer. */
export function receivedLines(
  records: readonly { message: IncomingMessage; status: number }[],
  now: Date,
  digest?: TextHash,
): string[] {
  const date = now.toISOString();
  return records.map(({ message, status }) => {
    const { action, messageId, peerId, queue, senderUrl, taskId } = message;
    return (
      `{"action":${JSON.stringify(action)},"date":"${date}",` +
      `"digest":"${messageDigest(message, senderUrl, digest)}",` +
      `"kind":"received","message":${JSON.stringify(messageId)},"peer":${JSON.stringify(peerId)},` +
      `"queue":${JSON.stringify(queue)},"status":${status},"task":${taskId ? JSON.stringify(taskId) : 'null'}}`
    );
  });
}

/** Who is trusted by which certificates: what `peer` means in the entries that follow. */
export interface KnownPeer {
  readonly id: string;
  readonly name: string;
  readonly url: string | null;
  /** Fingerprints: lower-case hex SHA-256 of the DER form. */
  readonly certificates: readonly string[];
}

export function peersLine(peers: readonly KnownPeer[], now: Date): string {
  const listed = peers.map(({ id, name, url, certificates }) => ({ id, name, url, certificates }));
  return canonicalJson({ kind: 'peers', date: now, peers: listed });
}

/** The head of a peer's log as it was received; `fork`: it contradicts another that the same peer has signed. */
export function headLine(
  kind: 'peer_head' | 'fork',
  fields: Readonly<Record<string, Json>>,
  now: Date,
): string {
  return canonicalJson({ ...fields, kind, date: now });
}
