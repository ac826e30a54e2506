/**
 * Who is calling? The peer that has pinned exactly the certificate of the connection (D22), asked anew for every
 * request: a removed peer loses access in the middle of a connection.
 *
 * The TLS layer has verified that the caller holds the certificate's key, and nothing else: chains, names and dates
 * do not count. Behind a TLS-terminating proxy (D23) the certificate comes in a header, which is believed from the
 * configured addresses only.
 */
import { BlockList, isIP, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Request, RequestHandler } from 'express';
import { ConclaveError } from '../errors.ts';
import type { PeerRole } from '../store/peers.ts';
import { certificateFromHeader, fingerprintOf } from './certificate.ts';
import type { Peer, PeerDirectory } from './peers.ts';

export const CERTIFICATE_HEADER = 'x-sender-ssl-certificate';

/** Puts the peer into `response.locals.peer`, or refuses. Without roles any peer may pass. */
export type RequirePeer = (...roles: readonly PeerRole[]) => RequestHandler;

/** Fingerprints by connection: a connection's certificate does not change. */
const fingerprints = new WeakMap<Socket, string>();

/** Throws `invalid_settings` when an entry is neither an address nor a CIDR network. */
export function proxyList(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [address = '', prefix, ...rest] = entry.split('/');
    const version = isIP(address);
    const bits = prefix === undefined ? undefined : Number(prefix);
    const max = version === 4 ? 32 : 128;
    if (
      version === 0 ||
      rest.length > 0 ||
      (bits !== undefined && !(Number.isInteger(bits) && bits >= 0 && bits <= max))
    ) {
      throw new ConclaveError('invalid_settings', {
        problems: [`proxies: ${entry} is neither an IP address nor a network such as 10.0.0.0/8`],
      });
    }
    const family = version === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, bits, family);
  }
  return list;
}

export function createRequirePeer(
  peers: Pick<PeerDirectory, 'byFingerprint'>,
  proxies: BlockList,
): RequirePeer {
  return (...roles) =>
    (request, response, next) => {
      const fingerprint = callersFingerprint(request, proxies);
      response.locals.fingerprint = fingerprint;
      const peer = peers.byFingerprint(fingerprint);
      if (peer === undefined) throw new ConclaveError('unknown_certificate', { fingerprint });
      response.locals.peer = peer;
      if (roles.length > 0 && !roles.some((role) => peer.roles.includes(role))) {
        throw new ConclaveError('wrong_role', { peer: peer.name, role: roles.join(' or ') });
      }
      next();
    };
}

/** The peer that `requirePeer` found. */
export function peerOf(response: { locals: Record<string, unknown> }): Peer {
  return response.locals.peer as Peer;
}

/** Throws `certificate_required`, `proxy_not_allowed`, or `invalid_request` for a header that is no certificate. */
function callersFingerprint(request: Request, proxies: BlockList): string {
  const header = request.headers[CERTIFICATE_HEADER];
  const fromProxy = isAllowedProxy(request.socket.remoteAddress, proxies);
  if (header !== undefined) {
    if (!fromProxy) throw new ConclaveError('proxy_not_allowed', { address: request.socket.remoteAddress });
    if (request.headersDistinct[CERTIFICATE_HEADER]?.length !== 1) {
      throw new ConclaveError('invalid_request', { problems: ['more than one certificate header'] });
    }
    return fingerprintOf(certificateFromHeader(String(header)).raw);
  }
  const fingerprint = connectionFingerprint(request.socket);
  if (fingerprint === null) throw new ConclaveError('certificate_required');
  return fingerprint;
}

function connectionFingerprint(socket: Socket): string | null {
  const known = fingerprints.get(socket);
  if (known !== undefined) return known;
  if (!(socket instanceof TLSSocket)) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return null;
  const fingerprint = fingerprintOf(certificate.raw);
  fingerprints.set(socket, fingerprint);
  return fingerprint;
}

function isAllowedProxy(address: string | undefined, proxies: BlockList): boolean {
  if (address === undefined) return false;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  const plain = mapped ?? address;
  return proxies.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
}
