/**
 * The node's ports for others, and what is mounted on them:
 *
 *     federation port   messages of peers, /api/data, and (unless there is an API port) /public_api and /public_data
 *     API port          /public_api and /public_data, for managers who shall not reach the federation port
 *
 * Both recognise callers by pinned certificates (D22). The node's own certificate is one of them: whoever holds its key
 * may call the API as a manager and an operator, and never as an authority.
 */
import type { Express } from 'express';
import type { Engine } from '../engine/engine.ts';
import type { Log } from '../protocol/log.ts';
import type { HeadExchange } from '../protocol/log-heads.ts';
import type { Peer, PeerDirectory } from '../protocol/peers.ts';
import { createFederationServer, type FederationServer } from '../protocol/server.ts';
import type { RequirePeer } from '../protocol/trust.ts';
import type { Dialect, PeerRole } from '../store/peers.ts';
import { VERSION } from '../version.ts';
import type { BulkData } from './bulk-data.ts';
import type { NodeIdentity } from './identity.ts';
import { type ElectionApi, publicApi } from './public-api.ts';
import { publicFiles } from './public-files.ts';
import type { Settings } from './settings.ts';

/** What the node's own certificate may do. */
const SELF_ROLES: readonly PeerRole[] = ['client', 'operator'];
const SELF_ID = 'self';

export interface PortParts {
  readonly settings: Settings;
  readonly identity: () => NodeIdentity;
  readonly peers: PeerDirectory;
  readonly engine: Engine;
  readonly bulkData: BulkData;
  readonly elections: ElectionApi | null;
  readonly contacted: (peer: Peer, dialect: Dialect | null) => void;
  readonly heads: HeadExchange;
  readonly log: Log;
}

export interface Ports {
  readonly federation: FederationServer;
  readonly api: FederationServer | null;
  readonly all: readonly FederationServer[];
}

export function createPorts(parts: PortParts): Ports {
  const { settings, engine, bulkData, log } = parts;
  const separate = settings.listen.api !== null;
  const mountApi = (app: Express, requirePeer: RequirePeer): void => {
    const { elections } = parts;
    const maxBodyBytes = settings.limits.body_bytes;
    app.use(
      '/public_api',
      publicApi({
        elections,
        requirePeer,
        maxBodyBytes,
        log,
        poll: () => engine.poll(),
        why: (id) => engine.why(id),
      }),
    );
    if (settings.public_url !== undefined) app.use('/public_data', publicFiles(settings.public_folder));
  };
  const federation = port(
    parts,
    (fingerprint) => callerOf(parts, fingerprint),
    (app, requirePeer) => {
      app.get('/api/data/:id', requirePeer('authority'), (request, response) =>
        bulkData.serve(request, response),
      );
      if (!separate) mountApi(app, requirePeer);
    },
  );
  // The same door without the role that messages need.
  const manager = (fingerprint: string): Peer | undefined => {
    const peer = callerOf(parts, fingerprint);
    return peer && { ...peer, roles: peer.roles.filter((role) => role !== 'authority') };
  };
  const api = separate ? port(parts, manager, mountApi) : null;
  return { federation, api, all: api === null ? [federation] : [federation, api] };
}

function port(
  { settings, identity, engine, log, contacted, heads }: PortParts,
  byFingerprint: (fingerprint: string) => Peer | undefined,
  mount: (app: Express, requirePeer: RequirePeer) => void,
): FederationServer {
  return createFederationServer({
    tls: settings.proxy.terminates_tls ? null : identity(),
    proxies: settings.proxy.addresses,
    peers: { byFingerprint },
    receive: (messages) => engine.receive(messages),
    heads,
    name: settings.name,
    version: VERSION,
    log,
    contacted: (peer, dialect) => {
      if (peer.id !== SELF_ID) contacted(peer, dialect);
    },
    limits: { maxBodyBytes: settings.limits.body_bytes },
    mount,
  });
}

function callerOf({ settings, identity, peers }: PortParts, fingerprint: string): Peer | undefined {
  if (fingerprint !== identity().fingerprint) return peers.byFingerprint(fingerprint);
  return {
    id: SELF_ID,
    name: settings.name,
    url: settings.root_url,
    certificates: [],
    roles: [...SELF_ROLES],
    dialect: 'conclave',
    addedDate: new Date(0),
    lastContact: null,
    downSince: null,
    nextAttempt: null,
    lastError: null,
  };
}
