/**
 * The outbox: the rows of `messages` that are to be delivered (D21). Writing them is the engine's business, in the
 * transaction that causes them; this module takes and settles them.
 *
 * A row that a sender took stays `pending` with `attempts` raised and `next_attempt` at the end of the sender's lease:
 * if the sender dies, the row is due again then. A row that was never attempted is always due, whatever its dates, so
 * that the clocks of database and sender need not agree. Settling names the attempt that it settles: a sender that
 * lost its lease changes nothing.
 */
import type { Knex } from 'knex';
import type { AsyncData } from '../engine/model.ts';
import type { Failure } from '../errors.ts';
import type { Json } from '../json.ts';
import { auditedSettlement } from './audit.ts';
import { claimPeerProbe, hastenPeerProbe, markPeerDown, markPeerUp, recordPeerContact } from './peers.ts';
import { type Raw, sessionOf } from './session.ts';

/** Channel of `NOTIFY` when messages were added to the outbox; the payload may name a peer. */
export const OUTBOX_CHANNEL = 'conclave_outbox';

export interface OutboxMessage {
  sequence: number;
  messageId: string;
  peerId: string;
  senderUrl: string;
  receiverUrl: string;
  queue: string;
  action: string;
  taskId: string | null;
  data: Json;
  infoText: string | null;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  asyncData: AsyncData | null;
  deadline: Date | null;
  /** Counts this attempt. */
  attempts: number;
  /** What the attempt before said. */
  error: Failure | null;
}

const COLUMNS = `m.seq as sequence, m.id as "messageId", m.peer_id as "peerId", m.sender_url as "senderUrl",
  m.receiver_url as "receiverUrl", m.queue_name as queue, m.action, m.task_id as "taskId", m.input_data as data,
  m.info_text as "infoText", m.pingback_date as "pingbackDate", m.expiration_date as "expirationDate",
  m.async_data as "asyncData", m.deadline, m.attempts, m.error`;

/**
 * Commits without waiting for the disk. To lose such a change in a crash means to send a message once more, which
 * receivers tolerate; to wait for the disk would cost every batch two flushes.
 */
const UNFLUSHED = `unflushed as materialized (select set_config('synchronous_commit', 'off', true))`;

// Arrays that hold nulls are cast below: knex' types know no such bindings, PostgreSQL does.

/** bigint arrives as text. */
function withNumber<Row extends { sequence: number | string }>(row: Row): Row & { sequence: number } {
  return { ...row, sequence: Number(row.sequence) };
}

/** The peers for which something is pending (index `messages_outbox`, one step per peer). */
export async function peersWithPendingMessages(db: Raw): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { peerId: string }[] }>(
    `with recursive pending as (
       (select peer_id from messages where state = 'pending' order by peer_id limit 1)
       union all
       select (select m.peer_id from messages m where m.state = 'pending' and m.peer_id > p.peer_id
               order by m.peer_id limit 1)
       from pending p where p.peer_id is not null)
     select peer_id as "peerId" from pending where peer_id is not null`,
  );
  return rows.map(({ peerId }) => peerId);
}

export interface TakeOptions {
  peerId: string;
  limit: number;
  now: Date;
  /** Until then what is taken is in its sender's hands. */
  leaseUntil: Date;
}

/**
 * Takes what is due for a peer, oldest first (index `messages_outbox`). A message waits as long as an earlier one of
 * its task waits or is on its way, so that a task's messages keep their order. That inner question is for the index
 * `messages_task`: it does not name the peer (a task has one), and hides `state` and `seq`, or else the planner may
 * answer it from `messages_outbox`, which takes a hundred times as long when much is pending.
 */
export async function takeMessages(db: Raw, options: TakeOptions): Promise<OutboxMessage[]> {
  const { peerId, limit, now, leaseUntil } = options;
  const { rows } = await db.raw<{ rows: OutboxMessage[] }>(
    `with ${UNFLUSHED}, due as (
       select m.seq from messages m
       where m.peer_id = ? and m.state = 'pending' and (m.attempts = 0 or m.next_attempt <= ?)
         and not exists (
           select 1 from messages e
           where e.task_id = m.task_id and not e.is_received and e.state || '' = 'pending' and e.seq + 0 < m.seq
             and e.attempts > 0 and e.next_attempt > ?)
       order by m.seq limit ? for update skip locked)
     update messages m set attempts = m.attempts + 1, next_attempt = ?
     from due, unflushed where m.seq = due.seq
     returning ${COLUMNS}`,
    [peerId, now, now, limit, leaseUntil],
  );
  return rows.map(withNumber).sort((one, other) => one.sequence - other.sequence);
}

/** Keeps messages that are on their way in the hands of their sender. */
export async function extendLeases(
  db: Raw,
  items: readonly Pick<OutboxMessage, 'sequence' | 'attempts'>[],
  leaseUntil: Date,
): Promise<void> {
  await db.raw(
    `with ${UNFLUSHED}
     update messages m set next_attempt = ?
     from unnest(cast(? as bigint[]), cast(? as integer[])) as s (seq, attempts), unflushed
     where m.seq = s.seq and m.attempts = s.attempts and m.state = 'pending'`,
    [leaseUntil, items.map(({ sequence }) => sequence), items.map(({ attempts }) => attempts)],
  );
}

export interface Delivered {
  sequence: number;
  /** The HTTP status; null when it was not sent, because the peer would not understand it. */
  status: number | null;
  /** What remains to be said about a message that is not simply delivered. */
  error: Failure | null;
}

/** Also when the lease is over: delivered is delivered. Returns how many were pending until now. */
export async function settleDelivered(db: Raw, items: readonly Delivered[], date: Date): Promise<number> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `with ${UNFLUSHED}, settled as (
       select * from unnest(cast(? as bigint[]), cast(? as integer[]), cast(? as json[])) as s (seq, status, error)),
     done as (
       update messages m set state = 'delivered', output_status = s.status, error = s.error, settled_date = ?
       from settled s, unflushed where m.seq = s.seq and m.state = 'pending'
       returning m.seq, m.id, m.peer_id, case when s.status is null then 'unsupported' end as reason),
     ${auditedSettlement('done')}
     select seq from done`,
    [
      items.map(({ sequence }) => sequence),
      items.map(({ status }) => status) as number[],
      items.map(({ error }) => (error === null ? null : JSON.stringify(error))) as string[],
      date,
      date.toISOString(),
    ],
  );
  return rows.length;
}

export interface Retried {
  sequence: number;
  /** The attempt that failed. */
  attempts: number;
  nextAttempt: Date;
  status: number | null;
  error: Failure;
}

export async function settleRetried(db: Raw, items: readonly Retried[]): Promise<void> {
  await db.raw(
    `with ${UNFLUSHED}, settled as (
       select * from unnest(cast(? as bigint[]), cast(? as integer[]), cast(? as timestamptz[]),
         cast(? as integer[]), cast(? as json[])) as s (seq, attempts, next_attempt, status, error))
     update messages m set next_attempt = s.next_attempt, output_status = s.status, error = s.error
     from settled s, unflushed where m.seq = s.seq and m.attempts = s.attempts and m.state = 'pending'`,
    [
      items.map(({ sequence }) => sequence),
      items.map(({ attempts }) => attempts),
      items.map(({ nextAttempt }) => nextAttempt),
      items.map(({ status }) => status) as number[],
      items.map(({ error }) => JSON.stringify(error)),
    ],
  );
}

export interface Dead {
  sequence: number;
  status: number | null;
  error: Failure;
}

/** Notes why a message will not be delivered; that of a task is then settled by the engine, with its task. */
export async function recordRefusals(db: Raw, items: readonly Dead[]): Promise<void> {
  await db.raw(
    `update messages m set output_status = s.status, error = s.error
     from unnest(cast(? as bigint[]), cast(? as integer[]), cast(? as json[])) as s (seq, status, error)
     where m.seq = s.seq and m.state = 'pending'`,
    [
      items.map(({ sequence }) => sequence),
      items.map(({ status }) => status) as number[],
      items.map(({ error }) => JSON.stringify(error)),
    ],
  );
}

/** Settles dead messages that belong to no task. */
export async function settleDead(db: Raw, items: readonly Dead[], date: Date): Promise<void> {
  await db.raw(
    `with done as (
       update messages m set state = 'dead', output_status = s.status, error = s.error, settled_date = ?
       from unnest(cast(? as bigint[]), cast(? as integer[]), cast(? as json[])) as s (seq, status, error)
       where m.seq = s.seq and m.state = 'pending'
       returning m.seq, m.id, m.peer_id, 'dead' as reason),
     ${auditedSettlement('done')}
     select 1`,
    [
      date,
      items.map(({ sequence }) => sequence),
      items.map(({ status }) => status) as number[],
      items.map(({ error }) => JSON.stringify(error)),
      date.toISOString(),
    ],
  );
}

export interface Overdue {
  sequence: number;
  messageId: string;
  peerId: string;
  receiverUrl: string;
  taskId: string | null;
  deadline: Date | null;
  error: Failure | null;
}

const OVERDUE_COLUMNS = `seq as sequence, id as "messageId", peer_id as "peerId", receiver_url as "receiverUrl",
  task_id as "taskId", deadline, error`;

/** Messages past their deadline, of every peer. */
export async function overdueMessages(db: Raw, now: Date, limit: number): Promise<Overdue[]> {
  const { rows } = await db.raw<{ rows: Overdue[] }>(
    `select ${OVERDUE_COLUMNS} from messages where state = 'pending' and deadline <= ? order by seq limit ?`,
    [now, limit],
  );
  return rows.map(withNumber);
}

/** Messages to a peer that cannot be sent anything, because it was removed or has no URL. */
export async function messagesToPeer(db: Raw, peerId: string, limit: number): Promise<Overdue[]> {
  const { rows } = await db.raw<{ rows: Overdue[] }>(
    `select ${OVERDUE_COLUMNS} from messages where state = 'pending' and peer_id = ? order by seq limit ?`,
    [peerId, limit],
  );
  return rows.map(withNumber);
}

/** What the outbox sender needs of its database: the messages, and how the connection to each peer stands (D21). */
export interface OutboxStore {
  peersWithPendingMessages(): Promise<string[]>;
  takeMessages(options: TakeOptions): Promise<OutboxMessage[]>;
  extendLeases(
    items: readonly Pick<OutboxMessage, 'sequence' | 'attempts'>[],
    leaseUntil: Date,
  ): Promise<void>;
  settleDelivered(items: readonly Delivered[], date: Date): Promise<number>;
  settleRetried(items: readonly Retried[]): Promise<void>;
  recordRefusals(items: readonly Dead[]): Promise<void>;
  settleDead(items: readonly Dead[], date: Date): Promise<void>;
  overdueMessages(now: Date, limit: number): Promise<Overdue[]>;
  messagesToPeer(peerId: string, limit: number): Promise<Overdue[]>;
  recordPeerContact(id: string, date: Date): Promise<void>;
  markPeerUp(id: string, date: Date): Promise<void>;
  markPeerDown(id: string, state: { since: Date; nextAttempt: Date; error: string }): Promise<void>;
  claimPeerProbe(id: string, now: Date, until: Date): Promise<boolean>;
  hastenPeerProbe(id: string, now: Date): Promise<void>;
}

export function createOutboxStore(db: Knex): OutboxStore {
  const session = sessionOf(db);
  return {
    peersWithPendingMessages: () => peersWithPendingMessages(session),
    takeMessages: (options) => takeMessages(session, options),
    extendLeases: (items, leaseUntil) => extendLeases(session, items, leaseUntil),
    settleDelivered: (items, date) => settleDelivered(session, items, date),
    settleRetried: (items) => settleRetried(session, items),
    recordRefusals: (items) => recordRefusals(session, items),
    settleDead: (items, date) => settleDead(session, items, date),
    overdueMessages: (now, limit) => overdueMessages(session, now, limit),
    messagesToPeer: (peerId, limit) => messagesToPeer(session, peerId, limit),
    recordPeerContact: (id, date) => recordPeerContact(db, id, date),
    markPeerUp: (id, date) => markPeerUp(db, id, date),
    markPeerDown: (id, state) => markPeerDown(db, id, state),
    claimPeerProbe: (id, now, until) => claimPeerProbe(db, id, now, until),
    hastenPeerProbe: (id, now) => hastenPeerProbe(db, id, now),
  };
}
