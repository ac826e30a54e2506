/**
 * The four calls by which an authority's key shares leave its node and come back (EO-6…EO-9, EO-50, EO-51).
 *
 * The archive is deterministic: its SHA-256, kept from the first download on, decides whether a copy is whole. Shares are
 * deleted only against a copy that passes that check (1B.6: the original deleted whatever the check said).
 */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { Knex } from 'knex';
import { ConclaveError } from '../../lib/errors.ts';
import { canonicalJson } from './canonical.ts';
import { electionKey, isElectionId } from './election.ts';
import { gzipStored } from './gzip-stored.ts';
import { equalDigests } from './hash.ts';
import { openShareOf, sealJson, shareContext } from './party-secret.ts';
import { type ElectionRecord, type SessionRecord, sessionsOf } from './records.ts';
import type { ElectionServices } from './services.ts';
import { BLOCK, paddingOf, readHeader, writeHeader } from './tar-format.ts';
import { demandElection } from './trust.ts';

const FILE = 'privInfo.json';
const MAX_ARCHIVE = 1 << 20;

interface Known {
  election: ElectionRecord;
  sessions: SessionRecord[];
  /** Null before the first download. */
  hash: Buffer | null;
}

/** EO-6: the archive in base64. @throws ConclaveError `share_missing`, `share_inconsistent`, `election_not_found` */
export async function downloadPrivateShare(services: ElectionServices, electionId: unknown): Promise<string> {
  const known = await shares(services, electionId);
  const archive = await archiveOf(services, known.sessions);
  const hash = createHash('sha256').update(archive).digest();
  if (known.hash === null) await keepHash(services.db, known.election, hash);
  else if (!equalDigests(known.hash, hash))
    throw new ConclaveError('share_inconsistent', {
      detail: 'the shares are not those of the first download',
    });
  return archive.toString('base64');
}

/** EO-7: whether a copy is whole, and of this election and authority. */
export async function checkPrivateShare(
  services: ElectionServices,
  electionId: unknown,
  copy: unknown,
): Promise<boolean> {
  return isWhole(await shares(services, electionId), copy);
}

/** EO-8: all shares or none. False, and nothing is deleted, when the copy does not pass the check. */
export async function deletePrivateShare(
  services: ElectionServices,
  electionId: unknown,
  copy: unknown,
): Promise<boolean> {
  const known = await shares(services, electionId);
  if (!isWhole(known, copy)) return false;
  await services
    .db('election_sessions')
    .where({ election: known.election.key })
    .update({ sealed_share: null, share_deleted: true });
  return true;
}

/** EO-9. False, and nothing is changed, when the copy does not pass the check. */
export async function restorePrivateShare(
  services: ElectionServices,
  electionId: unknown,
  copy: unknown,
): Promise<boolean> {
  const known = await shares(services, electionId);
  if (!isWhole(known, copy)) return false;
  const files = shareFilesOf(Buffer.from(copy as string, 'base64'));
  await services.db.transaction(async (transaction) => {
    for (const { sessionId } of known.sessions) {
      const share: unknown = JSON.parse(files.get(`${sessionId}/${FILE}`)!.toString('utf8'));
      await transaction('election_sessions')
        .where({ session_id: sessionId })
        .update({ sealed_share: sealJson(services, share, shareContext(sessionId)), share_deleted: false });
    }
  });
  return true;
}

/** The files of an archive that this node made, in memory only: shares touch no disk unless they are sealed. */
export function shareFilesOf(archive: Buffer): Map<string, Buffer> {
  const tar = gunzipSync(archive, { maxOutputLength: MAX_ARCHIVE });
  const files = new Map<string, Buffer>();
  for (let at = 0; ; ) {
    const entry = readHeader(tar.subarray(at, at + BLOCK));
    if (entry === undefined) return files;
    at += BLOCK;
    if (entry.type === 'file') files.set(entry.name, tar.subarray(at, at + entry.size));
    at += entry.size + paddingOf(entry.size);
  }
}

async function shares(services: ElectionServices, electionId: unknown): Promise<Known> {
  if (!isElectionId(electionId))
    throw new ConclaveError('invalid_request', { problems: ['election_id must be the id of an election'] });
  const election = await demandElection(services, electionId);
  const sessions = await sessionsOf(services.db, election.key);
  if (election.status !== 'created') throw new ConclaveError('election_not_ready', { electionId });
  const row = await services
    .db('elections')
    .where({ key: electionKey(electionId) })
    .first('share_archive_hash');
  const hash = row?.share_archive_hash as string | null;
  return { election, sessions, hash: hash === null ? null : Buffer.from(hash, 'hex') };
}

function isWhole({ hash }: Known, copy: unknown): boolean {
  if (hash === null)
    throw new ConclaveError('share_missing', {
      detail: 'the shares were never downloaded; nothing can be checked',
    });
  if (typeof copy !== 'string' || copy.length > 2 * MAX_ARCHIVE)
    throw new ConclaveError('invalid_request', {
      problems: ['private_key must be the base64 of an archive'],
    });
  return equalDigests(createHash('sha256').update(Buffer.from(copy, 'base64')).digest(), hash);
}

async function keepHash(db: Knex, { key }: ElectionRecord, hash: Buffer): Promise<void> {
  await db('elections')
    .where({ key })
    .update({ share_archive_hash: hash.toString('hex') });
}

/** EO-50: one file per session, in memory only. */
async function archiveOf(services: ElectionServices, sessions: readonly SessionRecord[]): Promise<Buffer> {
  const entries = [...sessions].sort((a, b) => (a.sessionId < b.sessionId ? -1 : 1));
  async function* tar(): AsyncGenerator<Uint8Array> {
    for (const session of entries) {
      const content = Buffer.from(canonicalJson(openShareOf(services, session)));
      yield writeHeader({ name: session.sessionId, type: 'directory', size: 0 });
      yield writeHeader({ name: `${session.sessionId}/${FILE}`, type: 'file', size: content.length });
      yield content;
      yield Buffer.alloc(paddingOf(content.length));
    }
    yield Buffer.alloc(2 * BLOCK);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of gzipStored(tar())) chunks.push(chunk);
  return Buffer.concat(chunks);
}
