/*
 * The network from one node to another: a TCP proxy whose behaviour changes while connections go through it. It sees TLS
 * and understands none of it.
 *
 *     open     everything passes, `delay` milliseconds late
 *     refused  connections end at once, and new ones too: the host says no
 *     silent   nothing passes, nobody is told; what was on its way arrives afterwards
 *     mute     what is asked arrives, what is answered is lost
 */

import type { AddressInfo } from 'node:net';
import { createServer, connect as open, type Server, type Socket } from 'node:net';

export type LinkMode = 'open' | 'refused' | 'silent' | 'mute';

interface Connection {
  readonly near: Socket;
  far: Socket | null;
  /** What was asked while nothing passed. */
  readonly asked: Buffer[];
  readonly answered: Buffer[];
}

export class Link {
  readonly #target: number;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  #mode: LinkMode = 'open';
  #delay = 0;
  /** Bytes until all connections are cut. */
  #cutAfter = Number.POSITIVE_INFINITY;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((near) => this.#accept(near));
  }

  static async start(target: number): Promise<Link> {
    const link = new Link(target);
    await new Promise<void>((resolve, reject) => {
      link.#server.once('error', reject);
      link.#server.listen(0, '127.0.0.1', resolve);
    });
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  set(mode: LinkMode): void {
    const before = this.#mode;
    this.#mode = mode;
    // After answers were lost, no connection can go on.
    if (mode === 'refused' || before === 'mute') this.cut();
    if (mode === 'open') for (const connection of this.#connections) this.#release(connection);
  }

  slow(milliseconds: number): void {
    this.#delay = milliseconds;
  }

  /** Ends all connections: now, or in the middle of what is sent next. */
  cut(afterBytes = 0): void {
    if (afterBytes > 0) {
      this.#cutAfter = afterBytes;
      return;
    }
    this.#cutAfter = Number.POSITIVE_INFINITY;
    for (const connection of this.#connections) this.#end(connection);
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: Socket): void {
    if (this.#mode === 'refused') {
      near.on('error', () => {}).resetAndDestroy();
      return;
    }
    const connection: Connection = { near, far: null, asked: [], answered: [] };
    this.#connections.add(connection);
    near.setNoDelay(true);
    near.on('data', (piece) => this.#pass(connection, connection.asked, piece));
    near.on('error', () => this.#end(connection)).on('close', () => this.#end(connection));
    if (this.#mode !== 'silent') this.#reach(connection);
  }

  #reach(connection: Connection): void {
    const far = open(this.#target, '127.0.0.1');
    connection.far = far;
    far.setNoDelay(true);
    far.on('data', (piece) => this.#pass(connection, connection.answered, piece));
    far.on('error', () => this.#end(connection)).on('close', () => this.#end(connection));
  }

  /** All pieces of a direction wait in its queue, and so keep their order. */
  #pass(connection: Connection, queue: Buffer[], piece: Buffer): void {
    if (this.#mode === 'mute' && queue === connection.answered) return;
    this.#cutAfter -= piece.length;
    if (this.#cutAfter <= 0) {
      this.cut();
      return;
    }
    queue.push(piece);
    if (this.#mode === 'silent') return;
    if (this.#delay === 0) this.#flush(connection, queue);
    else setTimeout(() => this.#mode !== 'silent' && this.#flush(connection, queue), this.#delay);
  }

  #flush({ near, far, asked }: Connection, queue: Buffer[]): void {
    const to = queue === asked ? far : near;
    if (to === null || to.destroyed) return;
    for (const piece of queue.splice(0)) to.write(piece);
  }

  #release(connection: Connection): void {
    if (connection.far === null) this.#reach(connection);
    this.#flush(connection, connection.asked);
    this.#flush(connection, connection.answered);
  }

  #end(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    connection.near.destroy();
    connection.far?.destroy();
  }
}
