/** Requests in both shapes, valid until a test spoils them. */

import type { ElectionRequest, Question } from '../../../tasks/election/election.ts';
import { parseElectionRequest } from '../../../tasks/election/request.ts';
import { identity } from './certificates.ts';

export function authority(number: number): { name: string; orchestra_url: string; ssl_cert: string } {
  return {
    name: `Auth${number}`,
    orchestra_url: `https://auth${number}.example.org:5000/api/queues`,
    ssl_cert: identity(`auth${number}`).cert,
  };
}

/** The newer shape (EO-11…EO-16). */
// biome-ignore lint/suspicious/noExplicitAny: tests spoil it in every way
export function newerRequest(): any {
  return {
    id: 7,
    title: 'New Directive Board',
    description: 'election description',
    callback_url: 'https://example.org/callback',
    start_date: '2030-12-06T18:17:14.457000',
    end_date: '2030-12-09T18:17:14',
    authorities: [authority(1), authority(2), authority(3)],
    questions: [
      {
        title: 'Who should be President?',
        tally_type: 'plurality-at-large',
        min: 0,
        max: 1,
        num_winners: 1,
        answers: [
          { id: 0, text: 'Alice', urls: [] },
          { id: 1, text: 'Bob', urls: [{ title: 'site', url: 'https://bob.example.org' }] },
        ],
      },
    ],
  };
}

/** The seed's shape (EO-17). */
// biome-ignore lint/suspicious/noExplicitAny: tests spoil it in every way
export function olderRequest(): any {
  return {
    session_id: 'vota1',
    is_recurring: false,
    callback_url: 'https://127.0.0.1:5000/public_api/receive_election',
    extra: [],
    title: 'New Directive Board',
    url: 'https://example.com/election/url',
    description: 'election description',
    question_data: {
      question: 'Who Should be President?',
      tally_type: 'ONE_CHOICE',
      answers: ['Alice', 'Bob'],
      max: 1,
      min: 0,
    },
    voting_start_date: '2013-12-06T18:17:14.457000',
    voting_end_date: '2013-12-09T18:17:14.457000',
    authorities: [authority(1), authority(2)],
  };
}

export function election(changes: Record<string, unknown> = {}): ElectionRequest {
  return parseElectionRequest({ ...newerRequest(), ...changes });
}

/** A question with answers named A0, A1, …; those in `writeIns` are write-ins. */
export function question(
  answers: number,
  changes: Partial<Question> = {},
  writeIns: readonly number[] = [],
): Question {
  return {
    title: 'Which?',
    tally_type: 'plurality-at-large',
    min: 0,
    max: 1,
    num_winners: 1,
    answers: Array.from({ length: answers }, (_, id) => ({
      id,
      text: `A${id}`,
      urls: writeIns.includes(id) ? [{ title: 'isWriteIn', url: 'true' }] : [],
    })),
    ...changes,
  };
}
