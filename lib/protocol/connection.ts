/**
 * Connections to peers: mutual TLS with the peer's certificate pinned (D22).
 *
 * The server's certificate must be exactly one of those pinned for the peer: no certificate authority vouches for it,
 * and host names and dates do not count. It is compared after the handshake, in which the server has shown that it holds
 * the key, and before anything is sent. The secure context with our own key is built once; it costs as much as a handshake.
 */
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { buildConnector, Pool } from 'undici';
import { ConclaveError } from '../errors.ts';
import { fingerprintOf } from './certificate.ts';
import type { Peer } from './peers.ts';
import type { ServerIdentity } from './server.ts';

const CONNECT_MILLISECONDS = 10_000;
const KEEP_ALIVE_MILLISECONDS = 60_000;

export interface ConnectionOptions {
  /** Connections to one peer at a time. */
  connections: number;
  /** Until the answer begins. */
  headersMilliseconds: number;
  /** Between pieces of the answer. */
  bodyMilliseconds: number;
}

/** The context in which this node presents itself to its peers. */
export function ownContext(identity: ServerIdentity): SecureContext {
  return createSecureContext({
    cert: identity.certificate,
    key: identity.privateKey,
    minVersion: identity.minVersion ?? 'TLSv1.3',
  });
}

/** A pool of connections to one peer; requests on it fail with `peer_certificate_mismatch` when another answers. */
export function pinnedPool(
  peer: Pick<Peer, 'name' | 'certificates'> & { url: string },
  context: SecureContext,
  options: ConnectionOptions,
): Pool {
  const pinned = new Set(peer.certificates.map(({ fingerprint }) => fingerprint));
  const connect = buildConnector({
    secureContext: context,
    // What replaces the check by authorities follows below, for every connection.
    rejectUnauthorized: false,
    allowH2: false,
    timeout: CONNECT_MILLISECONDS,
    // A resumed session does not show the server's certificate: every connection is to show it.
    maxCachedSessions: 0,
  });
  return new Pool(new URL(peer.url).origin, {
    connections: options.connections,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    keepAliveMaxTimeout: KEEP_ALIVE_MILLISECONDS,
    headersTimeout: options.headersMilliseconds,
    bodyTimeout: options.bodyMilliseconds,
    connect: (target, callback) =>
      connect(target, (...[error, socket]) => {
        if (error !== null) return callback(error, null);
        const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
        const fingerprint = certificate === undefined ? 'none' : fingerprintOf(certificate.raw);
        if (pinned.has(fingerprint)) return callback(null, socket);
        socket.destroy();
        callback(
          new ConclaveError('peer_certificate_mismatch', {
            url: peer.url,
            peer: peer.name,
            presented: fingerprint,
            pinned: [...pinned],
          }),
          null,
        );
      }),
  });
}
