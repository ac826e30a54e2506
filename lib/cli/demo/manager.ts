/**
 * The election manager of the demonstration: asks for elections and tallies, offers the votes, and hears how they end.
 * It has a certificate of its own; the nodes know it as a client, and it knows them by their certificates.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Dispatcher } from 'undici';
import { createNodeCertificate } from '../../node/certificates.ts';
import { fingerprintOf, pinCertificate } from '../../protocol/certificate.ts';
import { ownContext, pinnedPool } from '../../protocol/connection.ts';
import { writePeerFile } from '../../protocol/peer-file.ts';
import type { ServerIdentity } from '../../protocol/server.ts';
import { CommandFailed } from '../outcome.ts';

export interface Callback {
  readonly status: string;
  readonly reference: { readonly election_id: unknown; readonly action: string };
  readonly session_data?: unknown;
  readonly data?: { readonly [key: string]: unknown };
}

export interface Reachable {
  readonly name: string;
  readonly url: string;
  /** PEM. */
  readonly certificate: string;
}

const REQUEST = { connections: 2, headersMilliseconds: 30_000, bodyMilliseconds: 30_000 };
const MAX_CALLBACK_BYTES = 1 << 20;

export class DemoManager {
  readonly name = 'Manager';
  readonly #identity: ServerIdentity;
  readonly #server: Server;
  readonly #known = new Set<string>();
  readonly #votes = new Map<string, string>();
  readonly #callbacks: Callback[] = [];
  readonly #waiting = new Set<() => void>();
  #origin = '';

  private constructor(identity: ServerIdentity) {
    this.#identity = identity;
    this.#server = createServer(
      {
        cert: identity.certificate,
        key: identity.privateKey,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
      },
      (request, response) => {
        const answer = (status: number, body = ''): void => void response.writeHead(status).end(body);
        const certificate =
          request.socket instanceof TLSSocket ? request.socket.getPeerX509Certificate() : undefined;
        if (certificate === undefined || !this.#known.has(fingerprintOf(certificate.raw))) return answer(403);
        const path = request.url ?? '';
        const votes = this.#votes.get(path);
        if (request.method === 'GET' && votes !== undefined) return answer(200, votes);
        if (request.method !== 'POST' || path !== '/callback') return answer(404);
        let text = '';
        request.setEncoding('utf8').on('data', (piece: string) => {
          text += piece;
          if (text.length > MAX_CALLBACK_BYTES) request.destroy();
        });
        request.on('end', () => {
          this.#callbacks.push(JSON.parse(text) as Callback);
          answer(200);
          for (const wake of this.#waiting) wake();
        });
      },
    );
  }

  static async start(): Promise<DemoManager> {
    const made = await createNodeCertificate({ name: 'Manager', hosts: ['127.0.0.1'] });
    const manager = new DemoManager(made);
    await new Promise<void>((resolve, reject) => {
      manager.#server.once('error', reject);
      manager.#server.listen(0, '127.0.0.1', resolve);
    });
    manager.#origin = `https://127.0.0.1:${(manager.#server.address() as AddressInfo).port}`;
    return manager;
  }

  /** What the authorities' operators add. */
  get peerFile(): string {
    const { certificate, privateKey } = this.#identity;
    return writePeerFile({ name: this.name, url: this.#origin, roles: ['client'], certificate }, privateKey);
  }

  get callbackUrl(): string {
    return `${this.#origin}/callback`;
  }

  know(certificate: string): void {
    this.#known.add(pinCertificate(certificate).fingerprint);
  }

  /** @returns the URL at which the authorities find the votes */
  async offer(path: string): Promise<string> {
    const name = `/votes-${this.#votes.size + 1}`;
    this.#votes.set(name, await readFile(path, 'utf8'));
    return `${this.#origin}${name}`;
  }

  /** A request to a node's public API; fails with what the node says. */
  async post(node: Reachable, path: string, body: unknown): Promise<unknown> {
    const pool = pinnedPool(
      { name: node.name, url: node.url, certificates: [pinCertificate(node.certificate)] },
      ownContext(this.#identity),
      REQUEST,
    );
    try {
      const answer: Dispatcher.ResponseData = await pool.request({
        method: 'POST',
        path,
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      });
      const text = await answer.body.text();
      if (answer.statusCode === 202) return JSON.parse(text);
      throw new CommandFailed(
        `${node.name} answered ${answer.statusCode} to ${path}: ${text.slice(0, 2000)}`,
      );
    } finally {
      await pool.close();
    }
  }

  /**
   * Waits for the callback about a request, of one election where there are several; `check` may throw, once a second, to
   * end the waiting.
   */
  async callback(
    action: string,
    signal: AbortSignal,
    check: () => void,
    electionId?: number,
  ): Promise<Callback> {
    for (;;) {
      const found = this.#callbacks.find(
        ({ reference }) =>
          reference.action === action && (electionId === undefined || reference.election_id === electionId),
      );
      if (found !== undefined) return found;
      signal.throwIfAborted();
      check();
      await this.#nextWake(signal);
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #nextWake(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, 1000);
    signal.addEventListener('abort', () => resolve(), { once: true });
    this.#waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }
}
