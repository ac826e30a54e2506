/** What an authority has recorded of its tallies: the tables `tallies` and `tally_sessions`. */
import type { Knex } from 'knex';
import type { TallyRequest } from '../election/tally-request.ts';

export type TallyStatus = 'requested' | 'approved' | 'denied' | 'mixing' | 'published' | 'failed' | 'reset';

export interface TallyRecord {
  id: string;
  election: string;
  tallyId: string;
  request: TallyRequest;
  status: TallyStatus;
  reason: string | null;
  listsHash: string | null;
  tallyHash: string | null;
}

/**
 * How far a session of a tally has come on this authority. Lists are named by the SHA-256 of their files, so that a file
 * that came later, or was exchanged, is never taken for the one that was approved or verified.
 */
export interface SessionState {
  /** How many ciphertexts are mixed; 0: there is nothing to mix. */
  length: number;
  /** The approved list, in the proof directory's form; null: there is nothing to mix. */
  list: string | null;
  /** Shuffles that were verified here, in the order of the chain, with their output lists; this node's own among them. */
  shuffles: { party: number; output: string }[];
  /** The one shuffle that this authority makes of the session in this tally. */
  own: { from: number; output: string } | null;
  /** Decryption factors were given away: the chain is final, and the election counts as tallied. */
  decrypting: boolean;
}

export function shufflersOf(state: SessionState): number[] {
  return state.shuffles.map(({ party }) => party);
}

export interface TallySessionRecord {
  question: number;
  sealedRandomness: Buffer | null;
  state: SessionState;
}

const TALLY = `id, election, tally_id as "tallyId", request, status, reason, lists_hash as "listsHash",
  tally_hash as "tallyHash"`;

export async function insertTally(
  db: Knex,
  tally: {
    election: string;
    tallyId: string;
    request: TallyRequest;
    votesHash: string;
    listsHash: string;
    /** Of each question: how many ciphertexts, and the list that is mixed. */
    lists: readonly Pick<SessionState, 'length' | 'list'>[];
  },
): Promise<void> {
  const { election, tallyId } = tally;
  const [inserted] = await db('tallies')
    .insert({
      election,
      tally_id: tallyId,
      request: JSON.stringify(tally.request),
      status: 'requested',
      votes_hash: tally.votesHash,
      lists_hash: tally.listsHash,
    })
    .returning('id');
  await db('tally_sessions').insert(
    tally.lists.map(({ length, list }, question) => {
      const state: SessionState = { length, list, shuffles: [], own: null, decrypting: false };
      return { tally: inserted.id, question, state: JSON.stringify(state) };
    }),
  );
}

export async function findTally(
  db: Knex,
  election: string,
  tallyId: string,
): Promise<TallyRecord | undefined> {
  const { rows } = await db.raw(`select ${TALLY} from tallies where election = ? and tally_id = ?`, [
    election,
    tallyId,
  ]);
  return rows[0];
}

export async function talliesOf(db: Knex, election: string): Promise<TallyRecord[]> {
  const { rows } = await db.raw(`select ${TALLY} from tallies where election = ? order by id`, [election]);
  return rows;
}

export async function setTallyStatus(
  db: Knex,
  tally: Pick<TallyRecord, 'id'>,
  status: TallyStatus,
  changes: { reason?: string; tallyHash?: string } = {},
): Promise<void> {
  const { reason, tallyHash } = changes;
  await db('tallies')
    .where({ id: tally.id })
    .update({
      status,
      last_modified_date: db.fn.now(),
      ...(reason === undefined ? {} : { reason }),
      ...(tallyHash === undefined ? {} : { tally_hash: tallyHash }),
    });
}

/** Tallies of the election that did not come to an end: a new one takes their place. */
export async function giveUpUnfinished(db: Knex, election: string, reason: string): Promise<void> {
  await db('tallies')
    .where({ election })
    .whereIn('status', ['requested', 'approved', 'mixing'])
    .update({ status: 'failed', reason, last_modified_date: db.fn.now() });
}

const DECRYPTED = `exists (select 1 from tally_sessions s where s.tally = tallies.id
  and (s.state ->> 'decrypting')::boolean)`;

/**
 * The tallies that count as made (EO-31): the published ones, and those for which this authority gave decryption factors,
 * whatever became of them. Two decryptions of different lists show the votes in which the lists differ.
 */
export async function tallied(db: Knex, election: string): Promise<TallyRecord[]> {
  const { rows } = await db.raw(
    `select ${TALLY} from tallies where election = ? and status <> 'reset' and (status = 'published' or ${DECRYPTED})
     order by id`,
    [election],
  );
  return rows;
}

/** The lists of the tallies that count as made, or were reset since. */
export async function decryptedLists(db: Knex, election: string): Promise<string[]> {
  const { rows } = await db.raw(
    `select distinct lists_hash as "listsHash" from tallies
     where election = ? and lists_hash is not null and (status in ('published', 'reset') or ${DECRYPTED})`,
    [election],
  );
  return rows.map(({ listsHash }: { listsHash: string }) => listsHash);
}

/** Allows one more tally (EO-52 `--reset-tally`). Answers how many tallies were reset. */
export async function resetTallied(db: Knex, election: string): Promise<number> {
  const { rowCount } = await db.raw(
    `update tallies set status = 'reset', last_modified_date = now()
     where election = ? and status <> 'reset' and (status = 'published' or ${DECRYPTED})`,
    [election],
  );
  return rowCount;
}

/** Locked until the transaction ends; nobody gives the tally up meanwhile. */
export async function lockTally(db: Knex, tally: Pick<TallyRecord, 'id'>): Promise<TallyRecord> {
  const { rows } = await db.raw(`select ${TALLY} from tallies where id = ? for update`, [tally.id]);
  return rows[0];
}

export async function tallySession(
  db: Knex,
  tally: Pick<TallyRecord, 'id'>,
  question: number,
): Promise<TallySessionRecord> {
  const { rows } = await db.raw(
    `select question, sealed_randomness as "sealedRandomness", state from tally_sessions
     where tally = ? and question = ?`,
    [tally.id, question],
  );
  return rows[0];
}

export async function saveSessionState(
  db: Knex,
  tally: Pick<TallyRecord, 'id'>,
  question: number,
  state: SessionState,
): Promise<void> {
  await db('tally_sessions')
    .where({ tally: tally.id, question })
    .update({ state: JSON.stringify(state) });
}

export async function saveRandomness(
  db: Knex,
  tally: Pick<TallyRecord, 'id'>,
  question: number,
  sealed: Buffer,
): Promise<void> {
  await db('tally_sessions').where({ tally: tally.id, question }).update({ sealed_randomness: sealed });
}

/**
 * Replaces the randomness only if it is still what was read: of two answers that are made from it at the same time, one
 * is never given. Answers whether it was replaced.
 */
export async function exchangeRandomness(
  db: Knex,
  tally: Pick<TallyRecord, 'id'>,
  question: number,
  sealed: { read: Buffer; next: Buffer },
): Promise<boolean> {
  const changed = await db('tally_sessions')
    .where({ tally: tally.id, question, sealed_randomness: sealed.read })
    .update({ sealed_randomness: sealed.next });
  return changed === 1;
}
