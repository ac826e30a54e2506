/**
 * Delivering to one peer. A lane does one round at a time:
 *
 *     wake ──▶ may we?  ──▶ take what is due ──▶ send ──▶ settle ──▶ more due? again
 *               │ down, and not its time yet: sleep until then
 *               │ down, and its time: one process claims the probe, one message is tried
 *               └ dialect unknown: ask first
 *
 * The circuit breaker's state is in the peer's row, so that all processes and the operator see the same; this module
 * only remembers how often it has failed in a row. To a Conclave node a round is a batch, one in flight; to an original
 * it is a few single messages at a time, those of one task one after the other (D21).
 */
import type { Clock } from '../engine/clock.ts';
import { reasonOf } from '../errors.ts';
import type { OutboxMessage, OutboxStore } from '../store/outbox.ts';
import { identitySchema } from './batch.ts';
import type { Answer, PeerRequests, ReachablePeer } from './client.ts';
import {
  asRequestFailed,
  Courier,
  type CourierLimits,
  type PeerVerdict,
  unusable,
  withinTime,
} from './courier.ts';
import { backOff, outcomeOf, outcomeOfFailure, type PeerDown, type Sent } from './delivery.ts';
import type { Log } from './log.ts';
import type { KnownPeers } from './peers.ts';
import type { Settlement } from './settlement.ts';

export interface LaneLimits extends CourierLimits {
  /** Messages of a round to a Conclave node. */
  batchMessages: number;
  /** Messages of a round to an original. */
  singleMessages: number;
  /** How long the messages of a round, or a probe, stay ours without a sign of life. */
  leaseMilliseconds: number;
}

export const DEFAULT_LANE_LIMITS: LaneLimits = {
  batchMessages: 500,
  batchBytes: 4 * 1024 * 1024,
  singleMessages: 256,
  singlesInFlight: 4,
  mostSinglesInFlight: 32,
  leaseMilliseconds: 10_000,
  requestMilliseconds: 40_000,
};

/** How often it is written down that a peer that is up is up. */
const CONTACT_MILLISECONDS = 5000;

export interface LaneOptions {
  store: OutboxStore;
  clock: Clock;
  random: () => number;
  log: Log;
  peers: KnownPeers;
  client: PeerRequests;
  settlement: Settlement;
  limits: LaneLimits;
}

export class Lane {
  readonly #options: LaneOptions;
  readonly #peerId: string;
  readonly #courier: Courier;
  #running: Promise<void> | null = null;
  #again = false;
  #stopping = false;
  #failures = 0;
  #cancelWake: (() => void) | null = null;
  #wakeAt = Number.POSITIVE_INFINITY;
  #upRecorded = 0;

  constructor(peerId: string, options: LaneOptions) {
    this.#peerId = peerId;
    this.#options = options;
    this.#courier = new Courier({
      ...options,
      stopping: () => this.#stopping,
      onRetry: (date) => this.#wakeAtDate(date),
    });
  }

  /** Something may be due. Cheap, and without effect while a round is under way but to make it look again. */
  wake(): void {
    if (this.#stopping) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      if (this.#again) this.wake();
    });
  }

  /** Resolves when the request under way has its answer and that is written down. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#again = false;
    this.#cancelWake?.();
    await this.#running;
  }

  /** Resolves when there is nothing to do for the moment. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopping) {
      this.#again = false;
      try {
        if (await this.#round()) this.#again = true;
      } catch (reason) {
        // The database, not the peer: the next poll tries again.
        this.#options.log.error(
          { event: 'delivery_failed', peerId: this.#peerId, reason: reasonOf(reason) },
          'messages could not be taken from the outbox or settled',
        );
        return;
      }
    }
  }

  /** True when there may be more to do at once. */
  async #round(): Promise<boolean> {
    const { clock, store, peers, limits } = this.#options;
    const peer = peers.byId(this.#peerId);
    if (peer?.url == null) return false;
    const now = clock.now();
    const probing = peer.downSince !== null;
    if (probing) {
      if (peer.nextAttempt !== null && peer.nextAttempt > now) {
        this.#wakeAtDate(peer.nextAttempt);
        return false;
      }
      const until = new Date(now.getTime() + limits.leaseMilliseconds);
      if (!(await store.claimPeerProbe(peer.id, now, until))) {
        await peers.refresh();
        return false;
      }
    }
    const reachable = peer as ReachablePeer;
    if (peer.dialect === 'unknown') return this.#discover(reachable);
    const dialect = peer.dialect;
    const limit = probing ? 1 : dialect === 'conclave' ? limits.batchMessages : limits.singleMessages;
    const leaseUntil = new Date(now.getTime() + limits.leaseMilliseconds);
    const messages = await store.takeMessages({ peerId: peer.id, limit, now, leaseUntil });
    if (messages.length === 0) return probing ? this.#probeWithoutMessage(reachable) : false;
    const verdict = await this.#keepingLeases(messages, () =>
      dialect === 'conclave'
        ? this.#courier.sendBatches(reachable, messages)
        : this.#courier.sendSingles(reachable, messages),
    );
    // Nothing was sent: the messages were none for this peer.
    if (verdict === null) return probing ? this.#probeWithoutMessage(reachable) : messages.length === limit;
    await this.#record(reachable, verdict);
    return verdict.up && (probing || messages.length === limit);
  }

  // Asking and probing

  async #discover(peer: ReachablePeer): Promise<boolean> {
    const { peers, log } = this.#options;
    const answer = await this.#ask(peer);
    if (!('status' in answer)) {
      await this.#record(peer, answer);
      return false;
    }
    const isConclave = answer.status === 200 && identitySchema.safeParse(answer.body).success;
    // An original knows neither the path nor the method; a Conclave node that refuses us says so with a code.
    const isOriginal = !isConclave && [400, 404, 405, 500].includes(answer.status) && answer.code === null;
    if (!isConclave && !isOriginal) {
      const reason = `it does not say what it is: ${answer.text}`;
      await this.#record(peer, unusable(peer, { ...answer, text: reason }));
      return false;
    }
    const dialect = isConclave ? 'conclave' : 'frestq';
    log.info({ event: 'dialect_found', peer: peer.name, dialect }, 'the peer told what it is');
    await this.#record(peer, { up: true });
    await peers.setDialect(peer.id, dialect);
    return true;
  }

  /** Nothing is due: any answer shows that the peer is back. */
  async #probeWithoutMessage(peer: ReachablePeer): Promise<boolean> {
    const answer = await this.#ask(peer);
    if (!('status' in answer)) {
      await this.#record(peer, answer);
      return false;
    }
    const outcome = outcomeOf(answer, { peerName: peer.name, dialect: 'conclave', doubts: 0 });
    const down = outcome.kind === 'retry' && outcome.about === 'peer';
    await this.#record(peer, down ? unusable(peer, answer) : { up: true });
    return !down;
  }

  async #ask(peer: ReachablePeer): Promise<Answer | PeerDown> {
    const { client } = this.#options;
    try {
      return await withinTime(this.#options, (signal) => client.askIdentity(peer, signal));
    } catch (thrown) {
      const sent: Sent = { peerName: peer.name, dialect: 'conclave', doubts: 0 };
      return outcomeOfFailure(asRequestFailed(thrown), sent);
    }
  }

  // The breaker

  async #record(peer: ReachablePeer, verdict: PeerVerdict): Promise<void> {
    const { store, clock, random, peers, log } = this.#options;
    const now = clock.now();
    if (verdict.up) {
      this.#failures = 0;
      if (peer.downSince === null && now.getTime() - this.#upRecorded < CONTACT_MILLISECONDS) return;
      this.#upRecorded = now.getTime();
      await store.markPeerUp(peer.id, now);
      if (peer.downSince === null) return;
      log.info({ event: 'peer_up', peer: peer.name, downSince: peer.downSince }, 'the peer answers again');
      await peers.refresh();
      return;
    }
    this.#failures += 1;
    const delay = Math.max(backOff(this.#failures, random()), verdict.afterMilliseconds ?? 0);
    const nextAttempt = new Date(now.getTime() + delay);
    const { message: error } = verdict.error;
    await store.markPeerDown(peer.id, { since: now, nextAttempt, error });
    if (peer.downSince === null) log.warn({ event: 'peer_down', peer: peer.name, nextAttempt }, error);
    await peers.refresh();
    this.#wakeAtDate(nextAttempt);
  }

  // Time

  /** Extends the leases of messages for as long as their round takes. */
  async #keepingLeases<Result>(
    messages: readonly OutboxMessage[],
    work: () => Promise<Result>,
  ): Promise<Result> {
    const { clock, store, limits, log } = this.#options;
    let cancel: () => void;
    const extend = () => {
      cancel = clock.after(limits.leaseMilliseconds / 2, () => {
        const until = new Date(clock.now().getTime() + limits.leaseMilliseconds);
        store
          .extendLeases(messages, until)
          .catch((reason: unknown) =>
            log.warn({ event: 'lease_not_extended', reason: reasonOf(reason) }, 'messages may be sent twice'),
          );
        extend();
      });
    };
    extend();
    try {
      return await work();
    } finally {
      cancel!();
    }
  }

  #wakeAtDate(date: Date): void {
    if (this.#stopping || date.getTime() >= this.#wakeAt) return;
    this.#cancelWake?.();
    this.#wakeAt = date.getTime();
    const delay = Math.max(0, date.getTime() - this.#options.clock.now().getTime());
    this.#cancelWake = this.#options.clock.after(delay, () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.wake();
    });
  }
}
