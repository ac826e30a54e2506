/** `conclave prune`: removes what ended long ago, so that a node that runs for years stays small. Elections stay. */
import type { Command } from 'commander';
import { prune } from '../store/retention.ts';
import { type GlobalOptions, withDatabase } from './node-access.ts';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

const DAY = 24 * 3600 * 1000;
/** Messages tell repeated ones from new ones: they stay longer than the trees that they are about. */
const MESSAGES_LONGER = 7;

export function addPrune(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('prune')
    .description('remove task trees that ended long ago, and their messages; elections and results stay')
    .requiredOption('--days <number>', 'keep what ended within so many days', whole)
    .action(async ({ days }: { days: number }, command: Command) => {
      if (days < 1) throw new UsageError('--days must be at least 1');
      const options = command.optsWithGlobals<GlobalOptions>();
      await withDatabase(options, terminal, async ({ knex }) => {
        const before = (age: number): Date => new Date(Date.now() - age * DAY);
        const pruned = await prune(knex, {
          treesEndedBefore: before(days),
          messagesSettledBefore: before(days + MESSAGES_LONGER),
        });
        const { trees, tasks, messages } = pruned;
        if (options.json) terminal.out(JSON.stringify(pruned));
        else terminal.out(`removed ${trees} trees with ${tasks} tasks, and ${messages} messages`);
      });
    });
}
