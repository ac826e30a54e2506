/**
 * The format of an export of a node's log (D24): JSON Lines, each line canonical, so that there is one text for what it
 * says. A header, the blocks, each with its entries and what is kept of its messages, heads of peers, and an end with a
 * signature over all that comes before it. Described in `docs/audit-trail.md`. Pure; believes nothing.
 */
import { z } from 'zod';
import { JsonRefused, MAX_JSON_DEPTH, parseJson } from '../json.ts';
import { canonicalJson } from './canonical.ts';
import { MAX_ENTRY_BYTES } from './entries.ts';

export const EXPORT_FORMAT = 'conclave-log-export-1';
/** Of a line in bytes: no message is larger than what a node takes. */
export const MAX_LINE_BYTES = 128 * 1024 * 1024;
/** In one block; a sealer makes blocks of about a thousand. */
export const MAX_BLOCK_ENTRIES = 100_000;

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const number = z.int().min(0);
const text = (most: number) => z.string().max(most);
const date = z.iso.datetime({ precision: 3 });
const signature = text(2048);

const certificate = z.strictObject({ fingerprint: hex, pem: text(32 * 1024) });

const peer = z.strictObject({
  certificates: z.array(certificate).max(100),
  id: text(128),
  name: text(1024),
  url: text(1024).nullable(),
});

const header = z.strictObject({
  type: z.literal('header'),
  format: z.literal(EXPORT_FORMAT),
  /** Root URL of the node's queues. */
  node: text(1024),
  name: text(1024),
  /** When it was made. */
  exported: date,
  /** Number of the first block that is exported, and of the last; `to` 0: there are none. */
  from: z.int().min(1),
  to: number,
  /** Number of the last block that there was. */
  last: number,
  /** Id of the election whose entries alone are shown; null: all entries are. */
  election: text(256).nullable(),
  /** By which this node has signed. */
  certificates: z.array(certificate).max(1000),
  peers: z.array(peer).max(10_000),
});

const block = z.strictObject({
  type: z.literal('block'),
  number,
  hash: hex,
  header: text(8192),
  signature,
  /** Of all its entries, also of those that are not shown. */
  hashes: z.array(hex).max(MAX_BLOCK_ENTRIES),
});

const entry = z.strictObject({
  type: z.literal('entry'),
  /** Position in its block, from 0. */
  at: number,
  block: number,
  line: text(MAX_ENTRY_BYTES),
});

const content = z.strictObject({
  action: z.string(),
  async_data: z.record(z.string(), z.json()).nullable(),
  data: z.json(),
  expiration_date: date.nullable(),
  info_text: z.string().nullable(),
  message_id: z.string(),
  pingback_date: date.nullable(),
  queue: z.string(),
  sender_url: z.string(),
  task_id: z.string().nullable(),
});

const message = z.strictObject({
  type: z.literal('message'),
  /** Of the entry that it belongs to. */
  at: number,
  block: number,
  /** What `digest` of the entry is over. */
  content,
});

const head = z.strictObject({
  type: z.literal('head'),
  /** Who has signed it: id here, root URL. */
  peer: text(128),
  node: text(1024),
  number: z.int().min(1),
  hash: hex,
  certificate: hex,
  signature,
  pem: text(32 * 1024),
  first_seen: date,
  kept: z.enum(['latest', 'entered', 'fork']),
});

const end = z.strictObject({
  type: z.literal('end'),
  /** Lines before this one. */
  lines: number,
  /** Over the bytes of all lines before this one. */
  sha256: hex,
  certificate: hex,
  signature,
});

const record = z.discriminatedUnion('type', [header, block, entry, message, head, end]);

export type ExportRecord = z.infer<typeof record>;
export type ExportHeader = z.infer<typeof header>;
export type ExportBlock = z.infer<typeof block>;
export type ExportEntry = z.infer<typeof entry>;
export type ExportMessage = z.infer<typeof message>;
export type ExportHead = z.infer<typeof head>;
export type ExportEnd = z.infer<typeof end>;
export type MessageRecordContent = z.infer<typeof content>;

/** It is no export that could be checked: what is wrong with it, and where. */
export class UnusableExport extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = 'UnusableExport';
  }
}

export function recordLine(value: ExportRecord): string {
  return `${canonicalJson(value)}\n`;
}

/**
 * @param place which line it is, for the error
 * @throws UnusableExport
 */
export function parseRecord(line: Uint8Array, place: string): ExportRecord {
  const value = parsed(line, place);
  const result = record.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new UnusableExport(`${place}: ${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'not valid'}`);
  }
  // Else the same export would have several texts, and readers might differ in what they see.
  if (!Buffer.from(canonicalJson(value)).equals(line))
    throw new UnusableExport(`${place} is not canonical JSON`);
  return result.data;
}

function parsed(line: Uint8Array, place: string): unknown {
  try {
    return parseJson(line, MAX_JSON_DEPTH + 3);
  } catch (thrown) {
    if (!(thrown instanceof JsonRefused)) throw thrown;
    throw new UnusableExport(`${place} is not JSON: ${thrown.message}`);
  }
}

/** The bytes that the signature of an export's end is over. */
export function endStatement(node: string, { lines, sha256 }: Pick<ExportEnd, 'lines' | 'sha256'>): Buffer {
  return Buffer.from(`${EXPORT_FORMAT}\n${node}\n${lines}\n${sha256}\n`);
}
