/**
 * What the election workflows get from the node (`ElectionServices`), composed from its parts. Nothing here knows how an
 * election goes.
 */
import { availableParallelism } from 'node:os';
import type { ElectionServices, ExternalMixnet, PeerReference } from '../../tasks/election/services.ts';
import type { Engine } from '../engine/engine.ts';
import { MixnetWorker } from '../mixnet/worker/client.ts';
import { pinCertificate } from '../protocol/certificate.ts';
import type { Log } from '../protocol/log.ts';
import type { Peer, PeerDirectory } from '../protocol/peers.ts';
import type { Database } from '../store/database.ts';
import type { BulkData } from './bulk-data.ts';
import type { NodeIdentity } from './identity.ts';
import { Outgoing } from './outgoing.ts';
import type { Secrets } from './secrets.ts';
import type { Settings } from './settings.ts';

export interface ServiceParts {
  readonly settings: Settings;
  /** As it is now: it may be rotated while the node runs. */
  readonly identity: () => NodeIdentity;
  readonly secrets: Secrets;
  readonly database: Database;
  readonly peers: PeerDirectory;
  readonly bulkData: BulkData;
  readonly log: Log;
  /** The engine is made with the definitions that need the services: it comes later. */
  readonly engine: () => Engine;
}

/** `close` ends the mix-net's threads. */
export function createServices(parts: ServiceParts): { services: ElectionServices; close(): Promise<void> } {
  const { settings, identity, secrets, database, peers, bulkData, log } = parts;
  const mixnet = new MixnetWorker({ threads: MIXNET_THREADS });
  const outgoing = new OutgoingByPeer(settings, identity, peers);
  const services: ElectionServices = {
    node: { name: settings.name, url: settings.root_url },
    get certificate() {
      return identity().certificate;
    },
    sign: (data) => identity().sign(data),
    db: database.knex,
    privateFolder: settings.data_folder,
    publicFolder: settings.public_folder,
    publicUrl: publicUrl(settings),
    settings: {
      autoAccept: settings.auto_accept_requests,
      multipleTallies: settings.allow_multiple_tallies,
      maxQuestions: settings.max_questions,
      defaultGroup: settings.default_group,
      maxVotesBytes: settings.limits.votes_bytes,
      tallyWaitSeconds: settings.tally_wait,
      tallyStepSeconds: settings.tally_step,
    },
    mixnet,
    external: externalMixnet(settings),
    log,
    create: (tree) => parts.engine().create(tree),
    seal: (secret, context) => secrets.seal(secret, context),
    open: (sealed, context) => secrets.open(sealed, context),
    callback: async (url, body, signal) => {
      const { outgoing: to, ...recognised } = outgoing.to(url);
      await to.postJson(url, body, { signal, ...recognised });
    },
    download: (url, destination, options) => {
      const { outgoing: to, ...recognised } = outgoing.to(url);
      return to.download(url, destination, { ...options, ...recognised });
    },
    share: (path, readers) => bulkData.share(path, readers),
    withdraw: (folder) => bulkData.withdraw(folder),
    peerByCertificate: (pem) => asReference(peers.byFingerprint(pinCertificate(pem).fingerprint)),
    peerById: (id) => asReference(peers.byId(id)),
  };
  return { services, close: () => mixnet.close() };
}

/** So that a key generation does not wait behind another election's shuffle. */
const MIXNET_THREADS = Math.max(2, availableParallelism() - 1);

/** D44. Null unless the settings say so. */
function externalMixnet({ mixnet }: Settings): ExternalMixnet | null {
  const { program, http, hint, vmn, vmni, vmnc, vmnv } = mixnet;
  if (program !== 'verificatum' || http === undefined || hint === undefined) return null;
  return {
    programs: { vmn, vmni, vmnc, vmnv },
    timeoutSeconds: {
      convert: mixnet.convert_seconds,
      keygen: mixnet.keygen_seconds,
      mix: mixnet.mix_seconds,
      verify: mixnet.verify_seconds,
    },
    http,
    hint,
  };
}

/** Below which the public folder is found, without a slash at its end. */
export function publicUrl(settings: Settings): string {
  return (settings.public_url ?? `${new URL(settings.root_url).origin}/public_data`).replace(/\/+$/, '');
}

/**
 * Peers need not be named in the settings: their servers are recognised by their pinned certificates, wherever they are.
 * Everybody else is reached as the settings allow (D25).
 */
class OutgoingByPeer {
  readonly #settings: Settings;
  readonly #identity: () => NodeIdentity;
  readonly #peers: PeerDirectory;

  constructor(settings: Settings, identity: () => NodeIdentity, peers: PeerDirectory) {
    this.#settings = settings;
    this.#identity = identity;
    this.#peers = peers;
  }

  /** How a URL may be reached, and by which certificates its server is recognised. */
  to(url: string): { outgoing: Outgoing; pinned?: string[] } {
    const identity = this.#identity();
    const peer = this.#peers.byOrigin(url);
    if (peer === undefined) {
      const { allowed, allow_loopback: allowLoopback } = this.#settings.outgoing;
      return { outgoing: new Outgoing({ policy: { allowed, allowLoopback }, identity }) };
    }
    const policy = { allowed: ['0.0.0.0/0', '::/0'], allowLoopback: true };
    return { outgoing: new Outgoing({ policy, identity }), pinned: peer.certificates.map(({ pem }) => pem) };
  }
}

function asReference(peer: Peer | undefined): PeerReference | undefined {
  return peer === undefined ? undefined : { id: peer.id, name: peer.name, url: peer.url };
}
