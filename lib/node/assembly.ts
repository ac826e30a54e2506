/**
 * The parts of a node that both the running node and a command beside it need: database, peers, services and engine, put
 * together but not started. A command's engine executes no jobs; what it commits, the running node hears of.
 */
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
import type { Log } from '../log.ts';
import { FederationClient } from '../protocol/client.ts';
import { PeerDirectory } from '../protocol/peers.ts';
import { createEngineStore } from '../store/engine-store.ts';
import { BulkData } from './bulk-data.ts';
import { isDeadWorker, loadIdentity, type NodeIdentity, workerName } from './identity.ts';
import { type NodeDatabase, openNodeDatabase } from './node-database.ts';
import type { ElectionApi } from './public-api.ts';
import { loadSecrets } from './secrets.ts';
import { createServices } from './services.ts';
import type { Settings } from './settings.ts';
import { Trail } from './trail.ts';

/** What a node runs: actions, and the API of those that election managers start. */
export interface Workflows {
  readonly definitions: readonly (DefinedTask | DefinedContainer)[];
  readonly elections?: ElectionApi;
  /** Limits of queues that the settings do not name. */
  readonly queues?: Readonly<Record<string, QueueOptions>>;
}

export interface AssemblyOptions {
  /** Made when the node's services are there. */
  readonly workflows?: ((services: ElectionServices) => Workflows | Promise<Workflows>) | undefined;
  /** Plain definitions, when no services are needed. */
  readonly definitions?: readonly (DefinedTask | DefinedContainer)[] | undefined;
  readonly log: Log;
  readonly applicationName: string;
  /** Whether this process executes jobs. */
  readonly works: boolean;
  /** The outbox has messages for these peers. */
  readonly onOutgoing: (peerIds: readonly string[]) => void;
  /** These tasks have ended: a hint, after the commit; processes hear of each other's, but for what gets lost. */
  readonly onEnded?: ((taskIds: readonly string[]) => void) | undefined;
}

export interface Assembly {
  readonly settings: Settings;
  readonly identity: { current: NodeIdentity };
  readonly opened: NodeDatabase;
  readonly peers: PeerDirectory;
  readonly client: FederationClient;
  readonly trail: Trail;
  readonly bulkData: BulkData;
  readonly services: ElectionServices;
  readonly elections: ElectionApi | null;
  readonly engine: Engine;
  /** Everything but the engine, which its owner stops first. */
  close(): Promise<void>;
}

/** @throws ConclaveError that says what is wrong; then nothing is left open */
export async function assemble(settings: Settings, options: AssemblyOptions): Promise<Assembly> {
  const identity = { current: await loadIdentity(settings) };
  const secrets = await loadSecrets(settings);
  const opened = await openNodeDatabase(settings, options.log, options);
  const closing: (() => Promise<void>)[] = [() => opened.close()];
  const close = async (): Promise<void> => {
    for (const each of closing.splice(0).reverse()) await each();
  };
  try {
    return { settings, identity, opened, ...(await compose()), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }

  async function compose() {
    const { log } = options;
    const { database } = opened;
    const peers = new PeerDirectory({ db: database.knex, log });
    closing.push(() => peers.stop());
    await peers.start();
    const trail = new Trail({
      database,
      node: settings.root_url,
      identity: () => identity.current,
      log,
    });
    const client = new FederationClient({ identity: identity.current, heads: trail.heads });
    closing.push(() => client.close());
    const bulkData = new BulkData({
      db: database.knex,
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
    closing.push(() => made.close());
    const { services } = made;
    const workflows: Workflows = (await options.workflows?.(services)) ?? { definitions: [] };
    const engine: Engine = new Engine({
      store: createEngineStore(database, settings.root_url),
      registry: new Registry([...workflows.definitions, ...(options.definitions ?? [])]),
      peers: {
        idByUrl: (url) => peers.byUrl(url)?.id,
        dialect: (id) => peers.byId(id)?.dialect ?? 'unknown',
      },
      node: { name: settings.name, url: settings.root_url },
      log,
      queues: { ...workflows.queues, ...queueOptions(settings) },
      leaseSeconds: settings.lease,
      reservationTimeout: settings.reservation_timeout,
      workerName: workerName(),
      isDeadWorker,
      fetchAsyncData: (task, signal) => bulkData.fetch(task, signal),
      onOutgoing: options.onOutgoing,
      onEnded: (ids) => {
        void bulkData.forget(ids);
        options.onEnded?.(ids);
      },
      works: options.works,
    });
    return { peers, client, trail, bulkData, services, elections: workflows.elections ?? null, engine };
  }
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
