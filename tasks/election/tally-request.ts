/**
 * The border of a tally: the request (EO-30), with every problem named (D31), and the hash under which the authorities
 * approve it. Whether the election exists, has a joint key and was tallied before is for the workflow to say.
 */
import { canonicalHash } from './canonical.ts';
import { type ElectionId, isElectionId } from './election.ts';
import { niUri, parseNiUri } from './hash.ts';
import { Problems, quoted } from './problems.ts';
import type { RequestRules } from './request.ts';

export interface TallyRequest {
  election_id: ElectionId;
  callback_url: string;
  votes_url: string;
  /** `ni:///sha-256;…`, padded. */
  votes_hash: string;
  /** Tally again although there is a tally: the older one is kept beside it (EO-31, EO-38). */
  force: boolean;
}

const KNOWN_KEYS = ['election_id', 'callback_url', 'votes_url', 'votes_hash', 'force'];

/** The normalised request. Throws ConclaveError `invalid_request` (400) that names every problem. */
export function parseTallyRequest(value: unknown, rules: Pick<RequestRules, 'allowHttp'> = {}): TallyRequest {
  const problems = new Problems();
  const fields = problems.object(value, '') ?? {};
  if (problems.none) problems.mistyped(fields, '', KNOWN_KEYS);
  const electionId = isElectionId(fields.election_id)
    ? fields.election_id
    : problems.add('election_id', `is ${quoted(fields.election_id)}; give the id of an election`);
  const callbackUrl = problems.httpsUrl(fields.callback_url, 'callback_url', rules);
  const votesUrl = problems.httpsUrl(fields.votes_url, 'votes_url', rules);
  const hash = readVotesHash(fields.votes_hash, problems);
  const force = problems.boolean(fields.force, 'force', false);
  problems.refuseIfAny();
  return {
    election_id: electionId!,
    callback_url: callbackUrl!,
    votes_url: votesUrl!,
    votes_hash: hash!,
    force: force!,
  };
}

/** Lower-case hex SHA-256 of the request's canonical JSON. */
export function tallyRequestHash(request: TallyRequest): string {
  return canonicalHash(request);
}

function readVotesHash(value: unknown, problems: Problems): string | undefined {
  const text = problems.text(value, 'votes_hash', { min: 1, max: 128 });
  if (text === undefined) return undefined;
  const digest = parseNiUri(text);
  if (digest !== undefined) return niUri(digest);
  return problems.add(
    'votes_hash',
    `is ${quoted(text)}; give ni:///sha-256; and the URL-safe base64 of 32 bytes`,
  );
}
