/** Elections for operators: where each stands on this node, its joint keys, its tallies, its trees. Reads only. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ElectionRecord } from '../../tasks/election/records.ts';
import { findElection, sessionsOf } from '../../tasks/election/records.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import { listedTasks } from '../store/task-pages.ts';
import { pendingApprovals } from './approvals.ts';
import { authorityIdentities, electionDetails } from './election-details.ts';
import { type ElectionParts, electionParts, type Outcome } from './parts.ts';
import { PUBLISHED, publishedOf } from './published.ts';
import type { OperatorServices } from './services.ts';
import { hashView, taskSummary } from './shown.ts';
import { nameOf } from './tasks.ts';
import type {
  ElectionStatus,
  ElectionSummary,
  ElectionView,
  Page,
  TallyStatus,
  TallyView,
  VerificationView,
} from './views.ts';

interface Row {
  key: string;
  created: Date;
  modified: Date;
  tally: TallyStatus | null;
}

const MAX_TREES = 50;

/** Newest first. */
export async function elections(
  services: OperatorServices,
  { after = '0', limit = 50 }: { readonly after?: string | undefined; readonly limit?: number | undefined },
): Promise<Page<ElectionSummary>> {
  const from = /^\d{1,9}$/.test(after) ? Number(after) : 0;
  const { rows } = await services.db.raw<{ rows: Row[] }>(
    `${ROWS} order by created_date desc, key limit ? offset ?`,
    [limit + 1, from],
  );
  const waiting = new Set((await pendingApprovals(services)).map(({ election_id }) => election_id));
  const items: ElectionSummary[] = [];
  for (const row of rows.slice(0, limit)) {
    const record = await findElection(services.db, row.key);
    if (record !== undefined) items.push(summaryOf(services, record, row, waiting.has(row.key)));
  }
  return { items, next: rows.length > limit ? String(from + limit) : null };
}

const ROWS = `select key, created_date as created, last_modified_date as modified,
  (select status from tallies where election = elections.key order by id desc limit 1) as tally from elections`;

/**
 * `verificationOf`: the latest report on a tally, as far as there is one.
 * @throws ConclaveError `election_not_found`
 */
export async function election(
  services: OperatorServices,
  id: string,
  verificationOf: (tallyId: string) => VerificationView | null = () => null,
): Promise<ElectionView> {
  const { db } = services;
  const record = await findElection(db, id);
  const { rows } = await db.raw<{ rows: Row[] }>(`${ROWS} where key = ?`, [id]);
  if (record === undefined || rows[0] === undefined)
    throw new ConclaveError('election_not_found', { electionId: id });
  const [sessions, approvals, published, trees] = await Promise.all([
    sessionsOf(db, id),
    pendingApprovals(services),
    publishedOf(services, id),
    treesOf(services, id),
  ]);
  const authorities = authorityIdentities(services, record.request);
  const questionOf = (session: string): number | null =>
    sessions.find(({ sessionId }) => sessionId === session)?.question ?? null;
  const parts = await electionParts(services, id, authorities, questionOf, CREATED[record.status]);
  const tallies = (await talliesOf(services, id, parts)).map((tally) => ({
    ...tally,
    ...(tally.tally_hash !== null && tally.tally_hash === published.tallyHash
      ? { results: published.results, downloads: published.downloads }
      : {}),
    verification: verificationOf(tally.tally_id),
  }));
  const waiting = approvals.some(({ election_id }) => election_id === id);
  return {
    ...summaryOf(services, record, rows[0], waiting),
    details: electionDetails(services, record.request),
    sessions: sessions.map((session) => ({
      session_id: session.sessionId,
      question: session.question,
      key_hash: session.confirmation === null ? null : hashView(session.confirmation),
      public_key: session.publicKey as unknown as Json,
      share: session.shareDeleted ? 'deleted' : session.sealedShare === null ? 'none' : 'held',
    })),
    creation: parts.creation,
    tallies,
    trees,
    downloads: published.downloads,
  };
}

function summaryOf(
  { node }: OperatorServices,
  record: ElectionRecord,
  row: Row,
  waiting: boolean,
): ElectionSummary {
  const { request } = record;
  return {
    id: record.key,
    title: request.title,
    status: record.status,
    reason: record.reason,
    is_director: record.directorUrl === node.url,
    questions: request.questions.length,
    authorities: request.authorities.length,
    threshold: record.threshold,
    created_date: row.created.toISOString(),
    modified_date: row.modified.toISOString(),
    tally_status: row.tally,
    approval_waiting: waiting,
  };
}

const CREATED: Record<ElectionStatus, Outcome> = {
  requested: 'under_way',
  approved: 'under_way',
  created: 'well',
  denied: 'failed',
  failed: 'failed',
};
const TALLIED: Record<TallyStatus, Outcome> = {
  requested: 'under_way',
  approved: 'under_way',
  mixing: 'under_way',
  published: 'well',
  denied: 'failed',
  failed: 'failed',
  reset: 'failed',
};

async function talliesOf(services: OperatorServices, id: string, parts: ElectionParts): Promise<TallyView[]> {
  const { rows } = await services.db.raw<{
    rows: {
      tally_id: string;
      status: TallyStatus;
      reason: string | null;
      votes_hash: string;
      tally_hash: string | null;
      created_date: Date;
      last_modified_date: Date;
    }[];
  }>('select * from tallies where election = ? order by id desc', [id]);
  return rows.map((row) => ({
    tally_id: row.tally_id,
    status: row.status,
    reason: row.reason,
    votes_hash: row.votes_hash,
    tally_hash: row.tally_hash,
    created_date: row.created_date.toISOString(),
    modified_date: row.last_modified_date.toISOString(),
    authorities: parts.tally(row.tally_id, TALLIED[row.status]),
    results: null,
    downloads: [],
    verification: null,
  }));
}

/** Roots here that name the election, newest first. */
async function treesOf(services: OperatorServices, id: string): Promise<ElectionView['trees']> {
  const { rows } = await services.db.raw<{ rows: { id: string }[] }>(
    `select id from tasks where parent_id is null
       and (input_data -> 'request' ->> 'id' = ? or input_data -> 'request' ->> 'election_id' = ?
         or input_data ->> 'election_id' = ?)
     order by created_date desc limit ?`,
    [id, id, id, MAX_TREES],
  );
  const listed = await listedTasks(
    services.db,
    rows.map((row) => row.id),
  );
  return listed.map((each) => taskSummary(each, nameOf(services), null));
}

/** @throws ConclaveError `election_not_found`, `not_found` */
export async function download(
  services: OperatorServices,
  id: string,
  name: string,
): Promise<{ readonly size: number; readonly stream: NodeJS.ReadableStream }> {
  const record = await findElection(services.db, id);
  if (record === undefined) throw new ConclaveError('election_not_found', { electionId: id });
  const path = join(services.elections.publicFolder, record.key, name);
  const entry = PUBLISHED.includes(name) ? await stat(path).catch(() => null) : null;
  if (entry === null) throw new ConclaveError('not_found', { path: name });
  return { size: entry.size, stream: createReadStream(path) };
}
