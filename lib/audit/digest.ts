/**
 * The digest of a message: computed alike by who sends it and by who receives it, so that their logs can be held
 * against each other (D24). It covers everything that a message says, and nothing of how it travels.
 */
import { hash } from 'node:crypto';
import type { IncomingMessage, OutgoingMessage } from '../engine/model.ts';
import { canonicalJson } from './canonical.ts';

/** SHA-256 of a text's UTF-8 bytes in lower-case hex; under simulation something cheaper. */
export type TextHash = (text: string) => string;

export const sha256: TextHash = (text) => hash('sha256', text, 'hex');

const MESSAGE_TAG = 'conclave-log-message-1\n';

export type MessageContent = Pick<
  OutgoingMessage & IncomingMessage,
  | 'messageId'
  | 'queue'
  | 'action'
  | 'taskId'
  | 'data'
  | 'infoText'
  | 'pingbackDate'
  | 'expirationDate'
  | 'asyncData'
>;

/** `senderUrl`: the root of the sender's queues, as the message says it. */
export function messageDigest(message: MessageContent, senderUrl: string, digest: TextHash = sha256): string {
  return digest(`${MESSAGE_TAG}${messageText(message, senderUrl)}`);
}

/** What is hashed, after the tag: all ten fields, in the order of their names; absent ones are null. */
export function messageText(message: MessageContent, senderUrl: string): string {
  const { action, asyncData, data, expirationDate, infoText, messageId, pingbackDate, queue, taskId } =
    message;
  const references = asyncData === null || Object.keys(asyncData).length === 0 ? null : asyncData;
  return (
    `{"action":${JSON.stringify(action)},"async_data":${references === null ? 'null' : canonicalJson(references)},` +
    `"data":${canonicalJson(data)},"expiration_date":${dateText(expirationDate)},` +
    `"info_text":${JSON.stringify(infoText)},"message_id":${JSON.stringify(messageId)},` +
    `"pingback_date":${dateText(pingbackDate)},"queue":${JSON.stringify(queue)},` +
    `"sender_url":${JSON.stringify(senderUrl)},"task_id":${taskId ? JSON.stringify(taskId) : 'null'}}`
  );
}

function dateText(date: Date | null): string {
  return date === null ? 'null' : `"${date.toISOString()}"`;
}
