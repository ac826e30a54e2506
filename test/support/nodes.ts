/*
 * Engines for tests: each with a database of its own, joined by a network in memory that delivers outboxes to
 * `receive`. What travels, and how often, is the test's to decide.
 */
import type { Knex } from 'knex';
import type { DefinedContainer, DefinedTask, QueueOptions } from '../../lib/engine/definitions.ts';
import { Registry } from '../../lib/engine/definitions.ts';
import { Engine, type EngineOptions } from '../../lib/engine/engine.ts';
import type { IncomingMessage, Receipt, Task } from '../../lib/engine/model.ts';
import { type Database, openDatabase } from '../../lib/store/database.ts';
import { createEngineStore } from '../../lib/store/engine-store.ts';
import { loadMigrations, migrate } from '../../lib/store/migrate.ts';
import { createTestDatabase, type TestDatabase } from './postgresql.ts';

export interface TestNode {
  name: string;
  url: string;
  engine: Engine;
  database: Database;
  /** Stops the engine; the database stays. */
  stop(graceSeconds?: number): Promise<void>;
  /** Another process on the same database. */
  another(options?: Partial<EngineOptions>): Promise<Engine>;
  /** What was logged at warn and error. */
  log: { fields: object; message: string | undefined }[];
  tasks(): Promise<Task[]>;
}

export interface NodeOptions {
  definitions: (DefinedTask | DefinedContainer)[];
  queues?: Record<string, QueueOptions>;
  engine?: Partial<EngineOptions>;
}

interface Sent extends IncomingMessage {
  seq: string;
}

export class TestFederation {
  readonly nodes = new Map<string, TestNode>();
  readonly #databases: TestDatabase[] = [];
  readonly #engines: Engine[] = [];
  readonly #delivering = new Map<string, Promise<void>>();
  /** Every message that was delivered, with the answer. */
  readonly delivered: { from: string; to: string; message: IncomingMessage; receipt: Receipt }[] = [];
  /** How often a message is delivered now: 0 keeps it in the outbox. */
  copies: (from: string, to: string, message: IncomingMessage) => number = () => 1;
  /** What becomes of a message on its way. */
  alter: (from: string, to: string, message: IncomingMessage) => IncomingMessage = (_from, _to, message) =>
    message;
  readonly dialects = new Map<string, 'conclave' | 'frestq'>();

  async add(name: string, options: NodeOptions): Promise<TestNode> {
    const created = await createTestDatabase();
    this.#databases.push(created);
    const database = openDatabase({ address: created.address });
    await migrate(database.knex, await loadMigrations());
    const url = `https://${name}.test:5000/api/queues`;
    const log: TestNode['log'] = [];
    const start = async (extra: Partial<EngineOptions> = {}): Promise<Engine> => {
      const engine = this.#engine(name, url, database, options, log, extra);
      this.#engines.push(engine);
      await engine.start();
      return engine;
    };
    const engine = await start();
    const node: TestNode = {
      name,
      url,
      engine,
      database,
      log,
      stop: (grace = 5) => engine.stop(grace),
      another: start,
      tasks: async () => {
        const { rows } = await database.knex.raw('select id from tasks order by created_date, "order"');
        return Promise.all(rows.map(async ({ id }: { id: string }) => (await engine.store.task(id))!));
      },
    };
    this.nodes.set(name, node);
    return node;
  }

  #engine(
    name: string,
    url: string,
    database: Database,
    options: NodeOptions,
    log: TestNode['log'],
    extra: Partial<EngineOptions>,
  ): Engine {
    const note = (fields: object, message?: string) => void log.push({ fields, message });
    return new Engine({
      store: createEngineStore(database, url),
      registry: new Registry(options.definitions),
      peers: {
        idByUrl: (wanted) => [...this.nodes.values()].find((node) => node.url === wanted)?.name,
        dialect: (id) => this.dialects.get(id) ?? 'conclave',
      },
      node: { name, url },
      log: { debug: () => {}, info: () => {}, warn: note, error: note },
      queues: options.queues ?? {},
      onOutgoing: (peers) => {
        for (const peer of peers) void this.deliver(name, peer);
      },
      ...options.engine,
      ...extra,
    });
  }

  /** Delivers what waits from one node to another, in order. */
  deliver(from: string, to: string): Promise<void> {
    const key = `${from}>${to}`;
    const next = (this.#delivering.get(key) ?? Promise.resolve()).then(() => this.#deliverNow(from, to));
    this.#delivering.set(
      key,
      next.catch(() => {}),
    );
    return next;
  }

  async #deliverNow(from: string, to: string): Promise<void> {
    const sender = this.nodes.get(from);
    const receiver = this.nodes.get(to);
    if (sender === undefined || receiver === undefined) return;
    const { knex } = sender.database;
    const messages = await pending(knex, to, from);
    for (const message of messages) {
      const copies = this.copies(from, to, message);
      if (copies === 0) continue;
      for (let copy = 0; copy < copies; copy += 1) {
        const [receipt] = await receiver.engine.receive([this.alter(from, to, message)]);
        this.delivered.push({ from, to, message, receipt: receipt! });
        if (copy === 0 && receipt!.outcome === 'rejected') await refuse(sender, message, receipt!);
      }
      await knex.raw(`update messages set state = 'delivered' where seq = ? and state = 'pending'`, [
        message.seq,
      ]);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#engines.map((engine) => engine.stop(0).catch(() => {})));
    await Promise.all(this.#delivering.values());
    await Promise.all([...this.nodes.values()].map(({ database }) => database.close()));
    await Promise.all(this.#databases.map((database) => database.drop()));
  }
}

async function refuse(sender: TestNode, message: IncomingMessage, receipt: Receipt): Promise<void> {
  if (receipt.outcome !== 'rejected' || receipt.failure.code === 'queue_full') return;
  const { messageId, taskId } = message;
  await sender.engine.undeliverable([{ messageId, taskId, failure: receipt.failure }]);
}

async function pending(knex: Knex, to: string, from: string): Promise<Sent[]> {
  const { rows } = await knex.raw(
    `select seq, id, sender_url, queue_name, action, task_id, input_data, info_text, pingback_date, expiration_date,
       async_data from messages where state = 'pending' and peer_id = ? order by seq`,
    [to],
  );
  return rows.map((row: Record<string, never>) => ({
    seq: row.seq,
    peerId: from,
    messageId: row.id,
    senderUrl: row.sender_url,
    queue: row.queue_name,
    action: row.action,
    taskId: row.task_id,
    data: row.input_data,
    infoText: row.info_text,
    pingbackDate: row.pingback_date,
    expirationDate: row.expiration_date,
    asyncData: row.async_data,
  }));
}

/** Waits until a condition holds; fails with its name after ten seconds. */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`not within ten seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
