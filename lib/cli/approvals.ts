/**
 * `conclave approvals`, `approve ID`, `deny ID`: what waits for an operator, and deciding it (D33). Whoever accepts has
 * seen the hash, which is the same on every authority's screen, or names it with `--hash`.
 */
import type { Command } from 'commander';
import { approval, pendingApprovals } from '../operator/approvals.ts';
import { decide } from '../operator/decisions.ts';
import type { OperatorServices } from '../operator/services.ts';
import type { ApprovalView, Decided, HashView } from '../operator/views.ts';
import { findTask } from '../store/task-queries.ts';
import {
  confirm,
  type OperatorOptions,
  operatorOf,
  operatorOption,
  withOperations,
} from './operator-access.ts';
import { CommandFailed, UsageError } from './outcome.ts';
import { fittedTable } from './table.ts';
import { shortId } from './task-text.ts';
import { harmless, type Terminal } from './terminal.ts';

const HASH = /^[0-9a-f]{64}$/;
const WORDS_A_LINE = 8;

export function addApprovals(program: Command, terminal: Terminal): void {
  program
    .command('approvals')
    .description('list what waits for your decision, oldest first')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<OperatorOptions>();
      await withOperations(options, terminal, async (services) => {
        const waiting = await pendingApprovals(services);
        if (options.json) return terminal.out(JSON.stringify(waiting, null, 4));
        if (waiting.length === 0) return terminal.out('Nothing waits for your decision.');
        const rows = waiting.map((each) => [
          shortId(each.id),
          each.kind,
          each.election_id,
          each.title,
          each.asked_by.name,
          dated(each.requested_date),
          each.deadline === null ? '' : dated(each.deadline),
        ]);
        const headings = ['id', 'of', 'election', 'title', 'asked by', 'since', 'until'];
        terminal.out(fittedTable(headings, rows, terminal.columns));
        terminal.note(`Look at one and decide: conclave approve ${shortId(waiting[0]!.id)}, or deny`);
      });
    });

  const approve = program
    .command('approve')
    .argument('<id>', 'an approval, as conclave approvals lists it; it may be shortened')
    .description('show what is to be approved, ask, and approve it')
    .option('--yes', 'do not ask; takes --hash')
    .option('--hash <hash>', 'approve only what has this hash');
  operatorOption(approve).action(async (id: string, _: unknown, command: Command) => {
    const options = command.optsWithGlobals<OperatorOptions & { yes?: boolean; hash?: string }>();
    const expected = options.hash?.toLowerCase().replaceAll(/[\s:]/g, '');
    if (expected !== undefined && !HASH.test(expected))
      throw new UsageError('--hash must be the 64 hexadecimal digits that were shown');
    if (options.yes && expected === undefined)
      throw new UsageError('--yes needs --hash: nobody should approve what was not looked at');
    const operator = operatorOf(options);
    await withOperations(options, terminal, async (services) => {
      const view = await find(services, id, operator);
      const { hex } = view.hash;
      if (!options.json) show(view, terminal);
      if (expected !== undefined && expected !== hex)
        throw new CommandFailed(
          `what is asked has another hash: ${hex}`,
          'Compare it with the other authorities before you approve anything.',
        );
      if (!view.can_decide.allowed) throw new CommandFailed(`not possible: ${view.can_decide.reason}`);
      if (!options.yes)
        await confirm(
          'Do the other authorities see the same hash, and do you approve?',
          `For scripts: conclave approve ${shortId(view.id)} --yes --hash ${hex}`,
        );
      const decided = await decide(services, { id: view.id, hash: hex, operator, decision: 'accept' });
      tell(decided, options, terminal);
    });
  });

  const deny = program
    .command('deny')
    .argument('<id>', 'an approval; it may be shortened')
    .requiredOption('--reason <text>', 'why; the one who asked is told')
    .description('deny what is to be approved: the request ends, everywhere');
  operatorOption(deny).action(async (id: string, _: unknown, command: Command) => {
    const options = command.optsWithGlobals<OperatorOptions & { reason: string }>();
    const reason = options.reason.trim();
    if (reason === '' || reason.length > 1000) throw new UsageError('--reason takes 1 to 1000 characters');
    const operator = operatorOf(options);
    await withOperations(options, terminal, async (services) => {
      const view = await find(services, id, operator);
      const given = { id: view.id, hash: view.hash.hex, operator, decision: 'deny', reason } as const;
      tell(await decide(services, given), options, terminal);
    });
  });
}

async function find(services: OperatorServices, id: string, operator: string): Promise<ApprovalView> {
  const { id: whole } = await findTask(services.db, id);
  return await approval(services, whole, operator);
}

function show(view: ApprovalView, terminal: Terminal): void {
  const say = (text: string): void => terminal.out(harmless(text));
  say(view.text);
  if (view.previous !== null) {
    const { status, reason, requested_date } = view.previous;
    say('');
    say(`Asked before, on ${dated(requested_date)}: ${status}${reason === null ? '' : `, ${reason}`}.`);
    say(view.changes.length === 0 ? 'Nothing has changed since.' : 'What has changed since:');
    for (const { path, change, before, after } of view.changes)
      say(`  ${path}: ${change}, ${JSON.stringify(before)} → ${JSON.stringify(after)}`);
  }
  for (const { operator, decision, date } of view.decisions)
    say(`${operator} has decided: ${decision}, on ${dated(date)}.`);
  say('');
  say('Hash, the same on every authority that is asked the same:');
  for (const line of hashLines(view.hash)) say(`  ${line}`);
  say('');
}

/** Groups of eight digits, and the words to read over the telephone. */
export function hashLines({ hex, words }: HashView): string[] {
  const groups = hex.match(/.{8}/g)!;
  const lines = [groups.slice(0, 4).join(' '), groups.slice(4).join(' ')];
  for (let at = 0; at < words.length; at += WORDS_A_LINE)
    lines.push(words.slice(at, at + WORDS_A_LINE).join(' '));
  return lines;
}

const TOLD = {
  waiting: 'Written down. A second operator has to approve it as well.',
  accepted: 'Approved.',
  denied: 'Denied. The one who asked is told the reason.',
} as const;

function tell(decided: Decided, options: OperatorOptions, terminal: Terminal): void {
  terminal.out(options.json ? JSON.stringify(decided, null, 4) : TOLD[decided.status]);
}

/** To the minute, UTC. */
export function dated(date: string): string {
  return `${date.slice(0, 16).replace('T', ' ')}Z`;
}
