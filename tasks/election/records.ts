/**
 * What an authority has recorded of its elections: the tables `elections`, `election_authorities` and
 * `election_sessions`, one named query per function.
 */
import type { Knex } from 'knex';
import type { PublicKeyJson } from '../../lib/mixnet/formats/public-key-json.ts';
import type { PartyKey } from '../../lib/mixnet/keys/party-key.ts';
import { type ElectionRequest, electionKey, type GroupName } from './election.ts';

export type ElectionStatus = 'requested' | 'approved' | 'denied' | 'created' | 'failed';

export interface ElectionRecord {
  key: string;
  request: ElectionRequest;
  requestHash: string;
  /** Of this authority, from 1, as in the proofs. */
  position: number;
  threshold: number;
  group: GroupName;
  directorUrl: string;
  status: ElectionStatus;
  reason: string | null;
  sealedPartyKey: Buffer | null;
  /** The task that created it here. */
  taskId: string;
}

export interface AuthorityRecord {
  position: number;
  name: string;
  url: string;
  certificate: string;
  partyKey: PartyKey | null;
  /** Base64, by the certificate, over the party key and the request (see `partyKeyStatement`). */
  partyKeySignature: string | null;
}

export interface SessionRecord {
  election: string;
  question: number;
  sessionId: string;
  sealedDealing: Buffer | null;
  sealedShare: Buffer | null;
  commitments: string[] | null;
  dealings: unknown[] | null;
  publicKey: PublicKeyJson | null;
  polynomial: string | null;
  confirmation: string | null;
  shareDeleted: boolean;
}

const ELECTION = `key, request, request_hash as "requestHash", position, threshold, group_name as "group",
  director_url as "directorUrl", status, reason, sealed_party_key as "sealedPartyKey", task_id as "taskId"`;
const SESSION = `election, question, session_id as "sessionId", sealed_dealing as "sealedDealing",
  sealed_share as "sealedShare", commitments, dealings, public_key as "publicKey", polynomial, confirmation,
  share_deleted as "shareDeleted"`;

export async function findElection(db: Knex, key: string): Promise<ElectionRecord | undefined> {
  const { rows } = await db.raw(`select ${ELECTION} from elections where key = ?`, [key]);
  return rows[0];
}

/** Locked until the transaction ends. */
export async function lockElection(db: Knex, key: string): Promise<ElectionRecord | undefined> {
  const { rows } = await db.raw(`select ${ELECTION} from elections where key = ? for update`, [key]);
  return rows[0];
}

export async function insertElection(
  db: Knex,
  election: {
    request: ElectionRequest;
    requestHash: string;
    position: number;
    directorUrl: string;
    taskId: string;
    sessionIds: readonly string[];
  },
): Promise<void> {
  const { request, sessionIds } = election;
  const key = electionKey(request.id);
  await db('elections').insert({
    key,
    request: JSON.stringify(request),
    request_hash: election.requestHash,
    position: election.position,
    threshold: request.threshold,
    group_name: request.group,
    director_url: election.directorUrl,
    status: 'requested',
    task_id: election.taskId,
  });
  await db('election_authorities').insert(
    request.authorities.map(({ name, orchestra_url, ssl_cert }, index) => ({
      election: key,
      position: index + 1,
      name,
      url: orchestra_url,
      certificate: ssl_cert,
    })),
  );
  await db('election_sessions').insert(
    sessionIds.map((session_id, question) => ({ election: key, question, session_id })),
  );
}

/** An election that came to nothing makes room for another attempt; all its secrets go with it. */
export async function deleteElection(db: Knex, key: string): Promise<void> {
  await db('elections').where({ key }).whereNot({ status: 'created' }).delete();
}

export async function setElectionStatus(
  db: Knex,
  key: string,
  status: ElectionStatus,
  reason: string | null = null,
): Promise<void> {
  await db('elections').where({ key }).update({ status, reason, last_modified_date: db.fn.now() });
}

export async function savePartySecret(db: Knex, key: string, sealed: Buffer): Promise<void> {
  await db('elections').where({ key }).update({ sealed_party_key: sealed });
}

export async function authoritiesOf(db: Knex, key: string): Promise<AuthorityRecord[]> {
  const { rows } = await db.raw(
    `select position, name, url, certificate, party_key as "partyKey", party_key_signature as "partyKeySignature"
     from election_authorities
     where election = ? order by position`,
    [key],
  );
  return rows;
}

/** In the order of the authorities; what is known already stays as it is. */
export async function savePartyKeys(
  db: Knex,
  key: string,
  signed: readonly { party_key: PartyKey; signature: string }[],
): Promise<void> {
  for (const [index, { party_key, signature }] of signed.entries())
    await db('election_authorities')
      .where({ election: key, position: index + 1, party_key_signature: null })
      .update({ party_key: JSON.stringify(party_key), party_key_signature: signature });
}

export async function sessionsOf(db: Knex, key: string): Promise<SessionRecord[]> {
  const { rows } = await db.raw(
    `select ${SESSION} from election_sessions where election = ? order by question`,
    [key],
  );
  return rows;
}

/** Locked until the transaction ends: two tasks never change the secrets of one session at a time. */
export async function lockSession(
  db: Knex,
  key: string,
  sessionId: string,
): Promise<SessionRecord | undefined> {
  const { rows } = await db.raw(
    `select ${SESSION} from election_sessions where election = ? and session_id = ? for update`,
    [key, sessionId],
  );
  return rows[0];
}

export async function saveDealing(db: Knex, sessionId: string, sealed: Buffer): Promise<void> {
  await db('election_sessions').where({ session_id: sessionId }).update({ sealed_dealing: sealed });
}

export async function saveCommitments(
  db: Knex,
  sessionId: string,
  commitments: readonly string[],
): Promise<void> {
  await db('election_sessions')
    .where({ session_id: sessionId })
    .update({ commitments: JSON.stringify(commitments) });
}

/** Without dealings and polynomial: Verificatum's programs made the key, and keep them to themselves. */
export interface SessionKey {
  dealings: readonly unknown[] | null;
  publicKey: PublicKeyJson;
  polynomial: string | null;
  confirmation: string;
  sealedShare: Buffer;
}

export async function saveSessionKey(db: Knex, sessionId: string, made: SessionKey): Promise<void> {
  await db('election_sessions')
    .where({ session_id: sessionId })
    .update({
      dealings: made.dealings === null ? null : JSON.stringify(made.dealings),
      public_key: JSON.stringify(made.publicKey),
      polynomial: made.polynomial,
      confirmation: made.confirmation,
      sealed_share: made.sealedShare,
      sealed_dealing: null,
    });
}
