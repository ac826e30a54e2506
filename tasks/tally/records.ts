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

/** How far a session of a tally has come on this authority. */
export interface SessionState {
  /** How many ciphertexts are mixed; 0: there is nothing to mix. */
  length: number;
  /** Parties whose shuffles were verified here, in the order of the chain; this node's own among them. */
  shufflers: number[];
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
    lengths: readonly number[];
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
    tally.lengths.map((length, question) => {
      const state: SessionState = { length, shufflers: [] };
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

/** Allows one more tally (EO-52 `--reset-tally`). Answers how many published tallies were reset. */
export async function resetPublished(db: Knex, election: string): Promise<number> {
  return db('tallies')
    .where({ election, status: 'published' })
    .update({ status: 'reset', last_modified_date: db.fn.now() });
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
