/** `conclave log show`: the newest entries of this node's log, by filters; those that wait to be sealed among them. */
import type { LogEntry } from '../audit/entries.ts';
import { ElectionEntries, readBlocks, readEntry } from '../store/audit-export.ts';
import type { Database } from '../store/database.ts';
import { listPeers } from '../store/peers.ts';
import { type GlobalOptions, withDatabase } from './node-access.ts';
import { UsageError } from './outcome.ts';
import { shortened, table, tableDate } from './table.ts';
import type { Terminal } from './terminal.ts';

export interface LogShowOptions extends GlobalOptions {
  kind?: string;
  peer?: string;
  task?: string;
  election?: string;
  since?: string;
  until?: string;
  limit: number;
}

interface Shown {
  /** `block/position`; null: not sealed yet. */
  readonly place: string | null;
  readonly entry: LogEntry;
}

const PLAIN_COLUMNS = 56;
const LEAST_COLUMNS = 20;
const DEFAULT_COLUMNS = 120;

export async function showLog(options: LogShowOptions, terminal: Terminal): Promise<void> {
  if (options.limit < 1) throw new UsageError('--limit must be at least 1');
  await withDatabase(options, terminal, async (database) => {
    const peers = new Map((await listPeers(database.knex)).map(({ id, name }) => [id, name]));
    const entries = await newest(database, options, peers);
    if (options.json) return terminal.out(JSON.stringify(entries, null, 2));
    const columns = Number(terminal.environment.COLUMNS) || process.stdout.columns || DEFAULT_COLUMNS;
    const room = Math.max(LEAST_COLUMNS, columns - PLAIN_COLUMNS);
    const rows = entries.map(({ place, entry }) => [
      tableDate(new Date(entry.date)).slice(0, 19),
      place ?? 'not sealed',
      shortened(entry.kind, 14),
      shortened(describe(entry, peers), room),
    ]);
    terminal.out(table(['date', 'place', 'kind', 'what'], rows));
  });
}

/** The last ones that fit, in their order. Keeps no more than these. */
async function newest(
  { knex }: Database,
  options: LogShowOptions,
  peers: ReadonlyMap<string, string>,
): Promise<Shown[]> {
  const [since, until] = [dateOf('--since', options.since), dateOf('--until', options.until)];
  const election = options.election === undefined ? null : new ElectionEntries(knex, options.election);
  await election?.load();
  const kept: Shown[] = [];
  const take = (entry: LogEntry | null, place: string | null): void => {
    // The election's is asked first, and always: it learns from each entry.
    if (entry === null || (election !== null && !election.names(entry))) return;
    const at = Date.parse(entry.date);
    const fits =
      (options.kind === undefined || entry.kind === options.kind) &&
      (options.peer === undefined ||
        entry.peer === options.peer ||
        peers.get(String(entry.peer)) === options.peer) &&
      (options.task === undefined || String(entry.task ?? '').startsWith(options.task)) &&
      (since === null || at >= since) &&
      (until === null || at <= until);
    if (!fits) return;
    kept.push({ place, entry });
    if (kept.length > options.limit) kept.shift();
  };
  const { rows } = await knex.raw<{ rows: { from: string | null; to: string | null }[] }>(
    `select min(number) as from, max(number) as to from log_blocks where date >= coalesce(cast(? as timestamptz), date)`,
    [since === null || election !== null ? null : new Date(since)],
  );
  const { from, to } = rows[0]!;
  for await (const { number, lines } of readBlocks(knex, Number(from ?? 1), Number(to ?? 0)))
    for (const [at, line] of lines.entries()) take(readEntry(line), `${number}/${at}`);
  const waiting = await knex.raw<{ rows: { entries: string }[] }>(
    'select entries from log_entries where block is null order by id',
  );
  for (const { entries } of waiting.rows) for (const line of entries.split('\n')) take(readEntry(line), null);
  return kept;
}

function dateOf(option: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const date = Date.parse(text);
  if (Number.isNaN(date)) throw new UsageError(`${option}: ${text} is no date; write 2026-11-30T12:00:00Z`);
  return date;
}

/** Who did what, then the rest as it is. */
function describe(entry: LogEntry, peers: ReadonlyMap<string, string>): string {
  const { kind: _kind, date: _date, by, peer, action, queue, task, digest: _digest, ...rest } = entry;
  const parts: string[] = [];
  if (by !== undefined) parts.push(`by ${String(by)}`);
  if (action !== undefined) parts.push(`${String(action)}.${String(queue)}`);
  if (peer !== undefined) parts.push(`peer ${peers.get(String(peer)) ?? String(peer)}`);
  if (typeof task === 'string') parts.push(`task ${task.slice(0, 8)}`);
  for (const [name, value] of Object.entries(rest))
    parts.push(`${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return parts.join(', ');
}
