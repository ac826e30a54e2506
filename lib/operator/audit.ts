/**
 * The audit trail for operators: entries newest first, sealed and waiting ones together, by the page. Reads only; whether
 * the chain holds is `conclave log verify`'s business.
 */
import type { LogEntry } from '../audit/entries.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import type { OperatorServices } from './services.ts';
import type { AuditEntryView, Page } from './views.ts';

export interface AuditQuery {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  readonly kind?: string | undefined;
  /** Name or id. */
  readonly peer?: string | undefined;
  /** The beginning of an id. */
  readonly task?: string | undefined;
  readonly election?: string | undefined;
  readonly text?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

interface Row {
  id: string;
  block: string | null;
  /** Entries of the same block before this row's. */
  before: string;
  entries: string;
}

const DEFAULT_LIMIT = 50;
/** Rows that one request looks at; a page that found little in them says where to go on. */
const MAX_LOOKED_AT = 20_000;
const CURSOR = /^(\d{1,18})-(\d{1,9})$/;
/** After every row that there can be. */
const NEWEST = { id: '9223372036854775807', line: 0 };

/**
 * Newest first. A page may hold fewer than `limit` although there are more: `next` tells.
 * @throws ConclaveError `invalid_request` for a cursor that is none
 */
export async function auditEntries(
  services: OperatorServices,
  query: AuditQuery,
): Promise<Page<AuditEntryView>> {
  const limit = query.limit ?? DEFAULT_LIMIT;
  const from = cursorOf(query.after);
  const fits = filterOf(services, query);
  const { oldest, rows } = await rowsBefore(services, from.id, needlesOf(services, query), limit);
  const items: AuditEntryView[] = [];
  for (const row of rows) {
    const lines = row.entries.split('\n');
    const last = row.id === from.id ? from.line : lines.length;
    for (let line = Math.min(last, lines.length) - 1; line >= 0; line -= 1) {
      const entry = JSON.parse(lines[line]!) as LogEntry;
      if (!fits(entry)) continue;
      items.push(viewOf(services, entry, row, line));
      if (items.length === limit) return { items, next: `${row.id}-${line}` };
    }
  }
  // As many rows as were asked for hold an entry each, but the entry may be another than the one that was meant.
  if (rows.length > limit) return { items, next: `${rows.at(-1)!.id}-0` };
  return { items, next: oldest === null ? null : `${oldest}-0` };
}

/** Number of the last sealed block; null: there is none. */
export async function latestBlock({ db }: OperatorServices): Promise<number | null> {
  const { rows } = await db.raw<{ rows: { number: string | null }[] }>(
    'select max(number) as number from log_blocks',
  );
  return rows[0]!.number === null ? null : Number(rows[0]!.number);
}

function cursorOf(after: string | undefined): { id: string; line: number } {
  if (after === undefined) return NEWEST;
  const [, id, line] = CURSOR.exec(after) ?? [];
  if (id === undefined) throw refuse('after: is no cursor of this list');
  return { id, line: Number(line) };
}

function refuse(problem: string): ConclaveError {
  return new ConclaveError('invalid_request', { problems: [problem] });
}

/**
 * Rows that hold all needles, from a row on (it may have entries left), newest first; and the id at which the search
 * stopped short of the beginning (null: it did not).
 */
async function rowsBefore(
  { db }: OperatorServices,
  from: string,
  needles: readonly string[],
  limit: number,
): Promise<{ oldest: string | null; rows: Row[] }> {
  const { rows: ends } = await db.raw<{ rows: { id: string }[] }>(
    'select id from log_entries where id <= ? order by id desc offset ? limit 1',
    [from, MAX_LOOKED_AT],
  );
  const oldest = ends[0]?.id ?? null;
  const { rows } = await db.raw<{ rows: Row[] }>(
    `select e.id, e.block, e.entries, (select coalesce(sum(o.count), 0) from log_entries o
         where o.block = e.block and (o.opens, -o.id) > (e.opens, -e.id)) as before
     from (select * from log_entries where id <= ? and id >= ?
       ${needles.map(() => 'and strpos(lower(entries), lower(?)) > 0').join(' ')}
       order by id desc limit ?) as e order by e.id desc`,
    [from, oldest ?? '0', ...needles, limit + 1],
  );
  return { oldest, rows };
}

/** What a row must hold, in the exact form in which entries are written (canonical JSON). */
function needlesOf(services: OperatorServices, { kind, peer, task, election, text }: AuditQuery): string[] {
  const needles: string[] = [];
  if (kind !== undefined) needles.push(`"kind":${JSON.stringify(kind)}`);
  if (peer !== undefined) needles.push(`"peer":${JSON.stringify(peerIdOf(services, peer))}`);
  if (task !== undefined) needles.push(`"task":${JSON.stringify(task).slice(0, -1)}`);
  if (election !== undefined) needles.push(`"election":${JSON.stringify(election)}`);
  if (text !== undefined) needles.push(JSON.stringify(text).slice(1, -1));
  return needles;
}

function peerIdOf({ peers }: OperatorServices, given: string): string {
  return peers.list().find(({ id, name }) => id === given || name === given)?.id ?? given;
}

function filterOf(services: OperatorServices, query: AuditQuery): (entry: LogEntry) => boolean {
  const { kind, task, election } = query;
  const peer = query.peer === undefined ? undefined : peerIdOf(services, query.peer);
  const text = query.text === undefined ? undefined : JSON.stringify(query.text).slice(1, -1).toLowerCase();
  const [since, until] = [query.since, query.until].map((date) =>
    date === undefined ? undefined : Date.parse(date),
  );
  return (entry) => {
    const at = Date.parse(entry.date);
    return (
      (kind === undefined || entry.kind === kind) &&
      (peer === undefined || entry.peer === peer) &&
      (task === undefined || String(entry.task ?? '').startsWith(task)) &&
      (election === undefined || entry.election === election) &&
      (text === undefined || JSON.stringify(entry).toLowerCase().includes(text)) &&
      (since === undefined || at >= since) &&
      (until === undefined || at <= until)
    );
  };
}

function viewOf(services: OperatorServices, entry: LogEntry, row: Row, line: number): AuditEntryView {
  const { kind, date } = entry;
  const place = row.block === null ? null : { block: Number(row.block), entry: Number(row.before) + line };
  return { place, date, kind, summary: summaryOf(services, entry), entry: entry as unknown as Json };
}

/** Who did what, then the rest as it is. */
function summaryOf({ peers }: OperatorServices, entry: LogEntry): string {
  const { kind, date: _date, by, peer, action, queue, task, digest: _digest, ...rest } = entry;
  const parts: string[] = [kind.replaceAll('_', ' ')];
  if (by !== undefined) parts.push(`by ${String(by)}`);
  if (action !== undefined) parts.push(`${String(action)}${queue === undefined ? '' : `.${String(queue)}`}`);
  if (typeof peer === 'string') parts.push(`peer ${peers.byId(peer)?.name ?? peer}`);
  if (typeof task === 'string') parts.push(`task ${task.slice(0, 8)}`);
  for (const [name, value] of Object.entries(rest))
    parts.push(`${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const text = parts.join(', ');
  return text.length > 400 ? `${text.slice(0, 399)}…` : text;
}
