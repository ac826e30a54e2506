/* The way to a test database, to be cut and mended: a TCP port before its server's socket. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestDatabase } from './postgresql.ts';

export class Gateway {
  readonly #sockets = new Set<Socket>();
  readonly #path: string;
  readonly #port: number;
  readonly #url: string;
  #server = createServer();

  private constructor(path: string, port: number, url: string) {
    this.#path = path;
    this.#port = port;
    this.#url = url;
  }

  static async to(address: TestDatabase['address']): Promise<Gateway> {
    const { host, port, user, database } = address;
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port: own } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const gateway = new Gateway(
      `${host}/.s.PGSQL.${port}`,
      own,
      `postgres://${user}@127.0.0.1:${own}/${database}`,
    );
    await gateway.mend();
    return gateway;
  }

  /** Of the database, by way of this. */
  get url(): string {
    return this.#url;
  }

  async mend(): Promise<void> {
    this.#server = createServer((client) => {
      const server = connect(this.#path);
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket));
      }
      client.pipe(server).pipe(client);
    }).listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Every connection breaks, and new ones are refused. */
  async cut(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
