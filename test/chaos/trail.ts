/*
 * What the audit trails say of messages (D24), against what the nodes' tables say: an entry is written in the
 * transaction that sends or processes its message, so nothing else would show that a message was processed twice.
 */
import type { ChaosAuthority } from './authority.ts';

export interface TrailRows {
  /** By message, from which peer: how often it was entered as received. */
  readonly received: ReadonlyMap<string, number>;
  /** Ids of messages that were entered as sent. */
  readonly sent: ReadonlySet<string>;
  /** Ids of messages in the tables. */
  readonly inbox: ReadonlySet<string>;
  readonly outbox: ReadonlySet<string>;
}

/** Sealed or waiting to be. */
const ENTRIES = `select line from (select entries from log_entries) as logs,
  unnest(string_to_array(entries, chr(10))) as line
  where line like '%"kind":"received"%' or line like '%"kind":"sent"%'`;
const MESSAGES = `select id, coalesce(peer_id, '') as peer, is_received as received from messages`;

interface Entry {
  readonly kind: 'received' | 'sent';
  readonly message: string;
  readonly peer: string;
}

export async function readTrail({ database }: ChaosAuthority): Promise<TrailRows> {
  const received = new Map<string, number>();
  const sent = new Set<string>();
  for (const { line } of await database.rows<{ line: string }>(ENTRIES)) {
    const { kind, message, peer } = JSON.parse(line) as Entry;
    if (kind === 'sent') sent.add(message);
    else received.set(keyOf(peer, message), (received.get(keyOf(peer, message)) ?? 0) + 1);
  }
  const messages = await database.rows<{ id: string; peer: string; received: boolean }>(MESSAGES);
  const ours = messages.filter((message) => message.received);
  return {
    received,
    sent,
    inbox: new Set(ours.map(({ id, peer }) => keyOf(peer, id))),
    outbox: new Set(messages.filter((message) => !message.received).map(({ id }) => id)),
  };
}

function keyOf(peer: string, message: string): string {
  return `${peer}/${message}`;
}

/** Messages that were processed twice, and messages of which the trail says nothing, or says what is not so. */
export function trailViolations(name: string, { received, sent, inbox, outbox }: TrailRows): string[] {
  const twice = [...received].filter(([, times]) => times > 1);
  return [
    ...twice.map(([key, times]) => `${name}: the message ${key} was processed ${times} times`),
    ...missing(inbox, received).map((key) => `${name}: the trail does not say that ${key} was received`),
    ...missing(received, inbox).map(
      (key) => `${name}: the trail says that ${key} was received; it is not there`,
    ),
    ...missing(outbox, sent).map((id) => `${name}: the trail does not say that ${id} was sent`),
    ...missing(sent, outbox).map((id) => `${name}: the trail says that ${id} was sent; it is not there`),
  ];
}

function missing(
  from: ReadonlySet<string> | ReadonlyMap<string, unknown>,
  among: ReadonlySet<string> | ReadonlyMap<string, unknown>,
): string[] {
  return [...from.keys()].filter((key) => !among.has(key));
}
