/**
 * The federation port: RESTQP over mutual TLS that this node terminates itself (D20, D22).
 *
 *     POST /api/queues/<queue>/      one message, as the original's            role authority
 *     POST /api/conclave/messages    a batch of messages of a Conclave node    role authority
 *     GET  /api/conclave             that this node is one, and its version    any peer
 *
 * Everything else that lives on this port (public API, bulk data) is mounted by the node and guards its routes with the
 * `requirePeer` that it is given. This module decides who may enter and what may be read; what messages mean is the
 * engine's business.
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import express, { type Express, type RequestHandler } from 'express';
import type { IncomingMessage, Receipt } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import type { Dialect } from '../store/peers.ts';
import type { NodeIdentity } from './batch.ts';
import { Intake, type IntakeLimits } from './intake.ts';
import type { Log } from './log.ts';
import type { HeadExchange } from './log-heads.ts';
import type { Peer, PeerDirectory } from './peers.ts';
import { refusalHandler } from './refusal.ts';
import { createRequirePeer, proxyList, type RequirePeer } from './trust.ts';

export interface ServerLimits extends IntakeLimits {
  maxConnections: number;
  /** For TLS, before anything else is known of a connection. */
  handshakeMilliseconds: number;
  headersMilliseconds: number;
  /** How long an idle connection stays open. */
  keepAliveMilliseconds: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  maxBodyBytes: 16 * 1024 * 1024,
  bodyMilliseconds: 30_000,
  maxBytesPerPeer: 64 * 1024 * 1024,
  maxConnections: 2000,
  handshakeMilliseconds: 10_000,
  headersMilliseconds: 10_000,
  keepAliveMilliseconds: 65_000,
};

const MAX_HEADER_BYTES = 32 * 1024;
/** How long somebody has to read why they were refused. */
const LINGER_MILLISECONDS = 1000;

/** This node's own certificate; PEM. TLS 1.2 only where an original peer's gateway knows nothing newer. */
export interface ServerIdentity {
  certificate: string;
  privateKey: string;
  minVersion?: 'TLSv1.2' | 'TLSv1.3';
}

export interface FederationServerOptions {
  /** Null: plain HTTP behind a TLS-terminating proxy; then `proxies` must name it (D23). */
  tls: ServerIdentity | null;
  /** Addresses or networks from which a forwarded client certificate is believed. */
  proxies?: readonly string[];
  peers: Pick<PeerDirectory, 'byFingerprint'>;
  receive: (messages: readonly IncomingMessage[]) => Promise<Receipt[]>;
  name: string;
  version: string;
  log: Log;
  /** Told of every federation request of a peer, so that the sender probes a peer that was down. */
  contacted?: (peer: Peer, dialect: Dialect | null) => void;
  /** Heads of logs, exchanged with batches (D24). */
  heads?: HeadExchange;
  limits?: Partial<ServerLimits>;
  mount?: (app: Express, requirePeer: RequirePeer) => void;
}

export interface FederationServer {
  readonly app: Express;
  readonly server: HttpsServer | HttpServer;
  listen(port: number, host?: string): Promise<AddressInfo>;
  /** For new connections, without a restart (D22). */
  setIdentity(identity: ServerIdentity): void;
  /** Refuses new requests with 503, waits for those under way, closes. */
  close(): Promise<void>;
}

export function createFederationServer(options: FederationServerOptions): FederationServer {
  const { tls, log, proxies = [] } = options;
  if (tls === null && proxies.length === 0) {
    throw new ConclaveError('invalid_settings', {
      problems: ['without TLS of its own the node needs the addresses of the proxies that terminate it'],
    });
  }
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const requirePeer = createRequirePeer(options.peers, proxyList(proxies));
  const intake = new Intake({
    receive: options.receive,
    contacted: options.contacted ?? (() => {}),
    heads: options.heads,
    limits,
    log,
  });
  const state = { closing: false };
  const app = createApp(options, requirePeer, intake, state);
  const server =
    tls === null
      ? createHttpServer(httpOptions(limits), app)
      : createHttpsServer(tlsOptions(tls, limits), app);
  server.maxConnections = limits.maxConnections;
  server.maxHeadersCount = 100;
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) =>
    refuseMalformed(error, socket, log),
  );
  server.on('tlsClientError', (error: Error, socket: Socket) => {
    log.debug(
      { event: 'tls_failed', address: socket.remoteAddress, reason: error.message },
      'TLS handshake failed',
    );
    // An answer would wait for the handshake to end, and the connection with it, for ever.
    socket.destroy();
  });
  return {
    app,
    server,
    listen: (port, host) => listen(server, port, host),
    setIdentity(identity) {
      if ('setSecureContext' in server) server.setSecureContext(contextOptions(identity));
    },
    async close() {
      state.closing = true;
      await new Promise<void>((resolve) => {
        // A connection whose last answer is still to come becomes idle later.
        const sweep = setInterval(() => server.closeIdleConnections(), 50);
        server.close(() => {
          clearInterval(sweep);
          resolve();
        });
      });
      await intake.idle();
    },
  };
}

function createApp(
  { name, version, log, contacted, mount }: FederationServerOptions,
  requirePeer: RequirePeer,
  intake: Intake,
  state: { closing: boolean },
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('strict routing');
  app.enable('case sensitive routing');

  const open: RequestHandler = (_request, response, next) => {
    if (!state.closing) return next();
    response.setHeader('Connection', 'close');
    throw new ConclaveError('shutting_down');
  };
  const authority = requirePeer('authority');

  app.post('/api/queues/:queue/', authority, open, intake.single);
  app.post('/api/queues/:queue', authority, (request, response) => {
    // Relative, where the original repeats the request's Host: a redirect leads nowhere else.
    response.redirect(308, `/api/queues/${encodeURIComponent(String(request.params.queue))}/`);
  });
  app.all(['/api/queues/:queue/', '/api/queues/:queue'], authority, onlyMethod('POST'));

  app.post('/api/conclave/messages', authority, open, intake.batch);
  app.all('/api/conclave/messages', authority, onlyMethod('POST'));

  const identity: NodeIdentity = { dialect: 'conclave', version, name };
  app.get('/api/conclave', requirePeer(), open, (_request, response) => {
    // Only a Conclave node asks.
    contacted?.(response.locals.peer as Peer, 'conclave');
    response.json(identity);
  });
  app.all('/api/conclave', requirePeer(), onlyMethod('GET'));

  mount?.(app, requirePeer);
  app.use((request) => {
    throw new ConclaveError('not_found', { path: request.path.slice(0, 200) });
  });
  app.use(refusalHandler(log));
  return app;
}

function onlyMethod(allowed: string): RequestHandler {
  return (request, response) => {
    response.setHeader('Allow', allowed);
    throw new ConclaveError('method_not_allowed', { method: request.method, allowed });
  };
}

function httpOptions(limits: ServerLimits) {
  return {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: limits.headersMilliseconds,
    // The body has its own, tighter clock once its sender is identified.
    requestTimeout: limits.headersMilliseconds + limits.bodyMilliseconds + 5000,
    keepAliveTimeout: limits.keepAliveMilliseconds,
    connectionsCheckingInterval: Math.min(5000, limits.headersMilliseconds),
  };
}

function contextOptions(identity: ServerIdentity) {
  return {
    cert: identity.certificate,
    key: identity.privateKey,
    minVersion: identity.minVersion ?? ('TLSv1.3' as const),
  };
}

function tlsOptions(identity: ServerIdentity, limits: ServerLimits) {
  return {
    ...httpOptions(limits),
    ...contextOptions(identity),
    requestCert: true,
    // Any certificate may knock; the peer directory decides (D22), and says why in words rather than in a TLS alert.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeMilliseconds,
    ALPNProtocols: ['http/1.1'],
  };
}

function listen(
  server: HttpServer | HttpsServer,
  port: number,
  host: string | undefined,
): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

/** What is no HTTP, or too slow in becoming it, never reaches the app. */
function refuseMalformed(error: NodeJS.ErrnoException, socket: Socket, log: Log): void {
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request';
  log.warn(
    { event: 'connection_refused', code: error.code, address: socket.remoteAddress },
    `malformed request: ${status}`,
  );
  if (socket.writable && !socket.destroyed) {
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    // Who does not close their half would keep the connection.
    setTimeout(() => socket.destroy(), LINGER_MILLISECONDS).unref();
  } else {
    socket.destroy();
  }
}
