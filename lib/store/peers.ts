/**
 * The table `peers`: who is trusted by which certificates (D22), and how the connection to each stands.
 *
 * One named query per function. The health columns (`last_contact`, `down_since`, `next_attempt`, `last_error`) are
 * written by whoever talks to the peer; they decide when to try again, and tell operators why something waits (D18).
 */
import type { Knex } from 'knex';

export type PeerRole = 'authority' | 'client' | 'operator';
export type Dialect = 'unknown' | 'conclave' | 'frestq';

/** As stored: see `PinnedCertificate` of the protocol. */
export interface StoredCertificate {
  pem: string;
  fingerprint: string;
  not_after: string;
}

export interface PeerRow {
  id: string;
  name: string;
  /** The root of its queues, for example `https://b.example.org:5000/api/queues`; null: it only calls us. */
  url: string | null;
  certificates: StoredCertificate[];
  roles: PeerRole[];
  dialect: Dialect;
  addedDate: Date;
  lastContact: Date | null;
  downSince: Date | null;
  nextAttempt: Date | null;
  lastError: string | null;
}

const COLUMNS = `id, name, url, certificates, roles, dialect, added_date as "addedDate",
  last_contact as "lastContact", down_since as "downSince", next_attempt as "nextAttempt", last_error as "lastError"`;

/** Channel of `NOTIFY` when a peer was added, changed or removed. */
export const PEERS_CHANNEL = 'conclave_peers';

/** All of them; there are tens, not thousands. */
export async function listPeers(db: Knex): Promise<PeerRow[]> {
  const { rows } = await db.raw<{ rows: PeerRow[] }>(`select ${COLUMNS} from peers order by name`);
  return rows;
}

/**
 * Holds off other changes of the peers until the transaction ends, readers not: that no two peers share a
 * certificate is checked by reading all of them.
 */
export async function lockPeersForChange(transaction: Knex.Transaction): Promise<void> {
  await transaction.raw('lock table peers in share row exclusive mode');
}

export async function insertPeer(
  db: Knex,
  peer: Pick<PeerRow, 'id' | 'name' | 'url' | 'certificates' | 'roles' | 'dialect'>,
): Promise<void> {
  await db.raw(
    `insert into peers (id, name, url, certificates, roles, dialect)
     values (?, ?, ?, cast(? as json), cast(? as text[]), ?)`,
    [peer.id, peer.name, peer.url, JSON.stringify(peer.certificates), peer.roles, peer.dialect],
  );
}

/** Replaces what operators decide about a peer; its health starts anew. */
export async function updatePeer(
  db: Knex,
  peer: Pick<PeerRow, 'id' | 'name' | 'url' | 'certificates' | 'roles' | 'dialect'>,
): Promise<void> {
  await db.raw(
    `update peers set name = ?, url = ?, certificates = cast(? as json), roles = cast(? as text[]), dialect = ?,
       next_attempt = null
     where id = ?`,
    [peer.name, peer.url, JSON.stringify(peer.certificates), peer.roles, peer.dialect, peer.id],
  );
}

/** False when there was no such peer. */
export async function deletePeer(db: Knex, id: string): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>('delete from peers where id = ? returning id', [id]);
  return rows.length > 0;
}

/** In the transaction of the change, so that listeners hear of it when they can see it. */
export async function notifyPeersChanged(db: Knex): Promise<void> {
  await db.raw('select pg_notify(?, ?)', [PEERS_CHANNEL, '']);
}

export async function setPeerDialect(db: Knex, id: string, dialect: Dialect): Promise<void> {
  await db.raw('update peers set dialect = ? where id = ? and dialect <> ?', [dialect, id, dialect]);
}

/** The peer called us. */
export async function recordPeerContact(db: Knex, id: string, date: Date): Promise<void> {
  await db.raw(
    'update peers set last_contact = greatest(last_contact, cast(? as timestamptz)) where id = ?',
    [date, id],
  );
}

/** The peer answered us: whatever was wrong is over. */
export async function markPeerUp(db: Knex, id: string, date: Date): Promise<void> {
  await db.raw(
    `update peers set last_contact = greatest(last_contact, cast(? as timestamptz)),
       down_since = null, next_attempt = null, last_error = null
     where id = ?`,
    [date, id],
  );
}

/** The peer did not answer, or refuses everything. `down_since` keeps the first date. */
export async function markPeerDown(
  db: Knex,
  id: string,
  state: { since: Date; nextAttempt: Date; error: string },
): Promise<void> {
  await db.raw(
    `update peers set down_since = coalesce(down_since, cast(? as timestamptz)), next_attempt = ?, last_error = ?
     where id = ?`,
    [state.since, state.nextAttempt, state.error, id],
  );
}

/** Whether the caller may probe a peer that is down: of all processes that ask, one gets it for a while. */
export async function claimPeerProbe(db: Knex, id: string, now: Date, until: Date): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `update peers set next_attempt = ?
     where id = ? and down_since is not null and coalesce(next_attempt <= ?, true) returning id`,
    [until, id, now],
  );
  return rows.length > 0;
}

/** Lets the next probe of a peer that is down happen at once. */
export async function hastenPeerProbe(db: Knex, id: string, now: Date): Promise<void> {
  await db.raw(
    'update peers set next_attempt = ? where id = ? and down_since is not null and next_attempt > ?',
    [now, id, now],
  );
}
