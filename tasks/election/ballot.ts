/**
 * The structure of a ballot (D45) and of a line of the votes file (EO-33), read strictly: one spelling of every number and
 * point, one entry for each question. Whether numbers lie in the group and the proofs hold is not decided here.
 *
 * A line is `ballot` or `ballot|voter id`. The ballot ends where its JSON object ends, so a `|` in one of its strings
 * separates nothing; a ballot or voter id in CSV quotes (`"{""choices"":…}"`) is read too.
 */
import { JsonRefused, parseJson } from '../../lib/json.ts';
import type { GroupName } from './election.ts';

export interface Ciphertext {
  alpha: string;
  beta: string;
}

export interface PlaintextProof {
  commitment: string;
  challenge: string;
  response: string;
}

/** One entry of each list for each question. */
export interface Ballot {
  choices: Ciphertext[];
  proofs: PlaintextProof[];
}

/** Why a line is not counted. The codes are published and so are part of the format. */
export const REFUSAL_REASONS = {
  line_too_long: 'the line is longer than this node accepts',
  not_a_ballot: 'the line is not a JSON object, alone or followed by | and a voter id',
  bad_voter_id: 'the voter id is not UTF-8, too long, or has control characters',
  wrong_number_of_choices: 'the ballot does not have one ciphertext for each question',
  wrong_number_of_proofs: 'the ballot does not have one proof for each question',
  bad_ciphertext: 'a ciphertext is not {alpha, beta} as the group writes its elements',
  bad_proof: 'a proof is not {commitment, challenge, response} as the group writes them',
  proof_invalid: 'a proof of plaintext knowledge does not hold',
  duplicate: 'an earlier ballot has one of its ciphertexts: it was copied, or sent twice',
  superseded: 'the same voter cast a later ballot, which counts',
} as const;
export type RefusalReason = keyof typeof REFUSAL_REASONS;

export interface Refusal {
  reason: RefusalReason;
  /** What exactly, for the operator; says nothing of the vote. */
  detail: string;
}

export type VoteLine = { ballot: Ballot; voterId: string | null } | { refusal: Refusal };

interface Spelling {
  element: RegExp;
  scalar: RegExp;
}

const decimal = (digits: number): RegExp => new RegExp(`^(?:0|[1-9][0-9]{0,${digits - 1}})$`);

/** D45. The bounds are those of the largest element and exponent; a P-256 challenge or response has ≤ 78 digits. */
const SPELLINGS: Readonly<Record<GroupName, Spelling>> = {
  'P-256': { element: /^04[0-9a-f]{128}$/, scalar: decimal(78) },
  'modp-2048': { element: decimal(617), scalar: decimal(617) },
  'modp-3072': { element: decimal(925), scalar: decimal(925) },
};

const MAX_VOTER_ID = 256;
const MAX_BALLOT_DEPTH = 16;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const QUOTE = 0x22;
const BAR = 0x7c;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Reads one line, without its line end. Never throws, whatever the bytes. */
export function parseVoteLine(line: Uint8Array, group: GroupName, questions: number): VoteLine {
  const parts = splitLine(line);
  if (parts === undefined) return refuse('not_a_ballot', 'it is not {…} or {…}|voter id');
  const voterId = readVoterId(parts.voter);
  if (voterId === undefined)
    return refuse('bad_voter_id', `give at most ${MAX_VOTER_ID} printable characters`);
  let value: unknown;
  try {
    value = parseJson(parts.ballot, MAX_BALLOT_DEPTH);
  } catch (reason) {
    if (!(reason instanceof JsonRefused)) throw reason;
    return refuse('not_a_ballot', reason.message);
  }
  const ballot = readBallot(value as Record<string, unknown>, SPELLINGS[group], questions);
  return 'reason' in ballot ? { refusal: ballot } : { ballot, voterId };
}

function refuse(reason: RefusalReason, detail: string): { refusal: Refusal } {
  return { refusal: { reason, detail } };
}

function splitLine(line: Uint8Array): { ballot: Uint8Array; voter: Uint8Array } | undefined {
  if (line[0] === QUOTE) {
    const field = unquote(line);
    if (field === undefined || field.content[0] !== OPEN) return undefined;
    if (endOfObject(field.content) !== field.content.length) return undefined;
    return afterBallot(line, field.end, field.content);
  }
  const end = endOfObject(line);
  return end === undefined ? undefined : afterBallot(line, end, line.subarray(0, end));
}

function afterBallot(line: Uint8Array, end: number, ballot: Uint8Array) {
  if (end === line.length) return { ballot, voter: new Uint8Array() };
  return line[end] === BAR ? { ballot, voter: line.subarray(end + 1) } : undefined;
}

/** Where the JSON object at the beginning ends; undefined when there is none. Its grammar is for the JSON parser. */
function endOfObject(bytes: Uint8Array): number | undefined {
  if (bytes[0] !== OPEN) return undefined;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN) depth += 1;
    else if (byte === CLOSE) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return undefined;
}

/** A CSV field in quotes: its content with doubled quotes made single, and where it ends. */
function unquote(bytes: Uint8Array): { content: Uint8Array; end: number } | undefined {
  const content: number[] = [];
  for (let at = 1; at < bytes.length; at += 1) {
    if (bytes[at] !== QUOTE) content.push(bytes[at]!);
    else if (bytes[at + 1] === QUOTE) {
      content.push(QUOTE);
      at += 1;
    } else return { content: Uint8Array.from(content), end: at + 1 };
  }
  return undefined;
}

/** Null when there is none; undefined when it is not acceptable. */
function readVoterId(bytes: Uint8Array): string | null | undefined {
  let field = bytes;
  if (field[0] === QUOTE) {
    const quoted = unquote(field);
    if (quoted === undefined || quoted.end !== field.length) return undefined;
    field = quoted.content;
  }
  if (field.length === 0) return null;
  if (field.length > MAX_VOTER_ID) return undefined;
  try {
    const text = utf8.decode(field);
    return /\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function readBallot(
  { choices, proofs }: Record<string, unknown>,
  spelling: Spelling,
  questions: number,
): Ballot | Refusal {
  if (!Array.isArray(choices) || choices.length !== questions) {
    return {
      reason: 'wrong_number_of_choices',
      detail: `${counted(choices)} ciphertexts for ${questions} questions`,
    };
  }
  if (!Array.isArray(proofs) || proofs.length !== questions) {
    return {
      reason: 'wrong_number_of_proofs',
      detail: `${counted(proofs)} proofs for ${questions} questions`,
    };
  }
  const ballot: Ballot = { choices: [], proofs: [] };
  for (let at = 0; at < questions; at += 1) {
    const { alpha, beta } = fieldsOf(choices[at]);
    if (!isSpelt(alpha, spelling.element))
      return { reason: 'bad_ciphertext', detail: `choices[${at}].alpha` };
    if (!isSpelt(beta, spelling.element)) return { reason: 'bad_ciphertext', detail: `choices[${at}].beta` };
    const { commitment, challenge, response } = fieldsOf(proofs[at]);
    if (!isSpelt(commitment, spelling.element))
      return { reason: 'bad_proof', detail: `proofs[${at}].commitment` };
    if (!isSpelt(challenge, spelling.scalar))
      return { reason: 'bad_proof', detail: `proofs[${at}].challenge` };
    if (!isSpelt(response, spelling.scalar)) return { reason: 'bad_proof', detail: `proofs[${at}].response` };
    ballot.choices.push({ alpha, beta });
    ballot.proofs.push({ commitment, challenge, response });
  }
  return ballot;
}

function counted(value: unknown): string {
  return Array.isArray(value) ? String(value.length) : 'no';
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isSpelt(value: unknown, spelling: RegExp): value is string {
  return typeof value === 'string' && spelling.test(value);
}
