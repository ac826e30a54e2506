/**
 * The text that an operator reads before approving an election or a tally (EO-23, EO-36): the seed's bullet list, made
 * from the normalised request that is hashed and signed, and nothing else (D33).
 *
 * Strangers write these texts. So every character that would move the cursor, reorder the line, or show nothing
 * (newlines, ANSI escapes, bidirectional overrides, zero-width characters, odd spaces) is shown as an escape: a title can
 * neither forge a further bullet nor hide a part of itself.
 */
import { pinCertificate } from '../../lib/protocol/certificate.ts';
import { publishedJson } from './canonical.ts';
import type { ElectionRequest } from './election.ts';
import { requestHash } from './request.ts';
import { type TallyRequest, tallyRequestHash } from './tally-request.ts';

// Everything that is not simply seen where it stands; U+0020 is the only space.
const UNSEEN = /(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/** A text as one line in which every character is seen; a backslash is doubled, so that no escape is forged. */
export function visible(text: string): string {
  return text.replaceAll('\\', '\\\\').replace(UNSEEN, escaped);
}

/** JSON, indent 4, still valid and meaning the same, in which every character is seen. */
export function visibleJson(value: unknown): string {
  // The newlines between the members are ours; inside strings JSON has escaped them already.
  return publishedJson(value)
    .split('\n')
    .map((line) => line.replace(UNSEEN, escaped))
    .join('\n');
}

/** What is approved with `approve_election` (EO-23). */
export function describeElection(request: ElectionRequest): string {
  return bullets([
    ...electionBullets(request),
    ['Threshold', `${request.threshold} of ${request.authorities.length} authorities`],
    ['Group', request.group],
    ...(request.mixnet === undefined ? [] : [['Mix-net', request.mixnet] as const]),
    ['Callback URL', visible(request.callback_url)],
    ['Other data', visibleJson(otherData(request))],
    ['Certificates', fingerprints(request)],
    ['Election', visible(String(request.id))],
    ['Request hash (SHA-256)', requestHash(request)],
  ]);
}

/** What was found in the votes that are to be tallied. */
export interface ReviewedVotes {
  accepted: number;
  invalid: number;
  /** Lower-case hex SHA-256 of the accepted list. */
  acceptedHash: string;
}

/** What is approved with `approve_election_tally` (EO-36). */
export function describeTally(
  request: TallyRequest,
  election: ElectionRequest,
  votes: ReviewedVotes,
): string {
  return bullets([
    ...electionBullets(election),
    ['Threshold', `${election.threshold} of ${election.authorities.length} authorities`],
    ['Callback URL', visible(request.callback_url)],
    ['Votes URL', visible(request.votes_url)],
    ['Votes hash', visible(request.votes_hash)],
    ['Ballots', `${votes.accepted} accepted, ${votes.invalid} refused`],
    ['Accepted ballots hash (SHA-256)', votes.acceptedHash],
    ['Tally again', request.force ? 'yes: the earlier tally is kept beside the new one' : 'no'],
    ['Certificates', fingerprints(election)],
    ['Election', visible(String(request.election_id))],
    ['Election request hash (SHA-256)', requestHash(election)],
    ['Request hash (SHA-256)', tallyRequestHash(request)],
  ]);
}

type Bullet = readonly [label: string, text: string];

/** The seed's list, word for word. One question is shown as itself, several as a list. */
function electionBullets(request: ElectionRequest): Bullet[] {
  const [first, ...more] = request.questions;
  return [
    ['URL', visible(request.url)],
    ['Title', visible(request.title)],
    ['Description', visible(request.description)],
    ['Voting period', `${request.start_date ?? ''} - ${request.end_date ?? ''}`],
    ['Question data', visibleJson(more.length === 0 ? first : request.questions)],
    ['Authorities', visibleJson(request.authorities)],
  ];
}

/** What of the request has no bullet of its own: whatever is hashed is shown. */
function otherData(request: ElectionRequest): object {
  const shown = [
    'id',
    'title',
    'description',
    'url',
    'callback_url',
    'start_date',
    'end_date',
    'group',
    'threshold',
    'mixnet',
  ];
  const rest = Object.entries(request).filter(
    ([key]) => ![...shown, 'authorities', 'questions'].includes(key),
  );
  return Object.fromEntries(rest);
}

function fingerprints({ authorities }: ElectionRequest): string {
  return authorities
    .map(({ name, ssl_cert }) => `${visible(name)} ${pinCertificate(ssl_cert).fingerprint}`)
    .map((line) => `\n    ${line}`)
    .join('');
}

function bullets(list: readonly Bullet[]): string {
  return list.map(([label, text]) => `* ${label}: ${text}`.trimEnd()).join('\n');
}

const MAX_INFO = 2048;

/** A task's info has little room (FQ-P3): where the description does not fit, its data has all of it. */
export function approvalInfo(description: string): string {
  if (description.length <= MAX_INFO) return description;
  const rest = '\n… the whole description and the request are in the data of this task';
  const last = description.split('\n').at(-1)!;
  return `${description.slice(0, MAX_INFO - rest.length - last.length - 1)}${rest}\n${last}`;
}
