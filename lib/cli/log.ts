/** `conclave log …`: the audit trail of this node, and of others by their exports (D24). */
import type { Command } from 'commander';
import { exportLog } from './log-export.ts';
import { showLog } from './log-show.ts';
import { verifyLog } from './log-verify.ts';
import type { ExitCode } from './outcome.ts';
import type { Terminal } from './terminal.ts';

/** Clocks of nodes may differ by so many seconds. */
const LEEWAY = 60;
const LIMIT = 20;

export function addLog(
  program: Command,
  terminal: Terminal,
  whole: (text: string) => number,
  ended: (code: ExitCode) => void,
): void {
  const log = program
    .command('log')
    .description('the audit trail: what this node did, sealed so that nobody can change it unseen');
  log
    .command('verify')
    .argument('[file...]', 'exports of one or several nodes (default: the own database)')
    .description('find what was removed, inserted, changed, cut off, or told differently to others')
    .option('--certificate <file...>', "a node's certificate (PEM); URL=FILE: of that node alone")
    .option('--fingerprint <text...>', 'believe the certificate with this fingerprint, which an export has')
    .option('--leeway <seconds>', "by how much nodes' clocks may differ", whole, LEEWAY)
    .addHelpText('after', '\nExit code: 0 valid, 1 not valid, 2 not something that could be verified.')
    .action(async (files: string[], _: unknown, command: Command) =>
      ended(await verifyLog(files, command.optsWithGlobals(), terminal)),
    );
  log
    .command('export')
    .argument('<file>', 'file to write; it is readable by its owner alone')
    .description('write the log with its messages, for whoever checks it')
    .option('--election <id>', "only this election's entries and messages; of others their hashes")
    .option('--from <number>', 'first block', whole)
    .option('--to <number>', 'last block', whole)
    .action((file: string, _: unknown, command: Command) =>
      exportLog(file, command.optsWithGlobals(), terminal),
    );
  log
    .command('show')
    .description('show the newest entries')
    .option('--kind <kind>', 'sent, received, delivered, approval, start …')
    .option('--peer <peer>', 'name or id')
    .option('--task <id>', 'a task; its id may be shortened')
    .option('--election <id>', "of an election's tasks")
    .option('--since <date>', 'ISO 8601')
    .option('--until <date>', 'ISO 8601')
    .option('--limit <number>', 'how many at most', whole, LIMIT)
    .action((_: unknown, command: Command) => showLog(command.optsWithGlobals(), terminal));
}
