/** `conclave elections` and `conclave election ID`: what this authority knows of its elections (D50). */
import type { Command } from 'commander';
import { election, elections } from '../operator/elections.ts';
import type { AuthorityPart, ElectionView, QuestionResultView, TallyView } from '../operator/views.ts';
import { dated } from './approvals.ts';
import type { GlobalOptions } from './node-access.ts';
import { withOperations } from './operator-access.ts';
import { fittedTable } from './table.ts';
import { harmless, type Terminal } from './terminal.ts';

interface ListOptions extends GlobalOptions {
  readonly limit: number;
}

export function addElections(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('elections')
    .description('list the elections of this authority, newest first')
    .option('-n, --limit <number>', 'how many at most', whole, 50)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      await withOperations(options, terminal, async (services) => {
        const { items } = await elections(services, { limit: Math.min(options.limit, 500) });
        if (options.json) return terminal.out(JSON.stringify(items, null, 4));
        if (items.length === 0) return terminal.out('There are no elections.');
        const rows = items.map((each) => [
          each.id,
          each.title,
          each.status,
          each.tally_status ?? '',
          `${each.threshold} of ${each.authorities}`,
          dated(each.created_date),
        ]);
        const headings = ['id', 'title', 'status', 'tally', 'needed', 'created'];
        terminal.out(fittedTable(headings, rows, terminal.columns));
      });
    });

  program
    .command('election')
    .argument('<id>', 'an election, as conclave elections lists it')
    .description('show an election: its keys, how far each authority is, its tallies and results')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      await withOperations(options, terminal, async (services) => {
        const view = await election(services, id);
        if (options.json) return terminal.out(JSON.stringify(view, null, 4));
        for (const line of electionLines(view)) terminal.out(harmless(line));
      });
    });
}

function electionLines(view: ElectionView): string[] {
  const { details } = view;
  const lines = [
    `${view.title} (${view.id}): ${view.status}${view.reason === null ? '' : `, ${view.reason}`}`,
    `  authorities: ${details.authorities.map(({ name }) => name).join(', ')}; ${view.threshold} of them can tally`,
    `  request hash: ${details.request_hash.hex}`,
  ];
  for (const { question, key_hash, share } of view.sessions) {
    const title = details.questions[question]?.title ?? '';
    const key = key_hash === null ? 'no key yet' : `key ${key_hash.hex}`;
    lines.push(`  question ${question + 1}, ${title}: ${key}; our share: ${share}`);
  }
  lines.push(...partLines(view.creation));
  for (const tally of view.tallies) lines.push(...tallyLines(tally));
  for (const { name, size, sha256 } of view.downloads)
    lines.push(`  file ${name}: ${size} bytes, SHA-256 ${sha256}`);
  return lines;
}

function tallyLines(tally: TallyView): string[] {
  const reason = tally.reason === null ? '' : `, ${tally.reason}`;
  const lines = [`  tally of ${dated(tally.created_date)}: ${tally.status}${reason}`];
  if (tally.tally_hash !== null) lines.push(`    archive: ${tally.tally_hash}`);
  lines.push(...partLines(tally.authorities).map((line) => `  ${line}`));
  for (const result of tally.results ?? []) lines.push(...resultLines(result));
  return lines;
}

function partLines(parts: readonly AuthorityPart[]): string[] {
  return parts.map(({ name, state, steps }) => {
    const running = steps.filter(({ status }) => status === 'running' || status === 'failed');
    const said = running.map(({ step, done, total, error }) => {
      const share =
        done === null || total === null || total <= 0 ? '' : ` ${Math.round((100 * done) / total)} %`;
      return `${step}${share}${error === null ? '' : `: ${error.message}`}`;
    });
    return `  ${name}: ${[state, ...said].join(', ')}`;
  });
}

function resultLines({ title, totals, candidates }: QuestionResultView): string[] {
  const { valid_votes: valid, blank_votes: blank, null_votes: invalid } = totals;
  const places = candidates.map(
    ({ text, points, place }) =>
      `      ${String(points).padStart(6)}  ${text}${place === null ? '' : ` (${place})`}`,
  );
  return [`    ${title}: ${valid} valid, ${blank} blank, ${invalid} null`, ...places];
}
