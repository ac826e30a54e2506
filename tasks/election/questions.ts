/**
 * Reads the questions of an election request (EO-15, EO-16, EO-18) in either shape: the seed's `question_data` has the
 * question under `question` and answers that are plain strings (EO-17). Names every problem; decides nothing else.
 */
import { fitsCapacity } from './ballot-encoding.ts';
import { type Answer, type AnswerUrl, asSeen, isWriteIn, type Question, TALLY_TYPES } from './election.ts';
import { type Fields, joined, type Problems, quoted } from './problems.ts';

export const MAX_ANSWERS = 1000;
const MAX_TEXT = 2000;
const MAX_DESCRIPTION = 20_000;

const QUESTION_KEYS = [
  'title',
  'question',
  'tally_type',
  'answers',
  'min',
  'max',
  'num_winners',
  'description',
  'layout',
  'randomize_answer_order',
  'answer_total_votes_percentage',
];
const ANSWER_KEYS = ['id', 'text', 'urls', 'details', 'category', 'sort_order'];

/** `capacity` is undefined when the group itself is a problem; the question is then checked without it. */
export function readQuestion(
  value: unknown,
  path: string,
  capacity: number | undefined,
  problems: Problems,
): Question | undefined {
  const fields = problems.object(value, path);
  if (fields === undefined) return undefined;
  problems.mistyped(fields, path, QUESTION_KEYS);
  const titleKey = fields.title === undefined && fields.question !== undefined ? 'question' : 'title';
  const title = problems.text(fields[titleKey], joined(path, titleKey), { min: 1, max: MAX_TEXT });
  const tallyType = problems.oneOf(
    fields.tally_type,
    joined(path, 'tally_type'),
    TALLY_TYPES,
    'plurality-at-large',
  );
  const answers = readAnswers(fields.answers, joined(path, 'answers'), problems);
  const numbers = readNumbers(fields, path, answers?.length, problems);
  const optional = readOptional(fields, path, problems);
  if (numbers !== undefined && tallyType === 'ONE_CHOICE' && numbers.max !== 1) {
    problems.add(
      joined(path, 'max'),
      `is ${numbers.max}, but the tally type ONE_CHOICE allows one choice; give 1`,
    );
  }
  if (title === undefined || tallyType === undefined || answers === undefined || numbers === undefined)
    return undefined;
  const question: Question = { title, tally_type: tallyType, answers, ...numbers, ...optional };
  const flaw = capacity === undefined ? undefined : fitsCapacity(question, capacity);
  return flaw === undefined ? question : problems.add(path, flaw);
}

function readNumbers(
  fields: Fields,
  path: string,
  answers: number | undefined,
  problems: Problems,
): Pick<Question, 'min' | 'max' | 'num_winners'> | undefined {
  const most = answers ?? MAX_ANSWERS;
  const max = problems.integer(fields.max, joined(path, 'max'), { min: 1, max: most, otherwise: 1 });
  const min = problems.integer(fields.min, joined(path, 'min'), { min: 0, max: most, otherwise: 0 });
  const winners = problems.integer(fields.num_winners, joined(path, 'num_winners'), {
    min: 1,
    max: most,
    otherwise: 1,
  });
  if (min === undefined || max === undefined || winners === undefined) return undefined;
  if (min > max)
    return problems.add(joined(path, 'min'), `is ${min}, more than max, which is ${max}; lower it`);
  return { min, max, num_winners: winners };
}

function readOptional(fields: Fields, path: string, problems: Problems): Partial<Question> {
  const optional: Partial<Question> = {};
  const text = (key: 'description' | 'layout' | 'answer_total_votes_percentage', max: number): void => {
    if (fields[key] === undefined || fields[key] === null) return;
    const value = problems.text(fields[key], joined(path, key), { max });
    if (value !== undefined) optional[key] = value;
  };
  text('description', MAX_DESCRIPTION);
  text('layout', 255);
  text('answer_total_votes_percentage', 255);
  if (fields.randomize_answer_order !== undefined) {
    const value = problems.boolean(
      fields.randomize_answer_order,
      joined(path, 'randomize_answer_order'),
      false,
    );
    if (value !== undefined) optional.randomize_answer_order = value;
  }
  return optional;
}

function readAnswers(value: unknown, path: string, problems: Problems): Answer[] | undefined {
  const list = problems.array(value, path, { min: 1, max: MAX_ANSWERS });
  if (list === undefined) return undefined;
  const answers = list.map((item, at) =>
    // EO-17: the older shape gives only texts; their places are their ids.
    readAnswer(typeof item === 'string' ? { id: at, text: item } : item, `${path}[${at}]`, problems),
  );
  const idsAreRight = checkIds(answers, path, problems);
  const textsAreRight = checkTexts(answers, path, problems);
  const complete = answers.filter((answer) => answer !== undefined);
  return idsAreRight && textsAreRight && complete.length === answers.length ? complete : undefined;
}

function readAnswer(value: unknown, path: string, problems: Problems): Answer | undefined {
  const fields = problems.object(value, path);
  if (fields === undefined) return undefined;
  problems.mistyped(fields, path, ANSWER_KEYS);
  const id = problems.integer(fields.id, joined(path, 'id'), { min: 0, max: MAX_ANSWERS - 1 });
  const urls = readUrls(fields.urls, joined(path, 'urls'), problems);
  const text = problems.text(fields.text, joined(path, 'text'), {
    max: MAX_TEXT,
    min: urls !== undefined && isWriteIn({ urls }) ? 0 : 1,
  });
  const optional: Partial<Answer> = {};
  for (const key of ['details', 'category'] as const) {
    if (fields[key] === undefined || fields[key] === null) continue;
    const extra = problems.text(fields[key], joined(path, key), { max: MAX_DESCRIPTION });
    if (extra !== undefined) optional[key] = extra;
  }
  if (fields.sort_order !== undefined && fields.sort_order !== null) {
    const order = problems.integer(fields.sort_order, joined(path, 'sort_order'), { min: 0, max: 1_000_000 });
    if (order !== undefined) optional.sort_order = order;
  }
  if (id === undefined || text === undefined || urls === undefined) return undefined;
  return { id, text, urls, ...optional };
}

function readUrls(value: unknown, path: string, problems: Problems): AnswerUrl[] | undefined {
  if (value === undefined || value === null) return [];
  const list = problems.array(value, path, { min: 0, max: 20 });
  const urls = list?.map((item, at) => {
    const fields = problems.object(item, `${path}[${at}]`);
    if (fields === undefined) return undefined;
    const title = problems.text(fields.title, `${path}[${at}].title`, { max: 255, otherwise: '' });
    const url = problems.text(fields.url, `${path}[${at}].url`, { max: 2048, otherwise: '' });
    return title === undefined || url === undefined ? undefined : { title, url };
  });
  return urls?.every((url) => url !== undefined) ? urls : undefined;
}

/** EO-16: the ids are exactly {0, …, n-1}, in any order. */
function checkIds(answers: readonly (Answer | undefined)[], path: string, problems: Problems): boolean {
  const places = new Map<number, number>();
  let right = true;
  for (const [at, answer] of answers.entries()) {
    if (answer === undefined) continue;
    const first = places.get(answer.id);
    if (first !== undefined) {
      problems.add(
        `${path}[${at}].id`,
        `is ${answer.id}, as that of ${path}[${first}]; give every answer its own id`,
      );
      right = false;
    } else if (answer.id >= answers.length) {
      problems.add(
        `${path}[${at}].id`,
        `is ${answer.id}; the ids of ${answers.length} answers are 0 to ${answers.length - 1}`,
      );
      right = false;
    }
    places.set(answer.id, first ?? at);
  }
  return right;
}

/** EO-16: texts are unique as they are seen, except those of write-ins, which the voter replaces. */
function checkTexts(answers: readonly (Answer | undefined)[], path: string, problems: Problems): boolean {
  const places = new Map<string, number>();
  let right = true;
  for (const [at, answer] of answers.entries()) {
    if (answer === undefined || isWriteIn(answer)) continue;
    const seen = asSeen(answer.text);
    const first = places.get(seen);
    if (first !== undefined) {
      problems.add(
        `${path}[${at}].text`,
        `is ${quoted(answer.text)}, which reads as that of ${path}[${first}]; give another`,
      );
      right = false;
    } else places.set(seen, at);
  }
  return right;
}
