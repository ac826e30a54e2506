/**
 * The one internal form of an election (the newer of the two request shapes, normalised), and what follows from an
 * election's words alone: which tally types order the choices, which answers are write-ins, the key that names it.
 */
import type { Json } from '../../lib/json.ts';

export const GROUPS = ['P-256', 'modp-2048', 'modp-3072'] as const;
export type GroupName = (typeof GROUPS)[number];

/** Whose programs generate the keys and mix: this system's own, or those of Verificatum (D44). */
export const MIXNETS = ['conclave', 'verificatum'] as const;
export type MixnetName = (typeof MIXNETS)[number];

/** Other spellings that requests may use. */
export const GROUP_ALIASES: ReadonlyMap<unknown, GroupName> = new Map([
  ['modp2048', 'modp-2048'],
  ['modp3072', 'modp-3072'],
]);

/**
 * Bytes of text that one element of a group holds: ⌊(bits−1)/8⌋−3 on a curve, ⌊(bits(p)−2)/8⌋−4 modulo a safe prime
 * (Verificatum's encodings of messages).
 */
export const GROUP_CAPACITY: Readonly<Record<GroupName, number>> = {
  'P-256': 28,
  'modp-2048': 251,
  'modp-3072': 379,
};

/** A set of answers: the order in which a voter names them means nothing. `ONE_CHOICE` is the older name (EO-17). */
export const SET_TALLY_TYPES = ['plurality-at-large', 'ONE_CHOICE'] as const;

/** A ranking: the order counts. Only `borda` is counted here; the others' rankings are published to be counted. */
export const RANKED_TALLY_TYPES = [
  'borda',
  'borda-nauru',
  'borda-mas-madrid',
  'desborda',
  'desborda2',
  'desborda3',
  'pairwise-beta',
  'pairwise-bradleyterry',
] as const;

export const TALLY_TYPES = [...SET_TALLY_TYPES, ...RANKED_TALLY_TYPES] as const;
export type TallyType = (typeof TALLY_TYPES)[number];

export interface AnswerUrl {
  title: string;
  url: string;
}

/** EO-16. */
export interface Answer {
  id: number;
  text: string;
  urls: AnswerUrl[];
  details?: string;
  category?: string;
  sort_order?: number;
}

/** EO-15, EO-18: one question has one joint key, one session, one list of ciphertexts. */
export interface Question {
  title: string;
  tally_type: TallyType;
  answers: Answer[];
  /** How many answers a ballot names at least; 0 allows a blank one. */
  min: number;
  max: number;
  num_winners: number;
  description?: string;
  layout?: string;
  randomize_answer_order?: boolean;
  answer_total_votes_percentage?: string;
}

/** EO-14. */
export interface Authority {
  name: string;
  orchestra_url: string;
  /** One certificate as OpenSSL writes it. */
  ssl_cert: string;
}

/** A positive integer in the newer form; `[A-Za-z0-9_-]{1,128}` in the older (EO-11, EO-17). */
export type ElectionId = number | string;

/** What every authority approves, signs and compares; see `requestHash`. */
export interface ElectionRequest {
  id: ElectionId;
  title: string;
  description: string;
  url: string;
  callback_url: string;
  start_date: string | null;
  end_date: string | null;
  group: GroupName;
  threshold: number;
  /** Only if it is not this system's own. */
  mixnet?: 'verificatum';
  authorities: Authority[];
  questions: Question[];
  is_recurring?: boolean;
  director?: string;
  layout?: string;
  extra?: Json;
  presentation?: Json;
}

const ELECTION_ID_TEXT = /^[A-Za-z0-9_-]{1,128}$/;

/** Whether something names an election: nothing that passes can leave a directory (no dots, no slashes). */
export function isElectionId(value: unknown): value is ElectionId {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 1;
  return typeof value === 'string' && ELECTION_ID_TEXT.test(value);
}

/** The name of an election in directories and tables: the election 7 and the election "7" are the same one. */
export function electionKey(id: ElectionId): string {
  if (!isElectionId(id)) throw new TypeError('not an election id');
  return String(id);
}

export function isRanked(tallyType: TallyType): boolean {
  return (RANKED_TALLY_TYPES as readonly string[]).includes(tallyType);
}

/** EO-16: a write-in is marked by a URL titled `isWriteIn` that is `true`. */
export function isWriteIn(answer: Pick<Answer, 'urls'>): boolean {
  return answer.urls.some(({ title, url }) => title === 'isWriteIn' && url === 'true');
}

// Characters that show nothing or reorder what is shown, and all white space.
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}]/gu;
const SPACE = /[\p{Z}\s]+/gu;

/** What a reader sees of a text: two names that look alike only because of invisible characters are the same name. */
export function asSeen(text: string): string {
  return text.normalize('NFC').replace(SPACE, ' ').replace(INVISIBLE, '').trim().normalize('NFC');
}
