/**
 * A simulated node: a database in memory and processes that serve it, each the production's engine, outbox sender and
 * reception. A supervisor starts a process again when it has died.
 */
import type { QueueOptions, Registry } from '../../lib/engine/definitions.ts';
import { Engine } from '../../lib/engine/engine.ts';
import type { IncomingMessage, Receipt } from '../../lib/engine/model.ts';
import type { Answer } from '../../lib/protocol/client.ts';
import type { KnownPeers, Peer } from '../../lib/protocol/peers.ts';
import { Reception } from '../../lib/protocol/reception.ts';
import { OutboxSender } from '../../lib/protocol/sender.ts';
import type { PeerRow } from '../../lib/store/peers.ts';
import { Machine, type NodeState } from './machine.ts';
import { MemoryDatabase } from './memory-database.ts';
import { createMemoryOutbox } from './memory-outbox.ts';
import { createMemoryStore } from './memory-store.ts';
import { answer, type Network, refusal, type Server } from './network.ts';
import type { Random } from './random.ts';

/** What is configured the same for all processes of a node. */
export interface NodeSettings {
  queues: Readonly<Record<string, QueueOptions>>;
  capacity: number;
  leaseSeconds: number;
  /** In seconds. */
  reservationTimeout: number;
  handlerTransactions: number;
  /** Whether a process that starts knows which ones have died before. */
  knowsTheDead: boolean;
  leaseMilliseconds: number;
}

/** The `node` that handlers see, with the machine that they run on. */
export interface SimulatedNodeName {
  readonly name: string;
  readonly url: string;
  readonly machine: Machine;
}

export interface NodeParts {
  state: NodeState;
  registry: Registry;
  settings: NodeSettings;
  network: Network;
  random: Random;
  peers: readonly PeerRow[];
  processes: number;
  skew(): number;
  received(node: string, messages: readonly IncomingMessage[], receipts: readonly Receipt[]): void;
}

export function urlOf(name: string): string {
  return `https://${name}.test:5000/api/queues`;
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

export class SimulatedNode {
  readonly name: string;
  readonly url: string;
  readonly database: MemoryDatabase;
  readonly parts: NodeParts;
  /** By index; a process that is down has no entry. */
  readonly running = new Map<number, RunningProcess>();
  readonly dead = new Set<string>();
  databaseSkew = 0;
  #started = 0;

  constructor(parts: NodeParts) {
    const { name, world } = parts.state;
    this.parts = parts;
    this.name = name;
    this.url = urlOf(name);
    this.database = new MemoryDatabase({
      url: this.url,
      now: () => new Date(Date.UTC(2030, 0, 1) + world.now + this.databaseSkew),
    });
    for (const peer of parts.peers) this.database.peers.set(peer.id, peer);
  }

  start(): void {
    for (let index = 0; index < this.parts.processes; index += 1) this.startProcess(index);
  }

  startProcess(index: number): void {
    if (this.running.has(index)) return;
    const { state, random, skew } = this.parts;
    this.#started += 1;
    const name = `${this.name}${index}.${this.#started}`;
    const machine = new Machine(state, index, name, random, skew(), () => {
      this.dead.add(name);
      this.running.delete(index);
      for (const listener of state.listeners)
        if (listener.machine === machine) state.listeners.delete(listener);
      state.world.after(20 + 600 * random.real(), null, () => this.startProcess(index));
    });
    const started = new RunningProcess(this, machine);
    this.running.set(index, started);
    started.start().catch(() => machine.die());
  }

  /** Ends a process in order; it is started again. */
  stopProcess(index: number, graceSeconds: number): void {
    const process = this.running.get(index);
    if (process === undefined) return;
    const { machine } = process;
    process.stop(graceSeconds).then(
      () => machine.die(),
      () => machine.die(),
    );
  }

  /** One of the processes that live; requests and commands reach any of them. */
  readonly any = (): RunningProcess | undefined => {
    const living = [...this.running.values()].filter(({ ready }) => ready);
    return living.length === 0 ? undefined : this.parts.random.pick(living);
  };
}

export class RunningProcess implements Server {
  readonly machine: Machine;
  readonly engine: Engine;
  readonly sender: OutboxSender;
  readonly peers: PeerCopies;
  ready = false;
  readonly #reception: Reception;

  constructor(node: SimulatedNode, machine: Machine) {
    const { settings, registry, network, received } = node.parts;
    const { database, name, url } = node;
    this.machine = machine;
    this.peers = new PeerCopies(database, machine);
    const peers = this.peers;
    this.engine = new Engine({
      store: createMemoryStore(database, machine, settings),
      registry,
      peers: {
        idByUrl: (wanted) => peers.list().find((peer) => peer.url === wanted)?.id,
        dialect: (id) => peers.byId(id)?.dialect ?? 'unknown',
      },
      node: { name, url, machine } as SimulatedNodeName,
      log: silent,
      clock: machine,
      chance: machine,
      queues: settings.queues,
      capacity: settings.capacity,
      leaseSeconds: settings.leaseSeconds,
      reservationTimeout: settings.reservationTimeout,
      workerName: machine.name,
      isDeadWorker: (worker) => settings.knowsTheDead && node.dead.has(worker),
      onOutgoing: (ids) => this.sender.poke(ids),
    });
    this.sender = new OutboxSender({
      store: createMemoryOutbox(database, machine),
      peers,
      client: network.client(machine),
      undeliverable: (items) => this.engine.undeliverable(items),
      log: silent,
      clock: machine,
      random: machine.random,
      limits: { leaseMilliseconds: settings.leaseMilliseconds, requestMilliseconds: 2500 },
    });
    this.#reception = new Reception({
      receive: async (messages) => {
        const receipts = await this.engine.receive(messages);
        received(name, messages, receipts);
        return receipts;
      },
      log: silent,
      clock: machine,
    });
  }

  async start(): Promise<void> {
    await this.peers.start();
    await this.engine.start();
    await this.sender.start();
    this.ready = true;
  }

  async stop(graceSeconds: number): Promise<void> {
    this.ready = false;
    await this.engine.stop(graceSeconds);
    await this.sender.stop();
    this.peers.stop();
  }

  identify(): Answer {
    return answer(200, { dialect: 'conclave', version: '0', name: this.machine.node.name });
  }

  async batch(from: string, body: unknown): Promise<Answer> {
    return this.#serve(from, async (peer) => {
      this.sender.contacted(peer, 'conclave');
      return answer(200, { results: await this.#reception.batch(body as never, peer) });
    });
  }

  async single(from: string, queue: string, body: unknown): Promise<Answer> {
    return this.#serve(from, async (peer) => {
      this.sender.contacted(peer, null);
      await this.#reception.single(body as never, queue, peer);
      return answer(200);
    });
  }

  async #serve(from: string, work: (peer: Peer) => Promise<Answer>): Promise<Answer> {
    const peer = this.peers.byId(from);
    if (peer === undefined) return answer(403, null, 'unknown_certificate');
    try {
      return await work(peer);
    } catch (thrown) {
      return refusal(thrown);
    }
  }
}

/** The peers as a process knows them: a copy of the table, as old as its last reading. */
class PeerCopies implements KnownPeers {
  readonly #database: MemoryDatabase;
  readonly #machine: Machine;
  #copies = new Map<string, Peer>();
  #stopped = false;

  constructor(database: MemoryDatabase, machine: Machine) {
    this.#database = database;
    this.#machine = machine;
  }

  async start(): Promise<void> {
    await this.refresh();
    this.#poll();
  }

  stop(): void {
    this.#stopped = true;
  }

  byId(id: string): Peer | undefined {
    return this.#copies.get(id);
  }

  list(): Peer[] {
    return [...this.#copies.values()];
  }

  onChange(): () => void {
    return () => {};
  }

  refresh(): Promise<void> {
    return this.#machine.pass('alone', (done) => {
      this.#copies = new Map(this.#database.peers);
      done();
    });
  }

  async setDialect(id: string, dialect: Peer['dialect']): Promise<void> {
    if (this.#copies.get(id)?.dialect === dialect) return;
    await this.#machine.pass<void>('alone', (done) => {
      const row = this.#database.peers.get(id);
      if (row !== undefined) this.#database.peers.set(id, { ...row, dialect });
      done();
    });
    await this.refresh();
  }

  #poll(): void {
    this.#machine.after(1000, () => {
      if (this.#stopped) return;
      this.refresh()
        .catch(() => {})
        .finally(() => this.#poll());
    });
  }
}
