/**
 * Batches of messages between two Conclave nodes (D21): `{"messages": [{"queue": …, …body}]}`, answered by
 * `{"results": [{"message_id", "status", "code"?, "message"?}]}` in the same order. A result's status is the one that
 * the message alone would have got, so one bad message does not hold up the others.
 */
import { z } from 'zod';
import type { IncomingMessage } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import { parseMessage } from './message.ts';

export const MAX_BATCH_MESSAGES = 1000;

/** What a Conclave node says of itself at `GET /api/conclave`. */
export const identitySchema = z.object({
  dialect: z.literal('conclave'),
  version: z.string().max(64),
  name: z.string().max(256),
});
export type NodeIdentity = z.infer<typeof identitySchema>;

const batchSchema = z.object({ messages: z.array(z.record(z.string(), z.unknown())).min(1) });

const resultSchema = z.object({
  message_id: z.string().nullable(),
  status: z.int().min(100).max(599),
  code: z
    .string()
    .regex(/^[a-z_]{1,64}$/)
    .optional()
    .catch(undefined),
  message: z.string().optional(),
});
const resultsSchema = z.object({ results: z.array(resultSchema).max(MAX_BATCH_MESSAGES) });
export type BatchResult = z.infer<typeof resultSchema>;

/** An entry of a batch: the message, or why it is none. */
export type BatchEntry =
  | { messageId: string; message: IncomingMessage }
  | { messageId: string | null; refusal: ConclaveError };

/** Throws `invalid_request` when the batch as a whole is none. */
export function parseBatch(body: Json, peerId: string): BatchEntry[] {
  const parsed = batchSchema.safeParse(body);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.join('.') || 'body'}: ${message}`,
    );
    throw new ConclaveError('invalid_request', { problems: problems.slice(0, 10) });
  }
  const { messages } = parsed.data;
  if (messages.length > MAX_BATCH_MESSAGES) {
    throw new ConclaveError('invalid_request', { problems: [`more than ${MAX_BATCH_MESSAGES} messages`] });
  }
  return messages.map((entry) => parseEntry(entry as Record<string, Json>, peerId));
}

function parseEntry(entry: Record<string, Json>, peerId: string): BatchEntry {
  const { queue, message_id: messageId } = entry;
  try {
    if (typeof queue !== 'string') throw new ConclaveError('invalid_field', { field: 'queue' });
    const message = parseMessage(entry, queue, peerId);
    return { messageId: message.messageId, message };
  } catch (reason) {
    if (!(reason instanceof ConclaveError)) throw reason;
    return { messageId: typeof messageId === 'string' ? messageId : null, refusal: reason };
  }
}

/** Reads the answer to a batch of `messageIds`; null when it does not answer exactly that batch. */
export function parseBatchResults(body: unknown, messageIds: readonly string[]): BatchResult[] | null {
  const parsed = resultsSchema.safeParse(body);
  if (!parsed.success || parsed.data.results.length !== messageIds.length) return null;
  const { results } = parsed.data;
  return results.every((result, index) => result.message_id === messageIds[index]) ? results : null;
}
