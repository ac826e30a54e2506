/** The table `messages` in a transaction of the engine: the inbox's record, and what goes into the outbox (D21). */
import { receivedLines, sentLines } from '../audit/entries.ts';
import type { IncomingMessage, OutgoingMessage } from '../engine/model.ts';
import type { ProcessedMessage } from '../engine/store.ts';
import { AUDITED, auditedBindings, auditedSettlement } from './audit.ts';
import type { Session } from './session.ts';
import { jsonText } from './task-rows.ts';

/** Which of the messages were processed before, as `peerId/messageId`. */
export async function processedBefore(
  transaction: Session,
  messages: readonly IncomingMessage[],
): Promise<Set<string>> {
  const { rows } = await transaction.raw<{ rows: { key: string }[] }>(
    `select peer_id || '/' || id as key from messages
     where is_received and (peer_id, id) in (select * from unnest(cast(? as text[]), cast(? as text[])))`,
    [messages.map(({ peerId }) => peerId), messages.map(({ messageId }) => messageId)],
  );
  return new Set(rows.map(({ key }) => key));
}

const RECORD_INCOMING = `with ${AUDITED}
  insert into messages
  (id, peer_id, is_received, sender_url, receiver_url, queue_name, action, task_id, input_data, info_text,
   pingback_date, expiration_date, async_data, output_status, error, state, settled_date)
  select id, peer_id, true, sender_url, ?, queue_name, action, task_id, input_data, info_text,
    pingback_date, expiration_date, async_data, output_status, error, 'processed', now()
  from unnest(cast(? as text[]), cast(? as text[]), cast(? as text[]), cast(? as text[]), cast(? as text[]),
    cast(? as text[]), cast(? as json[]), cast(? as text[]), cast(? as timestamptz[]), cast(? as timestamptz[]),
    cast(? as json[]), cast(? as integer[]), cast(? as json[]))
    as v (id, peer_id, sender_url, queue_name, action, task_id, input_data, info_text, pingback_date,
      expiration_date, async_data, output_status, error)`;

export async function recordIncoming(
  transaction: Session,
  ownUrl: string,
  records: readonly ProcessedMessage[],
  now: Date,
): Promise<void> {
  const messages = records.map(({ message }) => message);
  await transaction.write(RECORD_INCOMING, [
    ...auditedBindings(receivedLines(records, now)),
    ownUrl,
    messages.map(({ messageId }) => messageId),
    messages.map(({ peerId }) => peerId),
    messages.map(({ senderUrl }) => senderUrl),
    messages.map(({ queue }) => queue),
    messages.map(({ action }) => action),
    records.map(({ taskId }) => taskId),
    messages.map(({ data }) => jsonText(data)),
    messages.map(({ infoText }) => infoText),
    messages.map(({ pingbackDate }) => pingbackDate),
    messages.map(({ expirationDate }) => expirationDate),
    messages.map(({ asyncData }) => jsonText(asyncData)),
    records.map(({ status }) => status),
    records.map(({ failure }) => jsonText(failure)),
  ]);
}

const RECORD_OUTGOING = `with ${AUDITED}
  insert into messages
  (id, peer_id, is_received, sender_url, receiver_url, queue_name, action, task_id, created_date, input_data,
   info_text, pingback_date, expiration_date, async_data, state, next_attempt, deadline)
  select v.id, v.peer_id, false, ?, coalesce(peers.url, ''), v.queue_name, v.action, v.task_id, ?, v.input_data,
    v.info_text, v.pingback_date, v.expiration_date, v.async_data, 'pending', ?, v.deadline
  from unnest(cast(? as text[]), cast(? as text[]), cast(? as text[]), cast(? as text[]), cast(? as text[]),
    cast(? as json[]), cast(? as text[]), cast(? as timestamptz[]), cast(? as timestamptz[]), cast(? as json[]),
    cast(? as timestamptz[])) with ordinality
    as v (id, peer_id, queue_name, action, task_id, input_data, info_text, pingback_date, expiration_date,
      async_data, deadline, place)
  left join peers on peers.id = v.peer_id
  order by v.place`;

export async function recordOutgoing(
  transaction: Session,
  ownUrl: string,
  messages: readonly OutgoingMessage[],
  now: Date,
): Promise<void> {
  await transaction.write(RECORD_OUTGOING, [
    ...auditedBindings(sentLines(messages, ownUrl, now)),
    ownUrl,
    now,
    now,
    messages.map(({ messageId }) => messageId),
    messages.map(({ peerId }) => peerId),
    messages.map(({ queue }) => queue),
    messages.map(({ action }) => action),
    messages.map(({ taskId }) => taskId),
    messages.map(({ data }) => jsonText(data)),
    messages.map(({ infoText }) => infoText),
    messages.map(({ pingbackDate }) => pingbackDate),
    messages.map(({ expirationDate }) => expirationDate),
    messages.map(({ asyncData }) => jsonText(asyncData)),
    messages.map(({ deadline }) => deadline),
  ]);
}

export async function withdraw(transaction: Session, taskIds: readonly string[], now: Date): Promise<void> {
  await transaction.write(
    `with done as (
       update messages set state = 'withdrawn', settled_date = ?
       where task_id = any(?) and state = 'pending' and attempts = 0
       returning seq, id, peer_id, 'withdrawn' as reason),
     ${auditedSettlement('done')}
     select 1`,
    [now, taskIds, now.toISOString()],
  );
}

export async function bury(
  transaction: Session,
  messages: readonly { messageId: string; failure: unknown }[],
  now: Date,
): Promise<void> {
  await transaction.write(
    `with done as (
       update messages set state = 'dead', error = v.error, settled_date = ?
       from unnest(cast(? as text[]), cast(? as json[])) as v (id, error)
       where messages.id = v.id and not is_received and state = 'pending'
       returning seq, messages.id, peer_id, 'dead' as reason),
     ${auditedSettlement('done')}
     select 1`,
    [
      now,
      messages.map(({ messageId }) => messageId),
      messages.map(({ failure }) => jsonText(failure)),
      now.toISOString(),
    ],
  );
}
