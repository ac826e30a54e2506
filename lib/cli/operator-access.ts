/** For commands that do what the console does: the operations of operators, and in whose name. */
import { userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { Knex } from 'knex';
import { operatorServices } from '../node/operator.ts';
import type { OperatorServices } from '../operator/services.ts';
import { type GlobalOptions, withEngine } from './node-access.ts';
import { CommandFailed, UsageError } from './outcome.ts';
import { harmless, type Terminal } from './terminal.ts';

const OPERATOR = /^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,63}$/u;

export interface OperatorOptions extends GlobalOptions {
  readonly operator?: string;
}

export function operatorOption(command: Command): Command {
  return command.option(
    '--operator <name>',
    'who does it, as the audit trail names them (default: your account)',
  );
}

export function operatorOf({ operator = userInfo().username }: OperatorOptions): string {
  if (!OPERATOR.test(operator)) throw new UsageError('--operator must be a name of at most 64 characters');
  return operator;
}

export async function withOperations<T>(
  options: GlobalOptions,
  terminal: Terminal,
  work: (services: OperatorServices, db: Knex) => Promise<T>,
): Promise<T> {
  return await withEngine(options, terminal, async (parts) => {
    await parts.peers.refresh();
    return await work(operatorServices(parts), parts.opened.database.knex);
  });
}

/** @throws CommandFailed when the answer is not yes, or nobody is there to give one */
export async function confirm(question: string, otherwise: string): Promise<void> {
  if (process.stdin.isTTY !== true) throw new CommandFailed('nobody is here to confirm', otherwise);
  await demandYes(question);
}

/** Asks whoever is at the terminal. @throws CommandFailed when the answer is not yes */
export async function demandYes(question: string): Promise<void> {
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(harmless(`${question} [y/N] `));
    if (!/^y(?:es)?$/i.test(answer.trim())) throw new CommandFailed('nothing was changed');
  } finally {
    prompt.close();
  }
}
