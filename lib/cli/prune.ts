/** `conclave prune`: removes what ended long ago, so that a node that runs for years stays small. Elections stay. */
import type { Command } from 'commander';
import { olderThan, prune } from '../store/retention.ts';
import { type GlobalOptions, withDatabase } from './node-access.ts';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

export function addPrune(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('prune')
    .description('remove task trees that ended long ago, and their messages; elections and results stay')
    .requiredOption('--days <number>', 'keep what ended within so many days', whole)
    .action(async ({ days }: { days: number }, command: Command) => {
      if (days < 1) throw new UsageError('--days must be at least 1');
      const options = command.optsWithGlobals<GlobalOptions>();
      await withDatabase(options, terminal, async ({ knex }) => {
        const pruned = await prune(knex, olderThan(days, new Date()));
        const { trees, tasks, messages } = pruned;
        if (options.json) terminal.out(JSON.stringify(pruned));
        else terminal.out(`removed ${trees} trees with ${tasks} tasks, and ${messages} messages`);
      });
    });
}
