/**
 * How commands reach a node: directly in its database, whether it runs or not (an embedded server that does not run is
 * started, and stopped again). What a command commits, a running node hears of by NOTIFY.
 */
import { createLog } from '../log.ts';
import { type Assembly, assemble } from '../node/assembly.ts';
import { electionWorkflows } from '../node/elections.ts';
import { openNodeDatabase } from '../node/node-database.ts';
import { loadSettings, type Settings } from '../node/settings.ts';
import { PeerDirectory } from '../protocol/peers.ts';
import type { Database } from '../store/database.ts';
import type { Terminal } from './terminal.ts';

/** Options of the program itself, which every command has. */
export interface GlobalOptions {
  readonly settings?: string;
  readonly json?: boolean;
  readonly logLevel?: Settings['log']['level'];
}

export async function settingsOf(options: GlobalOptions, terminal: Terminal): Promise<Settings> {
  return await loadSettings(options.settings, terminal.environment);
}

const POOL_SIZE = 2;

/** For commands that look. */
export async function withDatabase<T>(
  options: GlobalOptions,
  terminal: Terminal,
  work: (database: Database, settings: Settings) => Promise<T>,
): Promise<T> {
  const settings = await settingsOf(options, terminal);
  const opened = await openNodeDatabase(settings, commandLog(options, settings), {
    applicationName: 'conclave command',
    poolSize: POOL_SIZE,
  });
  try {
    return await work(opened.database, settings);
  } finally {
    await opened.close();
  }
}

/** For commands about peers. */
export async function withPeers<T>(
  options: GlobalOptions,
  terminal: Terminal,
  work: (peers: PeerDirectory, settings: Settings) => Promise<T>,
): Promise<T> {
  return await withDatabase(options, terminal, async (database, settings) => {
    const peers = new PeerDirectory({ db: database.knex, log: commandLog(options, settings) });
    try {
      await peers.refresh();
      return await work(peers, settings);
    } finally {
      await peers.stop();
    }
  });
}

/** For commands that change tasks: an engine with the node's definitions that executes nothing. */
export async function withEngine<T>(
  options: GlobalOptions,
  terminal: Terminal,
  work: (parts: Assembly) => Promise<T>,
): Promise<T> {
  const settings = await settingsOf(options, terminal);
  const parts = await assemble(settings, {
    workflows: electionWorkflows,
    log: commandLog(options, settings),
    applicationName: 'conclave command',
    works: false,
    // The running node's sender hears of it, or finds it when it starts.
    onOutgoing: () => {},
  });
  try {
    return await work(parts);
  } finally {
    await parts.engine.stop(0);
    await parts.close();
  }
}

/** Commands answer for themselves; their log is for who asks for it. */
function commandLog({ logLevel = 'error' }: GlobalOptions, settings: Settings) {
  return createLog({ level: logLevel, node: settings.name });
}
