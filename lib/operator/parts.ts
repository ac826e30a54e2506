/**
 * How far each authority is with an election's creation, or a tally: read off the tasks that this node sees. A director
 * sees those of all; another authority its own, and of the others that they wait. Reads only.
 */

import type { Status } from '../engine/model.ts';
import type { Failure } from '../errors.ts';
import type { Json } from '../json.ts';
import type { OperatorServices } from './services.ts';
import { failureView, progressOf } from './shown.ts';
import type { AuthorityIdentity, AuthorityPart, StepName, StepView } from './views.ts';

type Steps = readonly (readonly [action: string, step: StepName])[];

/** In the order in which they happen. */
const CREATION: Steps = [
  ['generate_private_info', 'approval'],
  ['generate_public_key', 'keys'],
  ['confirm_public_key', 'confirmation'],
  ['compare_public_key', 'comparison'],
  ['publish_election', 'publication'],
];
const TALLY: Steps = [
  ['review_tally', 'ballots'],
  ['shuffle', 'shuffle'],
  ['verify_shuffle', 'verification'],
  ['decryption_factors', 'decryption'],
  ['decryption_commitment', 'decryption'],
  ['decryption_reply', 'decryption'],
  ['verify_and_publish_tally', 'publication'],
  ['compare_tally', 'comparison'],
];

interface Row {
  id: string;
  action: string;
  status: Status;
  progress: Json;
  error: Failure | null;
  receiver: string;
  session: string | null;
  tally: string | null;
  modified: Date;
}

export interface ElectionParts {
  readonly creation: AuthorityPart[];
  tally(tallyId: string, outcome: Outcome): AuthorityPart[];
}

/** What came of the whole: who has failed at a whole that goes on, or went well, was left out. */
export type Outcome = 'under_way' | 'well' | 'failed';

export async function electionParts(
  { db }: OperatorServices,
  id: string,
  authorities: readonly AuthorityIdentity[],
  questionOf: (sessionId: string) => number | null,
  created: Outcome,
): Promise<ElectionParts> {
  const actions = [...CREATION, ...TALLY].map(([action]) => action);
  const { rows } = await db.raw<{ rows: Row[] }>(
    `select id, action, status, progress, error, receiver_url as receiver,
       input_data ->> 'session_id' as session, input_data ->> 'tally_id' as tally, last_modified_date as modified
     from tasks where action = any(?) and task_type <> 'external'
       and coalesce(input_data ->> 'election_id', input_data -> 'request' ->> 'election_id',
         input_data -> 'request' ->> 'id') = ?
     order by created_date, id`,
    [actions, id],
  );
  const parts = (steps: Steps, seen: readonly Row[], outcome: Outcome): AuthorityPart[] =>
    authorities.map((authority) => {
      const own = seen.filter(({ receiver }) => receiver === authority.url);
      const shown = stepsOf(steps, own, questionOf);
      return { ...authority, state: stateOf(shown, outcome), steps: shown };
    });
  return {
    creation: parts(
      CREATION,
      rows.filter(({ action }) => CREATION.some(([name]) => name === action)),
      created,
    ),
    tally: (tallyId, outcome) =>
      parts(
        TALLY,
        rows.filter(({ tally }) => tally === tallyId),
        outcome,
      ),
  };
}

/** Several tasks may be one step: shuffles of all others are verified one after the other. */
function stepsOf(steps: Steps, rows: readonly Row[], questionOf: (id: string) => number | null): StepView[] {
  const shown: StepView[] = [];
  for (const step of new Set(steps.map(([, name]) => name))) {
    const actions = steps.filter(([, name]) => name === step).map(([action]) => action);
    const own = rows.filter(({ action }) => actions.includes(action));
    const byQuestion = Map.groupBy(own, ({ session }) => (session === null ? null : questionOf(session)));
    for (const [question, tasks] of byQuestion) shown.push(stepOf(step, question, tasks));
  }
  return shown;
}

function stepOf(step: StepName, question: number | null, tasks: readonly Row[]): StepView {
  const current = tasks.findLast(({ status }) => !ENDED.includes(status)) ?? tasks.at(-1)!;
  const progress = ENDED.includes(current.status) ? null : progressOf(current.progress);
  const finished = tasks.filter(({ status }) => status === 'finished').length;
  const [done, total] =
    progress !== null && (tasks.length === 1 || progress.total !== 1)
      ? [progress.done, progress.total > 0 ? progress.total : null]
      : [finished + (progress?.done ?? 0), tasks.length];
  return {
    step,
    question,
    status: statusOf(current),
    doing: progress?.step ?? null,
    done,
    total,
    task_id: current.id,
    error: failureView(current.error),
    modified_date: current.modified.toISOString(),
  };
}

const ENDED: readonly Status[] = ['finished', 'error'];

function statusOf({ status, progress }: Row): StepView['status'] {
  if (status === 'finished') return 'done';
  if (status === 'error') return 'failed';
  // What a peer executes is `sent` here; that it goes on is known from what it tells.
  return status === 'executing' || progress !== null ? 'running' : 'waiting';
}

function stateOf(steps: readonly StepView[], outcome: Outcome): AuthorityPart['state'] {
  if (steps.some(({ status }) => status === 'failed')) return outcome === 'failed' ? 'failed' : 'left_out';
  if (outcome === 'well') return 'done';
  if (steps.some(({ status }) => status === 'running')) return 'working';
  return 'waiting';
}
