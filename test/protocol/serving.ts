/** A federation server over real sockets with peers in memory, and a plain HTTPS client to try it with. */

import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingMessage, Receipt } from '../../lib/engine/model.ts';
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import type { Peer } from '../../lib/protocol/peers.ts';
import {
  createFederationServer,
  type FederationServer,
  type FederationServerOptions,
} from '../../lib/protocol/server.ts';
import type { Dialect, PeerRole } from '../../lib/store/peers.ts';
import { type LogLine, recordingLog, type TestIdentity } from './support.ts';

/** What the server asks a peer directory, without a database. */
export class FakePeers {
  readonly #peers = new Map<string, Peer>();

  add(name: string, identity: TestIdentity, ...roles: PeerRole[]): Peer {
    const peer: Peer = {
      id: `id-${name}`,
      name,
      url: null,
      certificates: [pinCertificate(identity.certificate)],
      roles: roles.length > 0 ? roles : ['authority'],
      dialect: 'unknown',
      addedDate: new Date(0),
      lastContact: null,
      downSince: null,
      nextAttempt: null,
      lastError: null,
    };
    this.#peers.set(identity.fingerprint, peer);
    return peer;
  }

  remove(identity: TestIdentity): void {
    this.#peers.delete(identity.fingerprint);
  }

  byFingerprint(fingerprint: string): Peer | undefined {
    return this.#peers.get(fingerprint);
  }
}

export interface Serving {
  server: FederationServer;
  port: number;
  peers: FakePeers;
  lines: LogLine[];
  received: IncomingMessage[];
  batches: number[];
  contacts: [string, Dialect | null][];
  /** What `receive` answers; tests replace it. */
  engine: { receive: (messages: readonly IncomingMessage[]) => Promise<Receipt[]> };
  close(): Promise<void>;
}

export async function serve(
  identity: TestIdentity,
  options: Partial<FederationServerOptions> = {},
  atPort = 0,
): Promise<Serving> {
  const { log, lines } = recordingLog();
  const peers = new FakePeers();
  const received: IncomingMessage[] = [];
  const batches: number[] = [];
  const contacts: [string, Dialect | null][] = [];
  const engine: Serving['engine'] = {
    receive: async (messages) => messages.map(() => ({ outcome: 'accepted' })),
  };
  const server = createFederationServer({
    tls: identity,
    peers,
    name: 'test node',
    version: '1.2.3',
    log,
    contacted: (peer, dialect) => contacts.push([peer.name, dialect]),
    receive: (messages) => {
      received.push(...messages);
      batches.push(messages.length);
      return engine.receive(messages);
    },
    ...options,
  });
  const { port } = await server.listen(atPort, '127.0.0.1');
  return { server, port, peers, lines, received, batches, contacts, engine, close: () => server.close() };
}

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  json: never;
}

export interface Call {
  port: number;
  identity?: TestIdentity;
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  agent?: Agent;
  plain?: boolean;
}

/** One request on a connection of its own, unless an agent is given. */
export function call({
  port,
  identity,
  method = 'POST',
  path = '/',
  headers = {},
  body,
  agent,
  plain,
}: Call): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const common = { host: '127.0.0.1', port, method, path, headers, agent: agent ?? false };
    const secure = { ...common, ...tlsOf(identity) };
    const request = plain === true ? httpRequest({ ...common, agent: false }) : httpsRequest(secure);
    request.on('response', async (response) => {
      const pieces: Buffer[] = [];
      for await (const piece of response) pieces.push(piece as Buffer);
      const text = Buffer.concat(pieces).toString();
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        get json() {
          return JSON.parse(text) as never;
        },
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

export function keepAliveAgent(identity: TestIdentity): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1, ...tlsOf(identity) });
}

export function tlsOf(identity: TestIdentity | undefined) {
  return {
    rejectUnauthorized: false,
    ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.privateKey }),
  };
}
