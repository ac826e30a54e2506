/**
 * The network between simulated nodes: requests that arrive late, twice or not at all, answers that get lost,
 * partitions in one direction or both. Who sent a request is known by its (simulated) certificate, not by what it says.
 */
import { ConclaveError } from '../../lib/errors.ts';
import {
  type Answer,
  type PeerRequests,
  type ReachablePeer,
  RequestFailed,
} from '../../lib/protocol/client.ts';
import { wireBody } from '../../lib/protocol/message.ts';
import type { Fault, Occasions } from './faults.ts';
import type { Machine } from './machine.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/** What answers at the other end. */
export interface Server {
  readonly machine: Machine | null;
  identify(): Answer;
  batch(from: string, body: unknown): Promise<Answer>;
  single(from: string, queue: string, body: unknown): Promise<Answer>;
}

export interface NetworkOptions {
  world: World;
  random: Random;
  occasions: Occasions;
  partitions: readonly Extract<Fault, { kind: 'partition' }>[];
  horizon: number;
  milliseconds: number;
  /** A living process of that node. */
  server(node: string): Server | undefined;
  trace(line: string): void;
}

/** How long it takes to find out that nothing comes. */
const SILENCE = 400;

export class Network {
  readonly #options: NetworkOptions;
  readonly #numbers = new Map<string, number>();

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** The client of one process. */
  client(from: Machine): PeerRequests {
    const { name } = from.node;
    return {
      sendBatch: (peer, entries, signal) => {
        const text = `{"messages":[${entries.join(',')}]}`;
        return this.#request(from, peer, (server) => server.batch(name, JSON.parse(text)), signal);
      },
      sendMessage: (peer, message, signal) => {
        const text = JSON.stringify(wireBody(message));
        const { queue } = message;
        return this.#request(from, peer, (server) => server.single(name, queue, JSON.parse(text)), signal);
      },
      askIdentity: (peer, signal) => this.#request(from, peer, async (server) => server.identify(), signal),
      keepOnly: async () => {},
    };
  }

  /** What an original sends: once, with no regard for the answer. */
  post(from: string, to: string, queue: string, body: unknown): void {
    const { world, occasions, horizon } = this.#options;
    const number = this.#nextNumber(from, to);
    const fault = world.now <= horizon ? occasions.request(from, to, number) : undefined;
    if (this.#blocked(from, to) || fault?.what === 'lost') return;
    const arrive = (): void => {
      void this.#options.server(to)?.single(from, queue, body);
    };
    const late = fault?.what === 'late' ? fault.milliseconds : 0;
    // Every message travels on a connection of its own, and they overtake each other.
    world.after(5 * this.#journey() + late, null, arrive);
    if (fault?.what === 'twice') world.after(5 * this.#journey() + fault.milliseconds, null, arrive);
  }

  #nextNumber(from: string, to: string): number {
    const link = `${from} ${to}`;
    const number = this.#numbers.get(link) ?? 0;
    this.#numbers.set(link, number + 1);
    return number;
  }

  #request(
    from: Machine,
    peer: ReachablePeer,
    serve: (server: Server) => Promise<Answer>,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const { world, occasions, horizon, trace } = this.#options;
    const { name } = from.node;
    const to = peer.name;
    const number = this.#nextNumber(name, to);
    const fault = occasions.any && world.now <= horizon ? occasions.request(name, to, number) : undefined;
    if (fault !== undefined) trace(`${name} → ${to}: request ${number} ${fault.what}`);
    return new Promise((resolve, reject) => {
      let settled = false;
      const fail = (code: string, connected: boolean): void => {
        if (settled) return;
        settled = true;
        reject(new RequestFailed(code, `${to}: ${code}`, connected));
      };
      const failLater = (code: string, connected: boolean): void => {
        world.after(SILENCE * (0.5 + from.random()), from, () => fail(code, connected));
      };
      signal?.addEventListener('abort', () => fail('TimeoutError', true), { once: true });
      if (this.#blocked(name, to)) return failLater('UND_ERR_CONNECT_TIMEOUT', false);
      if (fault?.what === 'lost') return failLater('ECONNRESET', true);
      const arrive = (counts: boolean): void => {
        const server = this.#options.server(to);
        if (server === undefined) {
          if (counts) world.after(this.#journey(), from, () => fail('ECONNREFUSED', false));
          return;
        }
        const forget = server.machine?.converse(() => {
          if (counts) world.after(0.1, from, () => fail('ECONNRESET', true));
        });
        void serve(server).then((answer) => {
          forget?.();
          if (!counts) return;
          if (fault?.what === 'answer lost' || this.#blocked(to, name)) return failLater('ECONNRESET', true);
          world.after(this.#journey(), from, () => {
            if (settled) return;
            settled = true;
            resolve(answer);
          });
        });
      };
      const late = fault?.what === 'late' ? fault.milliseconds : 0;
      world.after(this.#journey() + late, null, () => arrive(true));
      if (fault?.what === 'twice')
        world.after(this.#journey() + fault.milliseconds, null, () => arrive(false));
    });
  }

  #journey(): number {
    const { random, milliseconds } = this.#options;
    return milliseconds * (0.3 + random.real());
  }

  #blocked(from: string, to: string): boolean {
    const { partitions, world } = this.#options;
    for (const { from: a, to: b, at, milliseconds } of partitions)
      if (a === from && b === to && world.now >= at && world.now < at + milliseconds) return true;
    return false;
  }
}

export function answer(status: number, body: unknown = null, code: string | null = null): Answer {
  return { status, code, body, text: `HTTP ${status}`, retryAfterMilliseconds: null };
}

/** As a server puts what was thrown. */
export function refusal(thrown: unknown): Answer {
  if (!(thrown instanceof ConclaveError)) throw thrown;
  return { ...answer(thrown.status, { message: thrown.message }, thrown.code), text: thrown.message };
}
