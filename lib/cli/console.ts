/** `conclave console`: prints a link that opens the console once, for whoever owns the node. */
import type { Command } from 'commander';
import { createLink, LINK_SECONDS } from '../console/sessions.ts';
import { consoleAddress } from '../node/console.ts';
import { withDatabase } from './node-access.ts';
import { type OperatorOptions, operatorOf, operatorOption } from './operator-access.ts';
import type { Terminal } from './terminal.ts';

export function addConsole(program: Command, terminal: Terminal): void {
  const opened = program
    .command('console')
    .description('print a link that opens the console of the running node, once');
  operatorOption(opened).action(async (_: unknown, command: Command) => {
    const options = command.optsWithGlobals<OperatorOptions>();
    const operator = operatorOf(options);
    await withDatabase(options, terminal, async ({ knex }, settings) => {
      const address = await consoleAddress(settings);
      const url = `${address}/#link=${await createLink(knex, operator)}`;
      if (options.json) return terminal.out(JSON.stringify({ url, operator, seconds: LINK_SECONDS }));
      terminal.out(url);
      terminal.note(`For ${operator}, once, within ${LINK_SECONDS} seconds, in a browser on this machine.`);
    });
  });
}
