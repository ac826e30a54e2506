/**
 * A running node: everything put together, started in one order and stopped in the other.
 *
 *     database (migrated) ─► peers ─► engine ─► outbox sender ─► federation port ─► health
 *
 * Nothing that matters lives here (D10): a process that is killed at any instruction is followed by one that goes on.
 * Several processes may run one node on one database; what only one may do at a time, the engine and the sender sort out.
 */
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ElectionServices } from '../../tasks/election/services.ts';
import {
  DEFAULT_QUEUE,
  type DefinedContainer,
  type DefinedTask,
  type QueueOptions,
  Registry,
} from '../engine/definitions.ts';
import { Engine } from '../engine/engine.ts';
import { reasonOf } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { FederationClient } from '../protocol/client.ts';
import { PeerDirectory } from '../protocol/peers.ts';
import { OutboxSender } from '../protocol/sender.ts';
import type { FederationServer } from '../protocol/server.ts';
import type { Database } from '../store/database.ts';
import { createEngineStore } from '../store/engine-store.ts';
import { createOutboxStore, OUTBOX_CHANNEL } from '../store/outbox.ts';
import { PEERS_CHANNEL } from '../store/peers.ts';
import { VERSION } from '../version.ts';
import { BulkData } from './bulk-data.ts';
import { createPorts } from './federation.ts';
import { createHealthServer, listenOn } from './health.ts';
import { isDeadWorker, loadIdentity, workerName } from './identity.ts';
import { Metrics } from './metrics.ts';
import { openNodeDatabase } from './node-database.ts';
import type { ElectionApi } from './public-api.ts';
import { loadSecrets } from './secrets.ts';
import { createServices } from './services.ts';
import type { Settings } from './settings.ts';

/** What a node runs: actions, and the API of those that election managers start. */
export interface Workflows {
  readonly definitions: readonly (DefinedTask | DefinedContainer)[];
  readonly elections?: ElectionApi;
  /** Limits of queues that the settings do not name. */
  readonly queues?: Readonly<Record<string, QueueOptions>>;
}

export interface StartOptions {
  /** Made when the node's services are there. */
  readonly workflows?: (services: ElectionServices) => Workflows | Promise<Workflows>;
  /** Plain definitions, when no services are needed. */
  readonly definitions?: readonly (DefinedTask | DefinedContainer)[];
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
  readonly addresses: Readonly<{ federation: AddressInfo; api: AddressInfo | null; health: AddressInfo }>;
  /** Reads certificate and key again, for new connections (D22). */
  reloadIdentity(): Promise<void>;
  /**
   * Refuses new requests, lets handlers end for so long, gives the rest back, and closes everything. Idempotent.
   */
  stop(graceSeconds?: number): Promise<void>;
}

const DEFAULT_GRACE_SECONDS = 10;

/** @throws ConclaveError that says what is wrong and what to do; then nothing of the node is left running */
export async function startNode(settings: Settings, options: StartOptions = {}): Promise<RunningNode> {
  const { level, file } = settings.log;
  const log = options.log ?? createLog({ level, file, node: settings.name });
  const undo: (() => Promise<unknown>)[] = [];
  try {
    return await start(settings, options, log, undo);
  } catch (thrown) {
    for (const close of undo.reverse()) {
      await close().catch((error: unknown) => log.error({ reason: reasonOf(error) }, 'cleaning up failed'));
    }
    throw thrown;
  }
}

async function start(
  settings: Settings,
  options: StartOptions,
  log: Log,
  undo: (() => Promise<unknown>)[],
): Promise<RunningNode> {
  const identity = { current: await loadIdentity(settings) };
  const secrets = await loadSecrets(settings);
  await mkdir(settings.data_folder, { recursive: true, mode: 0o700 });
  await mkdir(settings.public_folder, { recursive: true });

  const opened = await openNodeDatabase(settings, log, {
    applicationName: `conclave ${settings.name}`.slice(0, 63),
  });
  undo.push(() => opened.close());
  const { database } = opened;
  const db = database.knex;
  const peers = new PeerDirectory({ db, log });
  undo.push(() => peers.stop());
  await peers.start();
  const client = new FederationClient({ identity: identity.current });
  undo.push(() => client.close());

  const bulkData = new BulkData({
    db,
    peers,
    client,
    log,
    origin: new URL(settings.root_url).origin,
    folder: join(settings.data_folder, 'incoming'),
    maxBytes: settings.limits.async_data_bytes,
  });
  const made = createServices({
    settings,
    identity: () => identity.current,
    secrets,
    database,
    peers,
    bulkData,
    log,
    engine: () => engine,
  });
  undo.push(() => made.close());
  const workflows: Workflows = (await options.workflows?.(made.services)) ?? { definitions: [] };
  const engine: Engine = createEngine(settings, database, peers, bulkData, log, {
    definitions: [...workflows.definitions, ...(options.definitions ?? [])],
    queues: workflows.queues ?? {},
    onOutgoing: (peerIds) => sender.poke(peerIds),
  });
  const sender = new OutboxSender({
    store: createOutboxStore(db),
    peers,
    client,
    log,
    undeliverable: (items) => engine.undeliverable(items),
  });

  const metrics = new Metrics({
    db,
    engine,
    peers,
    version: VERSION,
    certificateEnds: identity.current.notAfter,
  });
  const ports = createPorts({
    settings,
    identity: () => identity.current,
    peers,
    engine,
    bulkData,
    elections: workflows.elections ?? null,
    contacted: (peer, dialect) => sender.contacted(peer, dialect),
    log,
  });
  for (const { server } of ports.all) metrics.watch(server);

  await engine.start();
  undo.push(() => engine.stop(0));
  await sender.start();
  undo.push(() => sender.stop());
  database.listen([PEERS_CHANNEL, OUTBOX_CHANNEL], {
    onNotification: ({ channel, payload }) => {
      if (channel === PEERS_CHANNEL) void refreshPeers(peers, log);
      else sender.poke(payload === '' ? undefined : payload.split(','));
    },
    onConnect: () => void refreshPeers(peers, log),
  });
  await bulkData.sweep((id) => engine.store.task(id));

  let stopping: Promise<void> | null = null;
  const health = createHealthServer({
    name: settings.name,
    version: VERSION,
    metrics,
    problems: async () => {
      if (stopping !== null) return ['the node is stopping'];
      return await database.ping().then(
        () => [],
        (error: unknown) => [`the database does not answer (${reasonOf(error)})`],
      );
    },
  });
  const addresses = await listenAll(settings, ports, health, undo);
  log.info(
    {
      event: 'started',
      version: VERSION,
      url: settings.root_url,
      database: opened.shownAs,
      fingerprint: identity.current.fingerprint,
      addresses,
    },
    `node ${settings.name} is ready`,
  );

  const stop = async (graceSeconds: number): Promise<void> => {
    log.info({ event: 'stopping' }, 'the node stops');
    await Promise.all(ports.all.map((port) => closeWithin(port, graceSeconds)));
    await engine.stop(graceSeconds);
    await sender.stop();
    await client.close();
    await made.close();
    await peers.stop();
    await opened.close();
    await closeServer(health);
    log.info({ event: 'stopped' }, 'the node has stopped');
  };
  return {
    settings,
    name: settings.name,
    url: settings.root_url,
    engine,
    database,
    peers,
    sender,
    services: made.services,
    log,
    addresses,
    async reloadIdentity() {
      identity.current = await loadIdentity(settings);
      for (const port of ports.all) port.setIdentity(identity.current);
      await client.setIdentity(identity.current);
      log.info(
        { event: 'identity_reloaded', fingerprint: identity.current.fingerprint },
        'certificate read again',
      );
    },
    stop(graceSeconds = DEFAULT_GRACE_SECONDS) {
      stopping ??= stop(graceSeconds);
      return stopping;
    },
  };
}

interface EngineParts {
  readonly definitions: readonly (DefinedTask | DefinedContainer)[];
  readonly queues: Readonly<Record<string, QueueOptions>>;
  readonly onOutgoing: (peerIds: readonly string[]) => void;
}

function createEngine(
  settings: Settings,
  database: Database,
  peers: PeerDirectory,
  bulkData: BulkData,
  log: Log,
  parts: EngineParts,
): Engine {
  return new Engine({
    store: createEngineStore(database, settings.root_url),
    registry: new Registry(parts.definitions),
    peers: {
      idByUrl: (url) => peers.byUrl(url)?.id,
      dialect: (id) => peers.byId(id)?.dialect ?? 'unknown',
    },
    node: { name: settings.name, url: settings.root_url },
    log,
    queues: { ...parts.queues, ...queueOptions(settings) },
    leaseSeconds: settings.lease,
    reservationTimeout: settings.reservation_timeout,
    workerName: workerName(),
    isDeadWorker,
    fetchAsyncData: (task, signal) => bulkData.fetch(task, signal),
    onOutgoing: parts.onOutgoing,
    onEnded: (ids) => void bulkData.forget(ids),
  });
}

function queueOptions({ queues }: Settings): Record<string, QueueOptions> {
  return Object.fromEntries(
    Object.entries(queues).map(([queue, { max_threads: maxThreads, max_waiting: maxWaiting }]) => [
      queue,
      {
        maxThreads: maxThreads ?? DEFAULT_QUEUE.maxThreads,
        ...(maxWaiting === undefined ? {} : { maxWaiting }),
      },
    ]),
  );
}

async function listenAll(
  settings: Settings,
  ports: ReturnType<typeof createPorts>,
  health: Server,
  undo: (() => Promise<unknown>)[],
): Promise<RunningNode['addresses']> {
  const { federation, api, health: healthAddress } = settings.listen;
  undo.push(() => ports.federation.close());
  const addresses = {
    federation: await ports.federation.listen(federation.port, federation.host),
    api: null as AddressInfo | null,
    health: null as AddressInfo | null,
  };
  if (ports.api !== null && api !== null) {
    undo.push(() => ports.api!.close());
    addresses.api = await ports.api.listen(api.port, api.host);
  }
  const bound = await listenOn(health, healthAddress.port, healthAddress.host);
  undo.push(() => closeServer(health));
  return { ...addresses, health: bound };
}

async function refreshPeers(peers: PeerDirectory, log: Log): Promise<void> {
  await peers.refresh().catch((thrown: unknown) => {
    // The directory polls as well.
    log.debug({ event: 'peers_unread', reason: reasonOf(thrown) }, 'the peers could not be read');
  });
}

/** Lets answers end, but a download that takes hours does not keep the node from stopping. */
async function closeWithin(port: FederationServer, graceSeconds: number): Promise<void> {
  const timer = setTimeout(() => port.server.closeAllConnections(), graceSeconds * 1000);
  await port.close().finally(() => clearTimeout(timer));
}

function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
