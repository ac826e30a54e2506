/**
 * `conclave start`: runs the node until it is told to stop. SIGTERM and SIGINT stop it gracefully, a second one at once;
 * SIGHUP has it read its certificate again. Kill it as you like: the next start goes on.
 */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { createLog } from '../log.ts';
import { electionWorkflows } from '../node/elections.ts';
import { startNode } from '../node/node.ts';
import { loadSettings, type Settings } from '../node/settings.ts';
import { EXIT, type ExitCode } from './outcome.ts';
import type { Terminal } from './terminal.ts';

/** A terminal's Ctrl-C reaches a process twice when its launcher passes it on: once more means later than this. */
const IMPATIENCE_MILLISECONDS = 1000;

interface StartOptions {
  settings?: string;
  logLevel?: Settings['log']['level'];
  grace: number;
  withParent?: boolean;
}

export function addStart(
  program: Command,
  terminal: Terminal,
  whole: (text: string) => number,
  ended: (code: ExitCode) => void,
): void {
  program
    .command('start')
    .description('run the node until it is stopped')
    .option('--grace <seconds>', 'how long handlers may go on when the node is stopped', whole, 10)
    .option('--with-parent', 'stop when standard input ends: for programs that start a node')
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<StartOptions>();
      const settings = await loadSettings(options.settings, terminal.environment);
      const level = options.logLevel ?? settings.log.level;
      const log = createLog({ level, file: settings.log.file, node: settings.name });
      const stop = signalled(options.withParent === true);
      await keepOutOfCoreDumps();
      const node = await startNode(settings, { workflows: electionWorkflows, log });
      stop.onReload(() => node.reloadIdentity(), log);
      terminal.note(`Node ${node.name} is ready at ${node.url}. Stop it with Ctrl-C.`);
      await stop.requested;
      await node.stop(options.grace);
      process.stdin.pause();
      ended(EXIT.ok);
    });
}

/**
 * Key shares are in the memory of a node that decrypts: a core dump, its own or of a process that it starts, has none of
 * it (TM-31). Where the system offers no such thing, the service manager must forbid core dumps.
 */
async function keepOutOfCoreDumps(): Promise<void> {
  await writeFile('/proc/self/coredump_filter', '0').catch(() => {});
}

interface Signals {
  /** Resolves at the first signal to stop. */
  readonly requested: Promise<void>;
  onReload(reload: () => Promise<void>, log: { error(fields: object, message: string): void }): void;
}

/** From now on: a signal that comes while the node starts is not lost. */
export function signalled(withParent = false): Signals {
  const { promise, resolve } = Promise.withResolvers<void>();
  let first = 0;
  const stop = (): void => {
    if (first === 0) {
      first = performance.now();
      resolve();
    } else if (performance.now() - first > IMPATIENCE_MILLISECONDS) {
      process.exit(EXIT.failure);
    }
  };
  if (withParent) process.stdin.resume().once('end', stop).once('error', stop);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  return {
    requested: promise,
    onReload(reload, log) {
      process.on('SIGHUP', () => {
        reload().catch((error: unknown) =>
          log.error(
            { event: 'identity_not_reloaded', err: error },
            'the certificate could not be read again',
          ),
        );
      });
    },
  };
}
