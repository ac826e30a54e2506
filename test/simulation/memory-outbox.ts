/** The outbox and the health of peers in a database in memory: the contract of `lib/store/outbox.ts`. */
import type { OutboxMessage, OutboxStore, Overdue } from '../../lib/store/outbox.ts';
import type { PeerRow } from '../../lib/store/peers.ts';
import type { MemoryDatabase, OutboxRow } from './memory-database.ts';
import type { Gate } from './memory-store.ts';

export function createMemoryOutbox(database: MemoryDatabase, gate: Gate): OutboxStore {
  const alone = <T>(effect: () => T): Promise<T> => gate.pass('alone', (answer) => answer(effect()));
  const pending = (sequence: number, attempts?: number): OutboxRow | undefined => {
    const row = database.pending.get(sequence);
    return row === undefined || (attempts !== undefined && row.attempts !== attempts) ? undefined : row;
  };
  const peer = (id: string, change: (row: PeerRow) => Partial<PeerRow>): boolean => {
    const row = database.peers.get(id);
    if (row !== undefined) database.peers.set(id, { ...row, ...change(row) });
    return row !== undefined;
  };
  return {
    peersWithPendingMessages: () =>
      alone(() => [...new Set([...database.pending.values()].map(({ peerId }) => peerId))].sort()),
    takeMessages: ({ peerId, limit, now, leaseUntil }) =>
      alone(() => {
        const at = now.getTime();
        const due = [...database.pending.values()]
          .filter((row) => row.peerId === peerId && (row.attempts === 0 || row.nextAttempt <= at))
          .filter((row) => !waitsForEarlier(database, row, at))
          .sort((one, other) => one.sequence - other.sequence)
          .slice(0, limit);
        for (const row of due) {
          row.attempts += 1;
          row.nextAttempt = leaseUntil.getTime();
        }
        return due.map(messageOf);
      }),
    extendLeases: (items, leaseUntil) =>
      alone(() => {
        for (const { sequence, attempts } of items) {
          const row = pending(sequence, attempts);
          if (row !== undefined) row.nextAttempt = leaseUntil.getTime();
        }
      }),
    settleDelivered: (items) =>
      alone(() => {
        let settled = 0;
        for (const { sequence, status, error } of items) {
          const row = pending(sequence);
          if (row === undefined) continue;
          Object.assign(row, { status, error });
          database.settle(row, 'delivered');
          settled += 1;
        }
        return settled;
      }),
    settleRetried: (items) =>
      alone(() => {
        for (const { sequence, attempts, nextAttempt, status, error } of items) {
          const row = pending(sequence, attempts);
          if (row !== undefined) Object.assign(row, { nextAttempt: nextAttempt.getTime(), status, error });
        }
      }),
    recordRefusals: (items) =>
      alone(() => {
        for (const { sequence, status, error } of items) {
          const row = pending(sequence);
          if (row !== undefined) Object.assign(row, { status, error });
        }
      }),
    settleDead: (items) =>
      alone(() => {
        for (const { sequence, status, error } of items) {
          const row = pending(sequence);
          if (row === undefined) continue;
          Object.assign(row, { status, error });
          database.settle(row, 'dead');
        }
      }),
    overdueMessages: (now, limit) =>
      alone(() =>
        [...database.pending.values()]
          .filter(({ deadline }) => deadline !== null && deadline <= now)
          .slice(0, limit)
          .map(overdueOf),
      ),
    messagesToPeer: (peerId, limit) =>
      alone(() =>
        [...database.pending.values()]
          .filter((row) => row.peerId === peerId)
          .slice(0, limit)
          .map(overdueOf),
      ),
    recordPeerContact: (id, date) =>
      alone(() => {
        peer(id, ({ lastContact }) => ({ lastContact: later(lastContact, date) }));
      }),
    markPeerUp: (id, date) =>
      alone(() => {
        const up = { downSince: null, nextAttempt: null, lastError: null };
        peer(id, ({ lastContact }) => ({ lastContact: later(lastContact, date), ...up }));
      }),
    markPeerDown: (id, { since, nextAttempt, error }) =>
      alone(() => {
        peer(id, ({ downSince }) => ({ downSince: downSince ?? since, nextAttempt, lastError: error }));
      }),
    claimPeerProbe: (id, now, until) =>
      alone(() => {
        const row = database.peers.get(id);
        if (row === undefined || row.downSince === null) return false;
        if (row.nextAttempt !== null && row.nextAttempt > now) return false;
        return peer(id, () => ({ nextAttempt: until }));
      }),
    hastenPeerProbe: (id, now) =>
      alone(() => {
        const row = database.peers.get(id);
        if (row?.downSince == null || row.nextAttempt === null || row.nextAttempt <= now) return;
        peer(id, () => ({ nextAttempt: now }));
      }),
  };
}

/** An earlier message of its task waits for its time, or is on its way. */
function waitsForEarlier(database: MemoryDatabase, row: OutboxRow, now: number): boolean {
  if (row.taskId === null) return false;
  for (const earlier of database.pending.values())
    if (
      earlier.taskId === row.taskId &&
      earlier.sequence < row.sequence &&
      earlier.attempts > 0 &&
      earlier.nextAttempt > now
    )
      return true;
  return false;
}

function messageOf({
  status: _status,
  state: _state,
  nextAttempt: _next,
  ...message
}: OutboxRow): OutboxMessage {
  return message;
}

function overdueOf(row: OutboxRow): Overdue {
  const { sequence, messageId, peerId, receiverUrl, taskId, deadline, error } = row;
  return { sequence, messageId, peerId, receiverUrl, taskId, deadline, error };
}

function later(one: Date | null, other: Date): Date {
  return one === null || other > one ? other : one;
}
