/** The demonstration's election: its questions, what its voters chose, and what must come out. */

import { type ElectionRequest, isRanked, type Question } from '../../../tasks/election/election.ts';
import type { ElectionResults } from '../../../tasks/election/results.ts';
import type { Choices } from '../ballot-maker.ts';
import type { Reachable } from './manager.ts';

const QUESTIONS = [
  {
    title: 'Who should be president?',
    answers: ['Alice', 'Bob', 'Carol'],
    tally_type: 'plurality-at-large',
    max: 1,
  },
  {
    title: 'Which projects shall we fund?',
    answers: ['Library', 'Playground', 'Cycle path', 'Swimming pool'],
    tally_type: 'plurality-at-large',
    max: 2,
  },
  {
    title: 'In which order shall the board meet these towns?',
    answers: ['Aarhus', 'Bergen', 'Cork', 'Delft', 'Elche'],
    tally_type: 'borda',
    max: 3,
  },
] as const;

/** The body of `POST /public_api/election`. */
export function electionRequest(
  id: number,
  questions: number,
  threshold: number,
  callbackUrl: string,
  authorities: readonly Reachable[],
): Record<string, unknown> {
  return {
    id,
    title: 'Demonstration election',
    description: 'Made by conclave demo',
    callback_url: callbackUrl,
    start_date: null,
    end_date: null,
    threshold,
    authorities: authorities.map(({ name, url, certificate }) => ({
      name,
      orchestra_url: url,
      ssl_cert: certificate,
    })),
    questions: Array.from({ length: questions }, (_, index) => question(index)),
  };
}

function question(index: number): Record<string, unknown> {
  const { answers, title, ...rest } = QUESTIONS[index % QUESTIONS.length]!;
  const round = Math.floor(index / QUESTIONS.length);
  return {
    ...rest,
    title: round === 0 ? title : `${title} (${round + 1})`,
    min: 0,
    num_winners: 1,
    answers: answers.map((text, id) => ({ id, text, urls: [] })),
  };
}

/** In what the published results differ from what the voters chose; empty when they do not. */
export function differences(
  { questions }: Pick<ElectionRequest, 'questions'>,
  choices: readonly Choices[],
  results: ElectionResults,
): string[] {
  return questions.flatMap((asked, index) => {
    const expected = pointsOf(
      asked,
      choices.map((row) => row[index]!),
    );
    const answers = results.questions[index]?.answers ?? [];
    return asked.answers.flatMap(({ id, text }) => {
      const counted = answers.find((answer) => answer.id === id)?.total_count;
      return counted === expected.get(id)
        ? []
        : [`${text} has ${counted} points and should have ${expected.get(id)}`];
    });
  });
}

function pointsOf(question: Question, votes: readonly (readonly number[])[]): Map<number, number> {
  const points = new Map(question.answers.map(({ id }) => [id, 0]));
  for (const vote of votes) {
    for (const [place, id] of vote.entries()) {
      points.set(id, points.get(id)! + (isRanked(question.tally_type) ? question.max - place : 1));
    }
  }
  return points;
}
