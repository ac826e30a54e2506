/**
 * The border of election creation: whatever arrives as a request becomes an `ElectionRequest`, or an error that names
 * every problem (D31). Two shapes are accepted (EO-11…EO-18): the newer one (`id, questions[], start_date …`) and
 * the seed's (`session_id, question_data, voting_start_date …`). What comes out reads as itself: a performer gives the
 * director's normalised request to the same function, and hashes the same bytes.
 *
 * `requestHash` is what every authority approves, signs and compares (D33). Only what is in it exists: keys
 * that no rule knows are left out, and so nobody can be made to approve something that the hash does not cover.
 */
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { parseWireDate } from '../../lib/protocol/wire-dates.ts';
import { canonicalHash, canonicalJson } from './canonical.ts';
import {
  type Authority,
  asSeen,
  type ElectionId,
  type ElectionRequest,
  GROUP_ALIASES,
  GROUP_CAPACITY,
  GROUPS,
  type GroupName,
  isElectionId,
  MIXNETS,
  type MixnetName,
} from './election.ts';
import { type Fields, Problems, quoted } from './problems.ts';
import { readQuestion } from './questions.ts';

/** Verificatum's limit, and the most that a ceremony of people can bear. */
export const MAX_AUTHORITIES = 24;
export const DEFAULT_MAX_QUESTIONS = 15;
const MAX_REQUEST_BYTES = 2 << 20;
const MAX_FREE_JSON = 64 << 10;
const MAX_CERTIFICATE = 20_000;

export interface RequestRules {
  /** `MAX_NUM_QUESTIONS_PER_ELECTION` (EO-15). */
  maxQuestions?: number;
  /** The group of a request that names none (D45). */
  defaultGroup?: GroupName;
  /** The mix-net of a request that names none (D44). */
  defaultMixnet?: MixnetName;
  /** Bytes that an element of a group holds. */
  capacity?: (group: GroupName) => number;
  /** Accept http:// URLs: only for networks that are the tests' own. */
  allowHttp?: boolean;
}

const KNOWN_KEYS = [
  'id',
  'session_id',
  'title',
  'description',
  'url',
  'callback_url',
  'start_date',
  'end_date',
  'voting_start_date',
  'voting_end_date',
  'group',
  'threshold',
  'mixnet',
  'authorities',
  'questions',
  'question_data',
  'is_recurring',
  'director',
  'layout',
  'extra',
  'presentation',
];

/** The normalised request. Throws ConclaveError `invalid_request` (400) that names every problem. */
export function parseElectionRequest(value: unknown, rules: RequestRules = {}): ElectionRequest {
  const problems = new Problems();
  const request = readElectionRequest(value, rules, problems);
  if (request !== undefined && problems.none) {
    const bytes = Buffer.byteLength(canonicalJson(request));
    if (bytes > MAX_REQUEST_BYTES)
      problems.add('', `has ${bytes} bytes; at most ${MAX_REQUEST_BYTES} are allowed`);
  }
  problems.refuseIfAny();
  return request as ElectionRequest;
}

/** Lower-case hex SHA-256 of the request's canonical JSON. */
export function requestHash(request: ElectionRequest): string {
  return canonicalHash(request);
}

function readElectionRequest(
  value: unknown,
  rules: RequestRules,
  problems: Problems,
): ElectionRequest | undefined {
  const fields = problems.object(value, '');
  if (fields === undefined) return undefined;
  problems.mistyped(fields, '', KNOWN_KEYS);
  const id = readId(fields, problems);
  const title = problems.text(fields.title, 'title', { min: 1, max: 255, cut: true });
  const description = problems.text(fields.description, 'description', { max: 100_000 });
  const url = problems.text(fields.url, 'url', { max: 2048, otherwise: '' });
  const callbackUrl = problems.httpsUrl(fields.callback_url, 'callback_url', rules);
  const dates = readDates(fields, problems);
  const group = problems.oneOf(
    GROUP_ALIASES.get(fields.group) ?? fields.group,
    'group',
    GROUPS,
    rules.defaultGroup ?? 'P-256',
  );
  const authorities = readAuthorities(fields.authorities, rules, problems);
  const parties = Array.isArray(fields.authorities)
    ? Math.min(fields.authorities.length, MAX_AUTHORITIES)
    : 0;
  const threshold = readThreshold(fields.threshold, parties, problems);
  const mixnet = problems.oneOf(fields.mixnet, 'mixnet', MIXNETS, rules.defaultMixnet ?? 'conclave');
  const questions = readQuestions(fields, group, rules, problems);
  const optional = readOptional(fields, problems);
  if (id === undefined || title === undefined || description === undefined || url === undefined)
    return undefined;
  if (callbackUrl === undefined || dates === undefined || group === undefined || threshold === undefined)
    return undefined;
  if (authorities === undefined || questions === undefined) return undefined;
  const parts = {
    id,
    title,
    description,
    url,
    callback_url: callbackUrl,
    ...dates,
    group,
    threshold,
    ...(mixnet === 'verificatum' ? { mixnet } : {}),
    authorities,
    questions,
  };
  return { ...parts, ...optional };
}

function readId(fields: Fields, problems: Problems): ElectionId | undefined {
  const key = fields.id === undefined && fields.session_id !== undefined ? 'session_id' : 'id';
  const value = fields[key];
  if (isElectionId(value)) {
    const other = key === 'id' ? fields.session_id : undefined;
    if (other === undefined || other === value) return value;
    return problems.add(
      'session_id',
      `is ${quoted(other)}, but id is ${quoted(value)}; leave one of them out`,
    );
  }
  const found = value === undefined ? 'is missing' : `is ${quoted(value)}`;
  return problems.add(
    key,
    `${found}; give a whole number from 1, or 1 to 128 of the characters A-Z a-z 0-9 _ -`,
  );
}

function readThreshold(value: unknown, parties: number, problems: Problems): number | undefined {
  // Without a list of authorities there is nothing to compare with: only the list is named.
  if (parties === 0)
    return problems.integer(value, 'threshold', { min: 1, max: MAX_AUTHORITIES, otherwise: 1 });
  return problems.integer(value, 'threshold', { min: 1, max: parties, otherwise: parties });
}

/** EO-13, EO-17. */
function readDates(
  fields: Fields,
  problems: Problems,
): Pick<ElectionRequest, 'start_date' | 'end_date'> | undefined {
  const keyOf = (key: 'start_date' | 'end_date'): string =>
    fields[key] === undefined && fields[`voting_${key}`] !== undefined ? `voting_${key}` : key;
  const [startKey, endKey] = [keyOf('start_date'), keyOf('end_date')];
  const start = readDate(fields[startKey], startKey, problems);
  const end = readDate(fields[endKey], endKey, problems);
  if (start === undefined || end === undefined) return undefined;
  if (start !== null && end !== null) {
    if (start.zoned !== end.zoned) {
      return problems.add(
        endKey,
        `and ${startKey} must both have a time zone, or neither; give both the same way`,
      );
    }
    if (end.milliseconds <= start.milliseconds)
      return problems.add(endKey, `is not after ${startKey}; give a later date`);
  }
  return { start_date: start?.text ?? null, end_date: end?.text ?? null };
}

interface ReadDate {
  /** As it comes back from an original peer: six digits of fraction, or none when it is zero. */
  text: string;
  zoned: boolean;
  /** Comparable between two dates that both have a zone, or both not. */
  milliseconds: number;
}

const ISO_DATE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?$/;

function readDate(value: unknown, path: string, problems: Problems): ReadDate | null | undefined {
  if (value === null) return null;
  const wanted = 'give a date such as 2030-12-06T18:00:00, or null';
  if (value === undefined) return problems.add(path, `is missing; ${wanted}`);
  const match = typeof value === 'string' ? ISO_DATE.exec(value) : null;
  if (match === null) return problems.add(path, `is ${quoted(value)}; ${wanted}`);
  const date = parseWireDate(match[0]);
  if (date === null)
    return problems.add(path, `is ${quoted(value)}, which is not in the calendar; ${wanted}`);
  const [, whole, fraction = '', zone = ''] = match;
  const micros = fraction.padEnd(6, '0');
  const text = `${whole}${micros === '000000' ? '' : `.${micros}`}${zone}`;
  return { text, zoned: zone !== '', milliseconds: date.getTime() };
}

/** EO-14: unique by certificate and by address; by name too, because people approve names. */
function readAuthorities(value: unknown, rules: RequestRules, problems: Problems): Authority[] | undefined {
  const list = problems.array(value, 'authorities', { min: 1, max: MAX_AUTHORITIES });
  if (list === undefined) return undefined;
  const read = list.map((item, at) => readAuthority(item, `authorities[${at}]`, rules, problems));
  const distinct = (
    key: keyof Authority,
    of: (authority: Partial<Authority>) => string | undefined,
  ): void => {
    const places = new Map<string, number>();
    for (const [at, authority] of read.entries()) {
      const own = of(authority);
      if (own === undefined) continue;
      const first = places.get(own);
      if (first === undefined) places.set(own, at);
      else
        problems.add(
          `authorities[${at}].${key}`,
          `is that of authorities[${first}] too; every authority has its own`,
        );
    }
  };
  distinct('name', ({ name }) => (name === undefined ? undefined : asSeen(name)));
  distinct('orchestra_url', (authority) => authority.orchestra_url && comparableUrl(authority.orchestra_url));
  distinct('ssl_cert', (authority) => authority.ssl_cert);
  return read.every(isComplete) ? read : undefined;
}

function isComplete(authority: Partial<Authority>): authority is Authority {
  return (
    authority.name !== undefined && authority.orchestra_url !== undefined && authority.ssl_cert !== undefined
  );
}

function readAuthority(
  value: unknown,
  path: string,
  rules: RequestRules,
  problems: Problems,
): Partial<Authority> {
  const fields = problems.object(value, path);
  if (fields === undefined) return {};
  problems.mistyped(fields, path, ['name', 'orchestra_url', 'ssl_cert']);
  const authority: Partial<Authority> = {};
  const name = problems.text(fields.name, `${path}.name`, { min: 1, max: 255 });
  const url = problems.httpsUrl(fields.orchestra_url, `${path}.orchestra_url`, rules);
  const certificate = readCertificate(fields.ssl_cert, `${path}.ssl_cert`, problems);
  if (name !== undefined) authority.name = name;
  if (url !== undefined) authority.orchestra_url = url;
  if (certificate !== undefined) authority.ssl_cert = certificate;
  return authority;
}

function comparableUrl(text: string): string {
  return new URL(text).href.replace(/\/+$/, '');
}

/** One certificate, in the one PEM form that OpenSSL writes: so its line lengths and margins change no hash. */
function readCertificate(value: unknown, path: string, problems: Problems): string | undefined {
  const pem = problems.text(value, path, { min: 1, max: MAX_CERTIFICATE });
  if (pem === undefined) return undefined;
  try {
    return pinCertificate(pem).pem;
  } catch {
    return problems.add(
      path,
      'cannot be read; give exactly one certificate in PEM (-----BEGIN CERTIFICATE-----)',
    );
  }
}

function readQuestions(
  fields: Fields,
  group: GroupName | undefined,
  rules: RequestRules,
  problems: Problems,
) {
  const capacityOf = rules.capacity ?? ((name: GroupName): number => GROUP_CAPACITY[name]);
  const capacity = group === undefined ? undefined : capacityOf(group);
  if (fields.questions === undefined && fields.question_data !== undefined) {
    const question = readQuestion(fields.question_data, 'question_data', capacity, problems);
    return question === undefined ? undefined : [question];
  }
  if (fields.question_data !== undefined) {
    return problems.add('question_data', 'is given beside questions; leave one of them out');
  }
  const most = rules.maxQuestions ?? DEFAULT_MAX_QUESTIONS;
  const list = problems.array(fields.questions, 'questions', { min: 1, max: most });
  const questions = list?.map((item, at) => readQuestion(item, `questions[${at}]`, capacity, problems));
  return questions?.every((question) => question !== undefined) ? questions : undefined;
}

/** EO-17, EO-18: what the documentation names and no rule needs; bounded, shown and hashed like the rest. */
function readOptional(fields: Fields, problems: Problems): Partial<ElectionRequest> {
  const optional: Partial<ElectionRequest> = {};
  const given = (key: string): boolean => fields[key] !== undefined && fields[key] !== null;
  if (given('is_recurring')) {
    const recurring = problems.boolean(fields.is_recurring, 'is_recurring', false);
    if (recurring !== undefined) optional.is_recurring = recurring;
  }
  for (const key of ['director', 'layout'] as const) {
    if (!given(key)) continue;
    const text = problems.text(fields[key], key, { max: 255 });
    if (text !== undefined) optional[key] = text;
  }
  for (const key of ['extra', 'presentation'] as const) {
    if (!given(key)) continue;
    const json = problems.json(fields[key], key, MAX_FREE_JSON);
    if (json !== undefined) optional[key] = json;
  }
  return optional;
}
