/** `conclave console`: prints a link that opens the console once, for whoever owns the node. */
import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { createLink, LINK_SECONDS } from '../console/sessions.ts';
import { consoleAddress } from '../node/console.ts';
import { type GlobalOptions, withDatabase } from './node-access.ts';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

const OPERATOR = /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,63}$/u;

export function addConsole(program: Command, terminal: Terminal): void {
  program
    .command('console')
    .description('print a link that opens the console of the running node, once')
    .option('--operator <name>', 'who uses it, as the audit trail names them (default: your account)')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions & { operator?: string }>();
      const operator = options.operator ?? userInfo().username;
      if (!OPERATOR.test(operator))
        throw new UsageError('--operator must be a name of at most 64 characters');
      await withDatabase(options, terminal, async ({ knex }, settings) => {
        const address = await consoleAddress(settings);
        const url = `${address}/#link=${await createLink(knex, operator)}`;
        if (options.json) return terminal.out(JSON.stringify({ url, operator, seconds: LINK_SECONDS }));
        terminal.out(url);
        terminal.note(`For ${operator}, once, within ${LINK_SECONDS} seconds, in a browser on this machine.`);
      });
    });
}
