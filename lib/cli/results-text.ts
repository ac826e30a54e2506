/** The results of an election, for people. */
import type { ElectionResults, QuestionResult } from '../../tasks/election/results.ts';
import { harmless, type Terminal } from './terminal.ts';

export function printResults({ election_id, questions }: ElectionResults, terminal: Terminal): void {
  terminal.out(harmless(`Results of the election ${election_id}`));
  for (const [number, question] of questions.entries()) {
    for (const line of questionLines(number + 1, question)) terminal.out(harmless(line));
  }
}

function questionLines(number: number, question: QuestionResult): string[] {
  const { title, totals, answers, write_ins: writeIns, winners, tie, counted } = question;
  const { total_votes: total, blank_votes: blank, null_votes: none } = totals;
  const candidates = [
    ...answers,
    ...writeIns.map((writeIn) => ({ ...writeIn, text: `${writeIn.text} (write-in)` })),
  ];
  const width = Math.max(...candidates.map(({ text }) => text.length), 1);
  const names = new Map<number | string, string>(answers.map(({ id, text }) => [id, text]));
  const won = winners.map((winner) => ('id' in winner ? names.get(winner.id) : winner.write_in));
  return [
    `  ${number}. ${title} (${total} votes, ${blank} blank, ${none} invalid)`,
    ...candidates.map(({ text, total_count: count }) =>
      `     ${text.padEnd(width)}  ${counted ? count : ''}`.trimEnd(),
    ),
    ...(won.length > 0 ? [`     elected: ${won.join(', ')}`] : []),
    ...(tie === null ? [] : [`     a tie leaves ${tie.seats} seat(s) open`]),
  ];
}
