/**
 * A running node: everything put together, started in one order and stopped in the other.
 *
 *     database (migrated) ─► peers ─► audit trail ─► engine ─► outbox sender ─► ports for others ─► health
 *
 * Nothing that matters lives here (D10): a process that is killed at any instruction is followed by one that goes on.
 * Several processes may run one node on one database; what only one may do at a time, the engine and the sender sort out.
 */
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ElectionServices } from '../../tasks/election/services.ts';
import type { Engine } from '../engine/engine.ts';
import { reasonOf } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import type { PeerDirectory } from '../protocol/peers.ts';
import { OutboxSender } from '../protocol/sender.ts';
import type { FederationServer } from '../protocol/server.ts';
import type { Database } from '../store/database.ts';
import { createOutboxStore, OUTBOX_CHANNEL } from '../store/outbox.ts';
import { PEERS_CHANNEL } from '../store/peers.ts';
import { VERSION } from '../version.ts';
import { type Assembly, type AssemblyOptions, assemble } from './assembly.ts';
import { type ConsoleListener, startConsole } from './console.ts';
import { createPorts, type Ports } from './federation.ts';
import { createHealthServer, listenOn } from './health.ts';
import { loadIdentity } from './identity.ts';
import { Metrics } from './metrics.ts';
import { Retention } from './retention.ts';
import type { Settings } from './settings.ts';

export interface StartOptions extends Pick<AssemblyOptions, 'workflows' | 'definitions' | 'onEnded'> {
  readonly log?: Log;
}

export interface RunningNode {
  readonly settings: Settings;
  readonly name: string;
  /** Root URL of its queues. */
  readonly url: string;
  readonly engine: Engine;
  readonly database: Database;
  readonly peers: PeerDirectory;
  readonly sender: OutboxSender;
  readonly services: ElectionServices;
  readonly log: Log;
  readonly addresses: Addresses;
  /** Reads certificate and key again, for new connections (D22). */
  reloadIdentity(): Promise<void>;
  /** Refuses new requests, lets handlers end for so long, gives the rest back, and closes everything. Idempotent. */
  stop(graceSeconds?: number): Promise<void>;
}

export type Addresses = Readonly<{
  federation: AddressInfo;
  api: AddressInfo | null;
  health: AddressInfo;
  console: AddressInfo | null;
}>;

const DEFAULT_GRACE_SECONDS = 10;

/** @throws ConclaveError that says what is wrong and what to do; then nothing of the node is left running */
export async function startNode(settings: Settings, options: StartOptions = {}): Promise<RunningNode> {
  const { level, file } = settings.log;
  const log = options.log ?? createLog({ level, file, node: settings.name });
  await mkdir(settings.data_folder, { recursive: true, mode: 0o700 });
  await mkdir(settings.public_folder, { recursive: true });
  const parts = await assemble(settings, {
    ...options,
    log,
    works: true,
    applicationName: `conclave ${settings.name}`.slice(0, 63),
    onOutgoing: (peerIds) => sender.poke(peerIds),
  });
  const { engine, peers, client, bulkData, opened } = parts;
  const sender: OutboxSender = new OutboxSender({
    store: createOutboxStore(opened.database.knex),
    peers,
    client,
    log,
    undeliverable: (items) => engine.undeliverable(items),
  });
  const { retention_days: days } = settings;
  const retention = days === undefined ? null : new Retention({ db: opened.database.knex, days, log });
  const state = { stopping: false };
  let operators: ConsoleListener | null = null;
  const ports = openPorts(parts, sender, log);
  const health = createHealth(parts, ports, state);
  const close = async (graceSeconds: number): Promise<void> => {
    await operators?.close();
    await retention?.stop();
    await Promise.all(ports.all.map((port) => closeWithin(port, graceSeconds)));
    await engine.stop(graceSeconds);
    await sender.stop();
    await parts.trail.stop();
    await parts.close();
    await closeServer(health);
  };
  try {
    await parts.trail.start();
    await engine.start();
    await sender.start();
    retention?.start();
    listenToOthers(parts, sender, log);
    await bulkData.sweep((id) => engine.store.task(id));
    operators = await startConsole(parts, log);
    const addresses = await listenAll(settings, ports, health);
    return running({ ...addresses, console: operators?.address ?? null });
  } catch (thrown) {
    await close(0).catch((error: unknown) =>
      log.error({ event: 'cleanup_failed', reason: reasonOf(error) }, 'cleaning up failed'),
    );
    throw thrown;
  }

  function running(addresses: Addresses): RunningNode {
    const { fingerprint } = parts.identity.current;
    log.info(
      {
        event: 'started',
        version: VERSION,
        url: settings.root_url,
        database: opened.shownAs,
        fingerprint,
        addresses,
      },
      `node ${settings.name} is ready`,
    );
    let stopped: Promise<void> | undefined;
    return {
      settings,
      name: settings.name,
      url: settings.root_url,
      engine,
      database: opened.database,
      peers,
      sender,
      services: parts.services,
      log,
      addresses,
      async reloadIdentity() {
        const identity = await loadIdentity(settings);
        parts.identity.current = identity;
        for (const port of ports.all) port.setIdentity(identity);
        await client.setIdentity(identity);
        log.info({ event: 'identity_reloaded', fingerprint: identity.fingerprint }, 'certificate read again');
      },
      stop(graceSeconds = DEFAULT_GRACE_SECONDS) {
        if (stopped === undefined) {
          state.stopping = true;
          log.info({ event: 'stopping' }, 'the node stops');
          stopped = close(graceSeconds).then(() => log.info({ event: 'stopped' }, 'the node has stopped'));
        }
        return stopped;
      },
    };
  }
}

function openPorts(parts: Assembly, sender: OutboxSender, log: Log): Ports {
  const { settings, identity, peers, engine, bulkData, elections } = parts;
  return createPorts({
    settings,
    identity: () => identity.current,
    peers,
    engine,
    bulkData,
    elections,
    contacted: (peer, dialect) => sender.contacted(peer, dialect),
    heads: parts.trail.heads,
    log,
  });
}

function createHealth(
  { settings, opened, engine, peers, identity }: Assembly,
  ports: Ports,
  state: { readonly stopping: boolean },
): Server {
  const { database } = opened;
  const metrics = new Metrics({
    db: database.knex,
    engine,
    peers,
    version: VERSION,
    certificateEnds: () => identity.current.notAfter,
  });
  for (const { server } of ports.all) metrics.watch(server);
  return createHealthServer({
    name: settings.name,
    version: VERSION,
    metrics,
    problems: async () => {
      if (state.stopping) return ['the node is stopping'];
      return await database.ping().then(
        () => [],
        (error: unknown) => [`the database does not answer (${reasonOf(error)})`],
      );
    },
  });
}

/** What other processes on this database have changed: commands, and further workers. */
function listenToOthers({ opened, peers }: Assembly, sender: OutboxSender, log: Log): void {
  const refresh = (): void => {
    peers.refresh().catch((thrown: unknown) => {
      // The directory polls as well.
      log.debug({ event: 'peers_unread', reason: reasonOf(thrown) }, 'the peers could not be read');
    });
  };
  opened.database.listen([PEERS_CHANNEL, OUTBOX_CHANNEL], {
    onNotification: ({ channel }) => (channel === PEERS_CHANNEL ? refresh() : sender.poke()),
    onConnect: refresh,
  });
}

async function listenAll(
  settings: Settings,
  ports: Ports,
  health: Server,
): Promise<Omit<Addresses, 'console'>> {
  const { federation, api, health: own } = settings.listen;
  return {
    federation: await ports.federation.listen(federation.port, federation.host),
    api: ports.api === null || api === null ? null : await ports.api.listen(api.port, api.host),
    health: await listenOn(health, own.port, own.host),
  };
}

/** Lets answers end, but a download that takes hours does not keep the node from stopping. */
async function closeWithin(port: FederationServer, graceSeconds: number): Promise<void> {
  if (!port.server.listening) return;
  const timer = setTimeout(() => port.server.closeAllConnections(), graceSeconds * 1000);
  await port.close().finally(() => clearTimeout(timer));
}

async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
