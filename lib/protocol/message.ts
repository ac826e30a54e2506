/**
 * RESTQP messages as they travel (FQ-P2…P8): parsing what a peer sent, writing what we send.
 *
 * Answers to bad bodies are the original's, word for word; what the original leaves unbounded or unspecified is
 * bounded here. Authentication is not this module's business: `peerId` is given by whoever identified the peer.
 */
import { z } from 'zod';
import type { AsyncData, IncomingMessage } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import { JsonRefused, parseJson } from '../json.ts';
import { formatWireDate, isOriginalDate, parseWireDate } from './wire-dates.ts';

export const MAX_ID_LENGTH = 128;
export const MAX_TEXT_LENGTH = 1024;
export const MAX_INFO_LENGTH = 2048;
export const MAX_ASYNC_DATA = 256;

/**
 * Text that PostgreSQL can store and that every reader sees alike: no U+0000, no lone surrogates.
 * Lengths count code points, as the original's do.
 */
function text(max: number) {
  return z.string().refine((value) => fits(value, max) && !value.includes('\0') && value.isWellFormed());
}

function fits(value: string, max: number): boolean {
  if (value.length <= max) return true;
  return value.length <= 2 * max && [...value].length <= max;
}

/** A required text of the original, which takes a string that looks like a date for a date, hence for no string. */
function requiredText(max: number) {
  return text(max).refine((value) => !isOriginalDate(value));
}

const wireDate = z
  .string()
  .max(64)
  .transform((value, context) => {
    const date = parseWireDate(value);
    if (date === null) context.addIssue({ code: 'custom', message: 'not a date' });
    return date;
  })
  .nullish();

const asyncDataReference = z.object({
  url: text(MAX_TEXT_LENGTH).refine((value) => URL.canParse(value) && new URL(value).protocol === 'https:'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  size: z.int().nonnegative(),
});

/** Plain URLs, the shape that the original's documentation names, are of no effect there and here (FQ-P11). */
const asyncData = z
  .record(text(MAX_ID_LENGTH), z.union([z.string(), asyncDataReference]))
  .refine((value) => Object.keys(value).length <= MAX_ASYNC_DATA)
  .nullish();

/** The order of the keys is that in which the original checks them: the first bad one is named. */
const bodySchema = z.object({
  message_id: requiredText(MAX_ID_LENGTH),
  action: requiredText(MAX_TEXT_LENGTH),
  sender_url: requiredText(MAX_TEXT_LENGTH),
  task_id: requiredText(MAX_ID_LENGTH).nullish(),
  data: z.unknown().optional(),
  pingback_date: wireDate,
  expiration_date: wireDate,
  info: text(MAX_INFO_LENGTH).nullish(),
  info_text: text(MAX_INFO_LENGTH).nullish(),
  async_data: asyncData,
});

const queueSchema = text(MAX_TEXT_LENGTH).refine((value) => value.length > 0);

/** Throws `invalid_json`, as the original does also for an empty body and for `{}`. */
export function parseBody(bytes: Uint8Array): Json {
  let body: Json;
  try {
    body = parseJson(bytes);
  } catch (reason) {
    if (reason instanceof JsonRefused) throw new ConclaveError('invalid_json', { reason: reason.message });
    throw reason;
  }
  if (isEmpty(body)) throw new ConclaveError('invalid_json', { reason: 'it is empty' });
  return body;
}

/** What is false in the original's language: `{}`, `[]`, `""`, `0`, `false`, `null`. */
function isEmpty(body: Json): boolean {
  if (body === null || typeof body !== 'object') return !body;
  return (Array.isArray(body) ? body : Object.keys(body)).length === 0;
}

/** Throws `invalid_field` naming the first bad field, or `unknown_queue` for a name that no queue can have. */
export function parseMessage(body: Json, queue: string, peerId: string): IncomingMessage {
  const parsed = bodySchema.safeParse(isRecord(body) ? body : {});
  if (!parsed.success) throw new ConclaveError('invalid_field', { field: firstField(parsed.error) });
  const fields = parsed.data;
  if (!queueSchema.safeParse(queue).success) {
    throw new ConclaveError('unknown_queue', {
      action: fields.action,
      queue: queue.slice(0, MAX_TEXT_LENGTH),
    });
  }
  return {
    peerId,
    messageId: fields.message_id,
    senderUrl: fields.sender_url,
    queue,
    action: fields.action,
    taskId: fields.task_id || null,
    data: (fields.data ?? null) as Json,
    infoText: fields.info_text ?? fields.info ?? null,
    pingbackDate: fields.pingback_date ?? null,
    expirationDate: fields.expiration_date ?? null,
    asyncData: referencesOf(fields.async_data),
  };
}

function isRecord(body: Json): body is { [key: string]: Json } {
  return body !== null && typeof body === 'object' && !Array.isArray(body);
}

function firstField(error: z.ZodError): string {
  return String(error.issues[0]?.path[0] ?? 'message_id');
}

function referencesOf(
  value: Record<string, string | AsyncData[string]> | null | undefined,
): AsyncData | null {
  const references = Object.entries(value ?? {}).filter(
    (entry): entry is [string, AsyncData[string]] => typeof entry[1] !== 'string',
  );
  return references.length === 0 ? null : Object.fromEntries(references);
}

/** A message of the outbox, as its sender reads it. */
export interface WireMessage {
  messageId: string;
  senderUrl: string;
  queue: string;
  action: string;
  taskId: string | null;
  data: Json;
  infoText: string | null;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  asyncData: AsyncData | null;
}

/** The body of a single message (FQ-P6): the required fields, `data`, and those of the others that are set. */
export function wireBody(message: WireMessage): Record<string, Json> {
  const body: Record<string, Json> = {
    message_id: message.messageId,
    action: message.action,
    sender_url: message.senderUrl,
    data: message.data,
  };
  if (message.taskId !== null) body.task_id = message.taskId;
  if (message.pingbackDate !== null) body.pingback_date = formatWireDate(message.pingbackDate);
  if (message.expirationDate !== null) body.expiration_date = formatWireDate(message.expirationDate);
  if (message.infoText !== null) {
    // The original's sender writes `info`, its receiver reads `info_text`.
    body.info = message.infoText;
    body.info_text = message.infoText;
  }
  if (message.asyncData !== null) body.async_data = message.asyncData as unknown as Json;
  return body;
}

/** An entry of a batch between two Conclave nodes, as JSON. */
export function batchEntry(message: WireMessage): string {
  return JSON.stringify({ queue: message.queue, ...wireBody(message) });
}
