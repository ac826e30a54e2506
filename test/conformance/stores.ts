/** The stores whose behaviour must be the same: PostgreSQL, and the simulation's in memory. */
import type { EngineStore } from '../../lib/engine/store.ts';
import { openDatabase } from '../../lib/store/database.ts';
import { createEngineStore } from '../../lib/store/engine-store.ts';
import { loadMigrations, migrate } from '../../lib/store/migrate.ts';
import { createOutboxStore, type OutboxStore } from '../../lib/store/outbox.ts';
import { insertPeer, listPeers, type PeerRow } from '../../lib/store/peers.ts';
import { MemoryDatabase } from '../simulation/memory-database.ts';
import { createMemoryOutbox } from '../simulation/memory-outbox.ts';
import { createMemoryStore, type Gate } from '../simulation/memory-store.ts';
import { createTestDatabase } from '../support/postgresql.ts';

export interface TestedStore {
  engine: EngineStore;
  outbox: OutboxStore;
  addPeer(id: string): Promise<void>;
  peer(id: string): Promise<Pick<PeerRow, 'downSince' | 'nextAttempt' | 'lastError' | 'lastContact'>>;
  /** Nothing is in it any more. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** How many transactions handlers may hold open. */
export const HANDLER_TRANSACTIONS = 3;
const URL = 'https://here.test:5000/api/queues';

async function openPostgres(): Promise<TestedStore> {
  const created = await createTestDatabase();
  const database = openDatabase({ address: created.address });
  const db = database.knex;
  await migrate(db, await loadMigrations());
  return {
    engine: createEngineStore(database, URL, { handlerTransactions: HANDLER_TRANSACTIONS }),
    outbox: createOutboxStore(db),
    addPeer: (id) =>
      insertPeer(db, {
        id,
        name: id,
        url: `https://${id}.test:5000/api/queues`,
        certificates: [],
        roles: ['authority'],
        dialect: 'conclave',
      }),
    peer: async (id) => (await listPeers(db)).find((peer) => peer.id === id)!,
    async empty() {
      await db.raw('truncate tasks, messages, timers, workers, peers cascade');
    },
    async close() {
      await database.close();
      await created.drop();
    },
  };
}

/** Every statement has its effect at once. */
const direct: Gate = {
  pass: (_step, effect, transaction) =>
    new Promise((resolve, reject) => {
      try {
        effect(resolve, reject);
      } catch (thrown) {
        if (transaction !== undefined) transaction.failed = true;
        reject(thrown);
      }
    }),
  opened() {},
  closed() {},
  publish() {},
  subscribe: () => () => {},
};

async function openMemory(): Promise<TestedStore> {
  const made = () => {
    const database = new MemoryDatabase({ url: URL, now: () => new Date() });
    return {
      database,
      engine: createMemoryStore(database, direct, { handlerTransactions: HANDLER_TRANSACTIONS }),
      outbox: createMemoryOutbox(database, direct),
    };
  };
  let current = made();
  return {
    get engine() {
      return current.engine;
    },
    get outbox() {
      return current.outbox;
    },
    async addPeer(id) {
      const url = `https://${id}.test:5000/api/queues`;
      const health = { lastContact: null, downSince: null, nextAttempt: null, lastError: null };
      const row = { id, name: id, url, certificates: [], roles: ['authority' as const] };
      current.database.peers.set(id, { ...row, dialect: 'conclave', addedDate: new Date(), ...health });
    },
    peer: async (id) => current.database.peers.get(id)!,
    async empty() {
      current = made();
    },
    close: async () => {},
  };
}

export const STORES: readonly { name: string; open(): Promise<TestedStore> }[] = [
  { name: 'PostgreSQL', open: openPostgres },
  { name: 'the simulation’s, in memory', open: openMemory },
];
