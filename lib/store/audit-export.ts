/**
 * Reads a node's log out of its database as the records of an export (D24), a few blocks at a time, in their order:
 * whoever checks the own database reads the same. Rows are given as they are; to doubt them is the reader's business.
 */
import type { Knex } from 'knex';
import type { HeadCertificate } from '../audit/block.ts';
import { messageDigest } from '../audit/digest.ts';
import type { LogEntry } from '../audit/entries.ts';
import {
  EXPORT_FORMAT,
  type ExportHead,
  type ExportHeader,
  type ExportMessage,
  type ExportRecord,
} from '../audit/export-format.ts';
import type { AsyncData } from '../engine/model.ts';
import type { Json } from '../json.ts';
import { listHeads } from './audit.ts';
import { listPeers } from './peers.ts';

const PAGE_BLOCKS = 8;
const PAGE_MESSAGES = 50;

export interface ExportOptions {
  /** Root URL and name of the node. */
  readonly node: string;
  readonly name: string;
  /** Its certificate; earlier ones are in the database. */
  readonly certificate: HeadCertificate;
  readonly now: Date;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly election?: string | undefined;
}

/** A block as its row has it. */
export interface BlockRow {
  readonly number: number;
  readonly hash: string;
  readonly header: string;
  readonly signature: string;
  readonly lines: readonly string[];
  /** In hex, 64 characters each; the last may be shorter in a row that somebody has changed. */
  readonly hashes: readonly string[];
}

/** All records but the end. */
export async function* exportRecords(db: Knex, options: ExportOptions): AsyncGenerator<ExportRecord> {
  const header = await readHeader(db, options);
  yield header;
  const chosen = options.election === undefined ? null : new ElectionEntries(db, options.election);
  await chosen?.load();
  for await (const block of readBlocks(db, header.from, header.to)) yield* blockRecords(db, block, chosen);
  for (const head of await listHeads(db)) {
    const { peerId, node, number, hash, certificate, signature, pem, firstSeen, kept } = head;
    const first_seen = firstSeen.toISOString();
    const record: Omit<ExportHead, 'type'> = {
      ...{ certificate, first_seen, hash, kept, node, number, pem, peer: peerId, signature },
    };
    yield { type: 'head', ...record };
  }
}

async function readHeader(db: Knex, options: ExportOptions): Promise<ExportHeader> {
  const { node, name, certificate, now, election = null } = options;
  const { rows } = await db.raw<{ rows: { last: string | null }[] }>(
    'select max(number) as last from log_blocks',
  );
  const last = Number(rows[0]!.last ?? 0);
  const { rows: kept } = await db.raw<{ rows: HeadCertificate[] }>(
    'select fingerprint, pem from log_certificates where fingerprint <> ? order by first_used, fingerprint',
    [certificate.fingerprint],
  );
  const peers = (await listPeers(db)).map((peer) => ({
    certificates: peer.certificates.map(({ fingerprint, pem }) => ({ fingerprint, pem })),
    id: peer.id,
    name: peer.name,
    url: peer.url,
  }));
  return {
    type: 'header',
    format: EXPORT_FORMAT,
    ...{ node, name, election, last, peers },
    exported: now.toISOString(),
    from: options.from ?? 1,
    to: Math.min(options.to ?? last, last),
    certificates: [{ fingerprint: certificate.fingerprint, pem: certificate.pem }, ...kept],
  };
}

/** From a number to another, both included. */
export async function* readBlocks(db: Knex, from: number, to: number): AsyncGenerator<BlockRow> {
  for (let next = from; next <= to; ) {
    const { rows } = await db.raw<{
      rows: {
        number: string;
        hash: string;
        header: string;
        signature: string;
        entries: string;
        hashes: Buffer;
      }[];
    }>(
      `select number, hash, header, signature, coalesce(entries, '') as entries,
         coalesce(hashes, cast('' as bytea)) as hashes from log_sealed
       where number between ? and ? order by number limit ?`,
      [next, to, PAGE_BLOCKS],
    );
    if (rows.length === 0) return;
    for (const { number, hash, header, signature, entries, hashes } of rows) {
      next = Number(number) + 1;
      const lines = entries === '' ? [] : entries.split('\n');
      yield {
        number: next - 1,
        hash,
        header,
        signature,
        lines,
        hashes: hashes.toString('hex').match(/.{1,64}/g) ?? [],
      };
    }
  }
}

async function* blockRecords(
  db: Knex,
  block: BlockRow,
  chosen: ElectionEntries | null,
): AsyncGenerator<ExportRecord> {
  const { number, hash, header, signature, hashes } = block;
  yield { type: 'block', number, hash, header, signature, hashes: [...hashes] };
  const shown = block.lines.map((line, at) => ({ line, at, entry: readEntry(line) }));
  const all = chosen === null ? shown : shown.filter(({ entry }) => entry !== null && chosen.has(entry));
  for (const { line, at } of all) yield { type: 'entry', at, block: number, line };
  const ofMessages = all.flatMap(({ at, entry }) =>
    entry !== null && (entry.kind === 'sent' || entry.kind === 'received') ? [{ at, entry }] : [],
  );
  for (let from = 0; from < ofMessages.length; from += PAGE_MESSAGES)
    yield* messageRecords(db, number, ofMessages.slice(from, from + PAGE_MESSAGES));
}

/** Null: it is no entry, so it says nothing about elections or messages. */
export function readEntry(line: string): LogEntry | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'kind' in value ? (value as LogEntry) : null;
  } catch {
    return null;
  }
}

interface MessageRow {
  peer: string | null;
  received: boolean;
  id: string;
  queue: string;
  action: string;
  taskId: string | null;
  senderUrl: string;
  data: Json;
  infoText: string | null;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  asyncData: AsyncData | null;
}

/** What is kept of the messages that entries are about. */
async function* messageRecords(
  db: Knex,
  block: number,
  entries: readonly { at: number; entry: LogEntry }[],
): AsyncGenerator<ExportMessage> {
  const ids = entries.map(({ entry }) => String(entry.message));
  const { rows } = await db.raw<{ rows: MessageRow[] }>(
    `select peer_id as peer, is_received as received, id, queue_name as queue, action, task_id as "taskId",
       sender_url as "senderUrl", input_data as data, info_text as "infoText", pingback_date as "pingbackDate",
       expiration_date as "expirationDate", async_data as "asyncData"
     from messages where id = any(cast(? as text[])) order by seq`,
    [ids] as unknown as Knex.RawBinding[],
  );
  const byKey = Map.groupBy(rows, ({ id, received, peer }) => `${received} ${peer} ${id}`);
  for (const { at, entry } of entries) {
    const same = byKey.get(`${entry.kind === 'received'} ${entry.peer} ${entry.message}`) ?? [];
    // A peer may send a message twice that is of no task; each entry is about one of the rows.
    const row = same.find((each) => digestOf(each, entry) === entry.digest) ?? same[0];
    if (row !== undefined) yield { type: 'message', at, block, content: contentOf(row, entry) };
  }
}

/** A message that named no task is kept with the one that was made for it. */
function taskIdOf({ taskId }: MessageRow, entry: LogEntry): string | null {
  return entry.task === null ? null : taskId;
}

function digestOf(row: MessageRow, entry: LogEntry): string {
  return messageDigest({ ...row, messageId: row.id, taskId: taskIdOf(row, entry) }, row.senderUrl);
}

function contentOf(row: MessageRow, entry: LogEntry): ExportMessage['content'] {
  const { action, asyncData, data, expirationDate, id, infoText, pingbackDate, queue, senderUrl } = row;
  const references = asyncData === null || Object.keys(asyncData).length === 0 ? null : asyncData;
  return {
    action,
    async_data: references as unknown as ExportMessage['content']['async_data'],
    data,
    expiration_date: expirationDate?.toISOString() ?? null,
    info_text: infoText,
    message_id: id,
    pingback_date: pingbackDate?.toISOString() ?? null,
    queue,
    sender_url: senderUrl,
    task_id: taskIdOf(row, entry),
  };
}

/** Kinds that say who the peers are, and what they have signed: for every reader. */
const FOR_EVERYBODY = new Set(['peers', 'peer_head', 'fork', 'start', 'stop']);

/** Which entries belong to an election: those of its trees' tasks, of their messages, and those that name it. */
export class ElectionEntries {
  readonly #db: Knex;
  readonly #election: string;
  readonly #messages = new Set<string>();
  #tasks = new Set<string>();

  constructor(db: Knex, election: string) {
    this.#db = db;
    this.#election = election;
  }

  get tasks(): ReadonlySet<string> {
    return this.#tasks;
  }

  /** Trees that are pruned are not known any more. */
  async load(): Promise<void> {
    const { rows } = await this.#db.raw<{ rows: { id: string }[] }>(
      // PostgreSQL cannot read U+0000 and lone surrogates out of JSON, and a peer may send them: such data names nothing.
      `with recursive named as materialized (
         select id, input_data as data from tasks
         where strpos(cast(input_data as text), '\\u0000') = 0 and cast(input_data as text) !~ '\\\\ud[89a-f]'
       ), below as (
         select id from named where data -> 'request' ->> 'id' = ? or data -> 'request' ->> 'election_id' = ?
           or data ->> 'election_id' = ?
         union
         select task_id from elections where key = ?
         union
         select tally_id from tallies where election = ?
         union
         select tasks.id from below join tasks on tasks.parent_id = below.id
       ) select id from below
       union
       select task_metadata -> 'message' ->> 'taskId' from tasks join below using (id)
       where task_metadata -> 'message' ->> 'taskId' is not null`,
      Array(5).fill(this.#election),
    );
    this.#tasks = new Set(rows.map(({ id }) => id));
  }

  /** To be asked in the order of the log: that a message was delivered is said after it was sent. */
  has(entry: LogEntry): boolean {
    return FOR_EVERYBODY.has(entry.kind) || this.names(entry);
  }

  /** Without what is for every reader. */
  names({ kind, task, election, message, messages }: LogEntry): boolean {
    if (kind === 'delivered' || kind === 'undelivered')
      return Array.isArray(messages) && messages.some((id) => this.#messages.has(String(id)));
    const belongs = (typeof task === 'string' && this.#tasks.has(task)) || election === this.#election;
    if (belongs && kind === 'sent') this.#messages.add(String(message));
    return belongs;
  }
}
