/** `conclave messages` and `conclave resend SEQUENCE`: what was sent and received, and dead letters (D21). */
import { type Command, InvalidArgumentError } from 'commander';
import { messages, resendMessage } from '../operator/messages.ts';
import type { MessageState } from '../operator/views.ts';
import { dated } from './approvals.ts';
import type { GlobalOptions } from './node-access.ts';
import { type OperatorOptions, operatorOf, operatorOption, withOperations } from './operator-access.ts';
import { UsageError } from './outcome.ts';
import { fittedTable } from './table.ts';
import type { Terminal } from './terminal.ts';

interface ListOptions extends GlobalOptions {
  readonly limit: number;
  readonly state?: string;
  readonly peer?: string;
  readonly text?: string;
}

const STATES: readonly MessageState[] = ['processed', 'pending', 'delivered', 'dead', 'withdrawn'];

export function addMessages(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('messages')
    .description('list messages, newest first')
    .option('--state <state>', `only those: ${STATES.join(', ')}`)
    .option('--peer <name>', 'only those from or to this peer')
    .option('--text <text>', 'only those whose id or action contains it')
    .option('-n, --limit <number>', 'how many at most', whole, 20)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      const { limit, state, peer, text } = options;
      if (state !== undefined && !STATES.includes(state as MessageState))
        throw new UsageError(`there is no state ${state}; there are ${STATES.join(', ')}`);
      await withOperations(options, terminal, async (services) => {
        const known = services.peers.list().find(({ name, id }) => name === peer || id === peer);
        if (peer !== undefined && known === undefined) throw new UsageError(`there is no peer ${peer}`);
        const { items } = await messages(services, {
          limit,
          ...(state === undefined ? {} : { state: state as MessageState }),
          ...(known === undefined ? {} : { peer: known.id }),
          ...(text === undefined ? {} : { text }),
        });
        if (options.json) return terminal.out(JSON.stringify(items, null, 4));
        const rows = items.map((message) => [
          String(message.sequence),
          message.is_received ? 'from' : 'to',
          message.peer?.name ?? '?',
          message.action,
          message.state,
          String(message.attempts),
          dated(message.created_date),
          message.error?.message ?? '',
        ]);
        const headings = ['number', '', 'peer', 'action', 'state', 'tries', 'created', 'problem'];
        terminal.out(fittedTable(headings, rows, terminal.columns));
      });
    });

  const resend = program
    .command('resend')
    .argument('<number>', 'a message that was given up, as conclave messages lists it', sequenceOf)
    .description('send a message again that was refused or given up');
  operatorOption(resend).action(async (sequence: string, _: unknown, command: Command) => {
    const options = command.optsWithGlobals<OperatorOptions>();
    await withOperations(options, terminal, async (services) => {
      await resendMessage(services, sequence, operatorOf(options));
      terminal.out(options.json ? JSON.stringify({ sequence: Number(sequence) }) : 'It is sent again.');
    });
  });
}

function sequenceOf(text: string): string {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a number.');
  return text;
}
