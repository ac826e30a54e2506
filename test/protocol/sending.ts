/** A sender on a real database with a clock to turn, and the messages that tests put into its outbox. */
import { randomUUID } from 'node:crypto';
import type { Failure } from '../../lib/errors.ts';
import { FederationClient } from '../../lib/protocol/client.ts';
import type { LaneLimits } from '../../lib/protocol/lane.ts';
import { type Peer, PeerDirectory } from '../../lib/protocol/peers.ts';
import { OutboxSender } from '../../lib/protocol/sender.ts';
import type { UndeliverableMessage } from '../../lib/protocol/settlement.ts';
import { createOutboxStore } from '../../lib/store/outbox.ts';
import { type Serving, serve } from './serving.ts';
import {
  type LogLine,
  openTestStore,
  recordingLog,
  TestClock,
  type TestIdentity,
  type TestStore,
} from './support.ts';

export interface Sending {
  clock: TestClock;
  peers: PeerDirectory;
  client: FederationClient;
  sender: OutboxSender;
  lines: LogLine[];
  undeliverable: UndeliverableMessage[];
  /** Adds a peer that has this certificate and URL. */
  addPeer(name: string, identity: TestIdentity, url: string): Promise<Peer>;
  /** Wakes the sender and waits until there is nothing more to do for the moment. */
  round(): Promise<void>;
  close(): Promise<void>;
}

export async function startSending(
  { db }: TestStore,
  identity: TestIdentity,
  limits: Partial<LaneLimits> = {},
  clock = new TestClock(),
): Promise<Sending> {
  const { log, lines } = recordingLog();
  const peers = new PeerDirectory({ db, log, clock });
  await peers.start();
  const client = new FederationClient({ identity });
  const undeliverable: UndeliverableMessage[] = [];
  const sender = new OutboxSender({
    store: createOutboxStore(db),
    peers,
    client,
    log,
    clock,
    // The longest delay that jitter can give.
    random: () => 1,
    limits,
    async undeliverable(items) {
      undeliverable.push(...items);
      const ids = items.map(({ messageId }) => messageId);
      await db.raw(`update messages set state = 'dead' where id = any(?)`, [ids]);
    },
  });
  await sender.start();
  return {
    clock,
    peers,
    client,
    sender,
    lines,
    undeliverable,
    addPeer: (name, its, url) =>
      peers.add({ name, url, certificates: [its.certificate], roles: ['authority'] }),
    async round() {
      await sender.look();
      await sender.settled();
    },
    async close() {
      await sender.stop();
      await client.close();
      await peers.stop();
    },
  };
}

export interface NewMessage {
  action?: string;
  queue?: string;
  taskId?: string | null;
  data?: unknown;
  deadline?: Date | null;
  infoText?: string;
}

/** Puts messages into the outbox as the engine does; resolves to their ids. */
export async function addMessages({ db }: TestStore, peer: Peer, messages: NewMessage[]): Promise<string[]> {
  const ids: string[] = [];
  for (const {
    action = 'act',
    queue = 'q',
    taskId,
    data = null,
    deadline = null,
    infoText = null,
  } of messages) {
    const id = randomUUID();
    ids.push(id);
    await db.raw(
      `insert into messages (id, peer_id, is_received, sender_url, receiver_url, queue_name, action, task_id,
         input_data, info_text, deadline, state)
       values (?, ?, false, 'https://a.org/api/queues', ?, ?, ?, ?, cast(? as json), ?, ?, 'pending')`,
      [
        id,
        peer.id,
        peer.url,
        queue,
        action,
        taskId === undefined ? randomUUID() : taskId,
        JSON.stringify(data),
        infoText,
        deadline,
      ],
    );
  }
  return ids;
}

export interface MessageState {
  id: string;
  state: string;
  attempts: number;
  output_status: number | null;
  next_attempt: Date;
  error: Failure | null;
}

/** The outbox, in order. */
export async function outbox({ db }: TestStore): Promise<MessageState[]> {
  const { rows } = await db.raw<{ rows: MessageState[] }>(
    `select id, state, attempts, output_status, next_attempt, error from messages order by seq`,
  );
  return rows;
}

/** The scene of the sender's tests; its parts are there while a test runs. */
export interface Scene {
  readonly store: TestStore;
  readonly sending: Sending;
  /** Closes something when the test is over. */
  later<Closable extends { close(): Promise<unknown> }>(closable: Closable): Closable;
  states(): Promise<string[]>;
  peerRow(id: string): Promise<Peer>;
  /** A Conclave node that knows the certificate of the sender. */
  conclavePeer(): Promise<Serving>;
}

/** Sets the scene with mocha's hooks: one database, emptied for every test, and a sender that is ours. */
export function setScene(own: TestIdentity, other: TestIdentity): Scene {
  let store: TestStore;
  let sending: Sending;
  const cleanUp: (() => Promise<unknown>)[] = [];
  before(async () => {
    store = await openTestStore();
  });
  after(() => store.close());
  beforeEach(async () => {
    await store.db.raw('delete from peers; delete from messages');
    sending = await startSending(store, own);
    cleanUp.push(() => sending.close());
  });
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
  });
  const scene: Scene = {
    get store() {
      return store;
    },
    get sending() {
      return sending;
    },
    later(closable) {
      cleanUp.push(() => closable.close());
      return closable;
    },
    states: async () => (await outbox(store)).map(({ state }) => state),
    async peerRow(id) {
      await sending.peers.refresh();
      return sending.peers.byId(id)!;
    },
    async conclavePeer() {
      const serving = scene.later(await serve(other));
      serving.peers.add('us', own);
      return serving;
    },
  };
  return scene;
}

export const urlOf = ({ port }: { port: number }): string => `https://127.0.0.1:${port}/api/queues`;
