/**
 * The outbox sender: delivers the messages that the engine has committed, until they are acknowledged, refused or past
 * their deadline (D21). It wakes by `poke`, and by looking once a second; a peer's messages are its lane's business.
 *
 * Any number of senders may work on one database: a message in flight is leased, a down peer is probed by one of them,
 * and what is sent twice all the same is recognised by its receiver.
 */
import { type Clock, systemClock } from '../engine/clock.ts';
import { ConclaveError, type Failure, reasonOf } from '../errors.ts';
import type { OutboxStore, Overdue } from '../store/outbox.ts';
import type { Dialect } from '../store/peers.ts';
import type { PeerRequests } from './client.ts';
import { DEFAULT_LANE_LIMITS, Lane, type LaneLimits } from './lane.ts';
import type { Log } from './log.ts';
import type { KnownPeers, Peer } from './peers.ts';
import { Settlement, type Undeliverable } from './settlement.ts';

const POLL_MILLISECONDS = 1000;
const CONTACT_MILLISECONDS = 5000;
const HASTEN_MILLISECONDS = 1000;
const MAX_GIVEN_UP = 1000;

export interface OutboxSenderOptions {
  store: OutboxStore;
  peers: KnownPeers;
  client: PeerRequests;
  undeliverable: Undeliverable;
  log: Log;
  clock?: Clock;
  /** Uniform in [0, 1), for the jitter. */
  random?: () => number;
  limits?: Partial<LaneLimits>;
}

export class OutboxSender {
  readonly #options: OutboxSenderOptions;
  readonly #clock: Clock;
  readonly #settlement: Settlement;
  readonly #lanes = new Map<string, Lane>();
  /** When a peer's contact was last written down, and when its probe was last hastened. */
  readonly #contacts = new Map<string, { recorded: number; hastened: number }>();
  readonly #background = new Set<Promise<unknown>>();
  #cancelPoll: (() => void) | null = null;
  #stopping = false;
  #unreadable = false;
  #unwatch: () => void = () => {};

  constructor(options: OutboxSenderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#settlement = new Settlement({
      store: options.store,
      clock: this.#clock,
      random: options.random ?? Math.random,
      undeliverable: options.undeliverable,
    });
  }

  /** Begins to deliver; `peers` must have been started. */
  async start(): Promise<void> {
    this.#unwatch = this.#options.peers.onChange(() => this.#peersChanged());
    await this.look();
    this.#poll();
  }

  /** Messages were added: for these peers, or for any. Never waits. */
  poke(peerIds?: readonly string[]): void {
    if (this.#stopping) return;
    if (peerIds === undefined) this.#inBackground(this.look());
    else for (const id of peerIds) this.#lane(id)?.wake();
  }

  /** A peer called this node: it is alive, and says what it is by what it calls. Never waits. */
  contacted(peer: Peer, dialect: Dialect | null): void {
    if (this.#stopping) return;
    const { store, peers } = this.#options;
    const now = this.#clock.now();
    const last = this.#contacts.get(peer.id) ?? { recorded: 0, hastened: 0 };
    if (dialect !== null && peer.dialect !== dialect) this.#inBackground(peers.setDialect(peer.id, dialect));
    if (now.getTime() - last.recorded >= CONTACT_MILLISECONDS) {
      last.recorded = now.getTime();
      this.#inBackground(store.recordPeerContact(peer.id, now));
    }
    if (peer.downSince !== null && now.getTime() - last.hastened >= HASTEN_MILLISECONDS) {
      last.hastened = now.getTime();
      this.#inBackground(this.#hasten(peer.id, now));
    }
    this.#contacts.set(peer.id, last);
  }

  /** One look at everything that may be due; what is found is then under way. */
  async look(): Promise<void> {
    try {
      await this.#giveUpOverdue();
      for (const id of await this.#options.store.peersWithPendingMessages()) {
        const lane = this.#lane(id);
        if (lane === null) await this.#giveUpUnreachable(id);
        else lane.wake();
      }
      for (const { id, downSince, url } of this.#options.peers.list()) {
        if (downSince !== null && url !== null) this.#lane(id)?.wake();
      }
      this.#unreadable = false;
    } catch (reason) {
      if (!this.#unreadable) {
        this.#options.log.error(
          { event: 'outbox_unreadable', reason: reasonOf(reason) },
          'the outbox cannot be read',
        );
      }
      this.#unreadable = true;
    }
  }

  /** Resolves when every lane has done what there is to do for the moment. */
  async settled(): Promise<void> {
    await Promise.all(this.#background);
    await Promise.all([...this.#lanes.values()].map((lane) => lane.settled()));
  }

  /** Takes no more messages; waits for the requests under way and writes down what became of them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelPoll?.();
    this.#unwatch();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
    await Promise.all(this.#background);
    await this.#settlement.idle();
  }

  /** Null when nothing can be sent to such a peer. */
  #lane(id: string): Lane | null {
    const { store, peers, client, log, limits, random = Math.random } = this.#options;
    const known = this.#lanes.get(id);
    if (known !== undefined) return known;
    if (peers.byId(id)?.url == null) return null;
    const lane = new Lane(id, {
      store,
      peers,
      client,
      log,
      random,
      clock: this.#clock,
      settlement: this.#settlement,
      limits: { ...DEFAULT_LANE_LIMITS, ...limits },
    });
    this.#lanes.set(id, lane);
    return lane;
  }

  #peersChanged(): void {
    const ids = new Set(this.#options.peers.list().flatMap(({ id, url }) => (url === null ? [] : [id])));
    for (const [id, lane] of this.#lanes) {
      if (ids.has(id)) {
        lane.wake();
        continue;
      }
      this.#lanes.delete(id);
      this.#inBackground(lane.stop());
    }
    this.#inBackground(this.#options.client.keepOnly(ids));
  }

  async #hasten(id: string, now: Date): Promise<void> {
    await this.#options.store.hastenPeerProbe(id, now);
    await this.#options.peers.refresh();
    this.#lane(id)?.wake();
  }

  async #giveUpOverdue(): Promise<void> {
    const overdue = await this.#options.store.overdueMessages(this.#clock.now(), MAX_GIVEN_UP);
    await this.#giveUp(overdue, ({ peerId, deadline, error }) =>
      new ConclaveError('undeliverable', {
        peer: this.#options.peers.byId(peerId)?.name ?? peerId,
        deadline: deadline?.toISOString(),
        reason: error?.message ?? 'it was not tried',
      }).toFailure(),
    );
  }

  /** The peer was removed, or has no URL. Another process may have added it a moment ago: look first. */
  async #giveUpUnreachable(peerId: string): Promise<void> {
    await this.#options.peers.refresh();
    const lane = this.#lane(peerId);
    if (lane !== null) return lane.wake();
    const messages = await this.#options.store.messagesToPeer(peerId, MAX_GIVEN_UP);
    await this.#giveUp(messages, ({ receiverUrl }) =>
      new ConclaveError('unknown_peer', { url: receiverUrl }).toFailure(),
    );
  }

  async #giveUp(messages: readonly Overdue[], why: (message: Overdue) => Failure): Promise<void> {
    if (messages.length === 0) return;
    this.#options.log.warn(
      { event: 'messages_given_up', count: messages.length },
      'messages could not be delivered',
    );
    await Promise.all(
      messages.map((message) =>
        this.#settlement.settle({
          message: { ...message, attempts: 0 },
          outcome: { kind: 'dead', status: null, error: why(message) },
        }),
      ),
    );
  }

  #poll(): void {
    if (this.#stopping) return;
    this.#cancelPoll = this.#clock.after(POLL_MILLISECONDS, () => {
      this.#inBackground(this.look().then(() => this.#poll()));
    });
  }

  #inBackground(work: Promise<unknown>): void {
    const guarded: Promise<unknown> = work
      .catch((reason: unknown) =>
        this.#options.log.warn(
          { event: 'sender_background', reason: reasonOf(reason) },
          'background work failed',
        ),
      )
      .finally(() => this.#background.delete(guarded));
    this.#background.add(guarded);
  }
}
