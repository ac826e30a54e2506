/**
 * The audit trail in PostgreSQL (D24): entries (`log_entries`), blocks (`log_blocks`), both together (the view
 * `log_sealed`), heads of peers.
 *
 * Entries are written in the transaction that causes them, one row for all of a statement; so a row holds several lines,
 * and an entry costs little more than its bytes. Sealing holds an advisory lock that ends with its transaction: of all
 * processes one seals at a time, and one that was thought dead cannot come back into a chain that has gone on.
 */
import type { Knex } from 'knex';
import { type Block, ENTRY_TAG, entryHash, type Head, type SignedHead } from '../audit/block.ts';
import { type AuditEntry, entryLine, type KnownPeer } from '../audit/entries.ts';
import type { KeptHead, Sealable, Sealing, TrailStore } from '../audit/trail.ts';
import type { Raw } from './session.ts';

/** Key of the advisory lock under which blocks are made. */
const SEALING_LOCK = 0x5345414c;
/** Rows that are looked at for one block. */
const MAX_ROWS = 1000;

/**
 * Writes an entry into the node's log, in a transaction: it is there exactly if the transaction is committed.
 * @param a knex transaction, as `ctx.tx` is; or a pool, for an entry that nothing commits together with
 * @throws ConclaveError `invalid_request` when it is none
 */
export async function record(transaction: Raw, ...entries: readonly AuditEntry[]): Promise<void> {
  const now = new Date();
  await insertLines(
    transaction,
    entries.map((entry) => entryLine(entry, now)),
  );
}

/** For statements that write something else as well: `with ${AUDITED} insert into …`, with `auditedBindings`. */
export const AUDITED = `audited as (insert into log_entries (count, entries, hashes)
  select * from (values (cast(? as integer), ?, cast(? as bytea))) as v (c, e, h) where c > 0)`;

export function auditedBindings(lines: readonly string[]): [number, string, Buffer] {
  return [lines.length, lines.join('\n'), bytesOf(lines.map((line) => entryHash(line)))];
}

function bytesOf(hashes: readonly string[]): Buffer {
  return Buffer.from(hashes.join(''), 'hex');
}

function hashesOf(bytes: Buffer): string[] {
  const text = bytes.toString('hex');
  return Array.from({ length: text.length / 64 }, (_, index) => text.slice(index * 64, index * 64 + 64));
}

export async function insertLines(db: Raw, lines: readonly string[]): Promise<void> {
  if (lines.length > 0)
    await db.raw('insert into log_entries (count, entries, hashes) values (?, ?, ?)', auditedBindings(lines));
}

/**
 * For statements that settle messages: enters what became of them, a line for each peer. `settled` is a common table expression of seq, id, peer_id, and reason (null: delivered); the
 * one binding is the date in ISO 8601.
 */
export function auditedSettlement(settled: string): string {
  return `audited as (
    insert into log_entries (count, entries, hashes)
    select count(*), string_agg(line, chr(10) order by line),
      string_agg(sha256(convert_to('${ENTRY_TAG.trimEnd()}' || chr(10) || line, 'UTF8')), '' order by line) from (
      select '{"date":"' || cast(? as text) || '","kind":"'
          || case when reason is null then 'delivered' else 'undelivered' end
          || '","messages":[' || string_agg(cast(to_json(id) as text), ',' order by seq)
          || '],"peer":' || to_json(coalesce(peer_id, '')) || coalesce(',"reason":"' || reason || '"', '') || '}' as line
      from ${settled} group by peer_id, reason) as lines
    having count(*) > 0)`;
}

export function createTrailStore(db: Knex): TrailStore {
  return {
    record: (lines) => insertLines(db, lines),
    look: () => look(db),
    seal: (most, build) => db.transaction((transaction) => seal(transaction, most, build)),
    async keepCertificate({ fingerprint, pem }) {
      await db.raw('insert into log_certificates (fingerprint, pem) values (?, ?) on conflict do nothing', [
        fingerprint,
        pem,
      ]);
    },
    headsOf: (peerId, numbers) => headsOf(db, peerId, numbers),
    keepHead: (head, lines) => db.transaction((transaction) => keepHead(transaction, head, lines)),
  };
}

interface HeadRow {
  number: string;
  hash: string;
  signature: string;
  header: string;
}

async function look(db: Knex): Promise<{ waiting: boolean; head: SignedHead | null }> {
  const { rows } = await db.raw<{ rows: (Partial<HeadRow> & { waiting: boolean })[] }>(
    `select exists (select 1 from log_entries where block is null) as waiting, last.*
     from (values (1)) as one left join lateral
       (select number, hash, signature, header from log_blocks order by number desc limit 1) as last on true`,
  );
  const { waiting, header, ...last } = rows[0]!;
  return { waiting, head: last.number == null ? null : signedHead({ ...last, header } as HeadRow) };
}

/** Node and certificate are in the header, which was written here. */
function signedHead({ number, hash, signature, header }: HeadRow): SignedHead {
  const { node, certificate } = JSON.parse(header) as { node: string; certificate: string };
  return { number: Number(number), hash, node, certificate, signature };
}

async function seal(transaction: Knex, most: number, build: (sealable: Sealable) => Block): Promise<Sealing> {
  const { rows: locks } = await transaction.raw<{ rows: { locked: boolean }[] }>(
    'select pg_try_advisory_xact_lock(?) as locked',
    [SEALING_LOCK],
  );
  if (!locks[0]!.locked) return { outcome: 'busy' };
  const { rows } = await transaction.raw<{ rows: { id: string; hashes: Buffer }[] }>(
    `select id, hashes from (
       select id, hashes, sum(count) over (order by id) - count as before
       from (select id, count, hashes from log_entries where block is null order by id limit ?) as waiting) as summed
     where before < ? order by id`,
    [MAX_ROWS, most],
  );
  if (rows.length === 0) return { outcome: 'idle' };
  const previous = await lastHead(transaction);
  const { rows: peers } = await transaction.raw<{ rows: KnownPeer[] }>(
    `select id, name, url, array(select c ->> 'fingerprint' from json_array_elements(certificates) as c)
       as certificates from peers order by id`,
  );
  const block = build({ previous, hashes: rows.flatMap((row) => hashesOf(row.hashes)), peers });
  const leading = block.leading === null ? [] : [block.leading];
  await transaction.raw(
    `with sealed as (update log_entries set block = ? where id = any(cast(? as bigint[]))),
       made as (insert into log_entries (block, opens, count, entries, hashes)
         select cast(? as bigint), true, c, e, h
         from (values (cast(? as integer), ?, cast(? as bytea))) as v (c, e, h) where c > 0)
     insert into log_blocks (number, hash, date, header, signature) values (?, ?, ?, ?, ?)`,
    [
      block.number,
      rows.map(({ id }) => id),
      block.number,
      ...auditedBindings(leading),
      block.number,
      block.hash,
      block.date,
      block.header,
      block.signature,
    ],
  );
  return { outcome: 'sealed', block };
}

async function lastHead(db: Knex): Promise<Head | null> {
  const { rows } = await db.raw<{ rows: { number: string; hash: string }[] }>(
    'select number, hash from log_blocks order by number desc limit 1',
  );
  const [last] = rows;
  return last === undefined ? null : { number: Number(last.number), hash: last.hash };
}

const HEAD_COLUMNS = `peer_id as "peerId", number, hash, node, certificate, signature, pem,
  first_seen as "firstSeen", kept`;

async function headsOf(db: Knex, peerId: string, numbers: readonly number[]): Promise<KeptHead[]> {
  const { rows } = await db.raw<{ rows: (KeptHead & { number: string | number })[] }>(
    `select ${HEAD_COLUMNS} from peer_heads where peer_id = ? and (number = any(cast(? as bigint[]))
       or number = (select max(number) from peer_heads where peer_id = ?)) order by number, first_seen`,
    [peerId, numbers as number[], peerId],
  );
  return rows.map((row) => ({ ...row, number: Number(row.number) }));
}

/** Every head that is kept, of all peers or of one. */
export async function listHeads(db: Knex, peerId: string | null = null): Promise<KeptHead[]> {
  const { rows } = await db.raw<{ rows: (KeptHead & { number: string | number })[] }>(
    `select ${HEAD_COLUMNS} from peer_heads where peer_id = coalesce(?, peer_id) order by peer_id, number, first_seen`,
    [peerId],
  );
  return rows.map((row) => ({ ...row, number: Number(row.number) }));
}

async function keepHead(transaction: Knex, head: KeptHead, lines: readonly string[]): Promise<void> {
  const { peerId, number, hash, node, certificate, signature, pem, firstSeen, kept } = head;
  if (kept !== 'fork')
    await transaction.raw(`delete from peer_heads where peer_id = ? and kept = 'latest' and number < ?`, [
      peerId,
      number,
    ]);
  await transaction.raw(
    `with ${AUDITED}
     insert into peer_heads (peer_id, number, hash, node, certificate, signature, pem, first_seen, kept)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
    [...auditedBindings(lines), peerId, number, hash, node, certificate, signature, pem, firstSeen, kept],
  );
}

export interface TrailCounts {
  /** Entries that wait to be sealed. */
  readonly unsealed: number;
  /** Number of the last block; 0: there is none. */
  readonly lastBlock: number;
  readonly lastDate: Date | null;
  /** Kept heads of a peer that contradict one another. */
  readonly forks: readonly { readonly peerId: string; readonly count: number }[];
}

export async function countTrail(db: Knex): Promise<TrailCounts> {
  const { rows } = await db.raw<{ rows: { unsealed: number; number: string | null; date: Date | null }[] }>(
    `select (select coalesce(sum(count), 0)::integer from log_entries where block is null) as unsealed, last.number, last.date
     from (values (1)) as one left join lateral
       (select number, date from log_blocks order by number desc limit 1) as last on true`,
  );
  const { rows: forks } = await db.raw<{ rows: { peerId: string; count: number }[] }>(
    `select peer_id as "peerId", count(*)::integer as count from peer_heads where kept = 'fork' group by 1`,
  );
  const { unsealed, number, date } = rows[0]!;
  return { unsealed, lastBlock: Number(number ?? 0), lastDate: date, forks };
}
