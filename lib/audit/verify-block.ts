/**
 * Checks the entries and messages of one block against what was sealed (D24), and says what was done to them: entries
 * removed, inserted, edited or put into another order. Holds no more than one block's hashes. Pure.
 */
import { type Json, parseJson } from '../json.ts';
import { type BlockHeader, entriesHash, entryHash } from './block.ts';
import { canonicalJson } from './canonical.ts';
import { messageDigest } from './digest.ts';
import type { LogEntry } from './entries.ts';
import type { ExportBlock, ExportEntry, ExportMessage, MessageRecordContent } from './export-format.ts';
import type { FindingCode } from './verify-findings.ts';

export type Report = (code: FindingCode, text: string, place?: { entry?: number; message?: string }) => void;

export class BlockCheck {
  readonly #block: ExportBlock;
  readonly #header: BlockHeader | null;
  /** Entries of others than an election's may be left out of its export. */
  readonly #partial: boolean;
  readonly #report: Report;
  readonly #lines: { at: number; hash: string }[] = [];
  /** Of entries about messages: what their contents must have as digests. */
  readonly #digests = new Map<number, { digest: Json; message: Json }>();

  constructor(block: ExportBlock, header: BlockHeader | null, partial: boolean, report: Report) {
    this.#block = block;
    this.#header = header;
    this.#partial = partial;
    this.#report = report;
  }

  /** How many entries are shown. */
  get shown(): number {
    return this.#lines.length;
  }

  /** @returns the entry, when it is one */
  entry({ at, line }: ExportEntry): LogEntry | null {
    this.#lines.push({ at, hash: entryHash(line) });
    const entry = parseEntry(line);
    if (entry === null) {
      this.#report('edited_entry', 'it is no entry in canonical form', { entry: at });
      return null;
    }
    if (entry.kind === 'sent' || entry.kind === 'received')
      this.#digests.set(at, { digest: entry.digest ?? null, message: entry.message ?? null });
    return entry;
  }

  message({ at, content }: ExportMessage): void {
    const expected = this.#digests.get(at);
    const place = { entry: at, message: content.message_id };
    if (expected === undefined) this.#report('message_differs', 'it belongs to no entry of its block', place);
    else if (expected.message !== content.message_id)
      this.#report('message_differs', `the entry is about the message ${text(expected.message)}`, place);
    else if (contentDigest(content) !== expected.digest)
      this.#report('message_differs', 'it does not have the digest that was entered', place);
  }

  /** When all entries were given. */
  end(): void {
    const { hashes } = this.#block;
    const header = this.#header;
    if (header === null) return;
    const listed = entriesHash(hashes) === header.entries && hashes.length === header.count;
    if (listed) {
      this.#compare();
      return;
    }
    const own = this.#lines.map(({ hash }) => hash);
    if (!this.#partial && entriesHash(own) === header.entries) {
      this.#report('edited_block', 'its list of hashes is not that of its entries');
    } else if (own.length < header.count && !this.#partial) {
      this.#report('removed_entry', `it has ${own.length} entries; ${header.count} were sealed`);
    } else if (own.length > header.count) {
      this.#report('inserted_entry', `it has ${own.length} entries; ${header.count} were sealed`);
    } else this.#report('edited_entry', 'its entries, and the list of their hashes, are not those sealed');
  }

  /** The list is what was sealed: which entries are not? */
  #compare(): void {
    const { hashes } = this.#block;
    const wrong = this.#lines.filter(({ at, hash }) => hashes[at] !== hash);
    const order = this.#lines.every(({ at }, index) => index === 0 || this.#lines[index - 1]!.at < at);
    const left = new Map<string, number>();
    for (const hash of hashes) left.set(hash, (left.get(hash) ?? 0) + 1);
    const foreign: number[] = [];
    for (const { at, hash } of this.#lines) {
      const count = left.get(hash) ?? 0;
      if (count === 0) foreign.push(at);
      else left.set(hash, count - 1);
    }
    const missing = this.#partial ? 0 : [...left.values()].reduce((sum, count) => sum + count, 0);
    const edited = this.#partial
      ? foreign.filter((at) => at < hashes.length).length
      : Math.min(foreign.length, missing);
    foreign.forEach((at, index) => {
      const code = index < edited ? 'edited_entry' : 'inserted_entry';
      this.#report(code, 'this is not what was sealed', { entry: at });
    });
    for (let count = edited; count < missing; count += 1) {
      const at = hashes.findIndex((hash) => (left.get(hash) ?? 0) > 0);
      left.set(hashes[at]!, left.get(hashes[at]!)! - 1);
      this.#report('removed_entry', 'it is missing', { entry: at });
    }
    if (foreign.length === 0 && missing === 0 && (wrong.length > 0 || !order))
      this.#report('reordered_entry', 'it is not in the place where it was sealed', {
        entry: wrong[0]?.at ?? 0,
      });
  }
}

/** Null: it is none, or not in its one form. */
export function parseEntry(line: string): LogEntry | null {
  let value: Json;
  try {
    value = parseJson(Buffer.from(line));
  } catch {
    return null;
  }
  const isEntry =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    typeof value.kind === 'string' &&
    typeof value.date === 'string' &&
    canonicalJson(value) === line;
  return isEntry ? (value as LogEntry) : null;
}

function contentDigest(content: MessageRecordContent): string {
  return messageDigest(
    {
      action: content.action,
      asyncData: content.async_data as never,
      data: content.data as Json,
      expirationDate: content.expiration_date === null ? null : new Date(content.expiration_date),
      infoText: content.info_text,
      messageId: content.message_id,
      pingbackDate: content.pingback_date === null ? null : new Date(content.pingback_date),
      queue: content.queue,
      taskId: content.task_id,
    },
    content.sender_url,
  );
}

function text(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
