/**
 * Exports as files: written line by line and signed at the end, read line by line with a bound for each. Never holds
 * more than a line, and never leaves half an export under the name of a whole one.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, link, open, rm } from 'node:fs/promises';
import type { Signer } from './block.ts';
import {
  type ExportRecord,
  endStatement,
  MAX_LINE_BYTES,
  parseRecord,
  recordLine,
  UnusableExport,
} from './export-format.ts';

const BUFFERED_CHARACTERS = 256 * 1024;

/**
 * Writes an export, readable by its owner alone.
 * @param records without the end, which is made here
 * @returns how many lines it has
 * @throws Error `EEXIST` when there is a file already
 */
export async function writeExport(
  path: string,
  node: string,
  records: AsyncIterable<ExportRecord>,
  signer: Signer,
): Promise<number> {
  const temporary = `${path}.${process.pid}.part`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    const lines = await writeLines(file, node, records, signer);
    await file.sync();
    await file.close();
    await link(temporary, path);
    return lines;
  } finally {
    await file.close().catch(() => {});
    await rm(temporary, { force: true });
  }
}

async function writeLines(
  file: FileHandle,
  node: string,
  records: AsyncIterable<ExportRecord>,
  signer: Signer,
): Promise<number> {
  const hash = createHash('sha256');
  let [lines, buffered] = [0, ''];
  const flush = async (): Promise<void> => {
    await file.appendFile(buffered);
    buffered = '';
  };
  for await (const record of records) {
    const line = recordLine(record);
    if (Buffer.byteLength(line) > MAX_LINE_BYTES)
      throw new RangeError('a message is too large for an export');
    hash.update(line);
    buffered += line;
    lines += 1;
    if (buffered.length > BUFFERED_CHARACTERS) await flush();
  }
  const sealed = { lines, sha256: hash.digest('hex') };
  const signature = signer.sign(endStatement(node, sealed)).toString('base64');
  buffered += recordLine({ type: 'end', ...sealed, certificate: signer.certificate, signature });
  await flush();
  return lines + 1;
}

/** A record, and the hash over all lines before it. */
export interface ReadRecord {
  readonly record: ExportRecord;
  /** Only for an end. */
  readonly before?: { readonly lines: number; readonly sha256: string };
}

/**
 * The records of a file. It ends early, without an error, where the file ends within a line.
 * @throws UnusableExport for what is no record, or too long
 */
export async function* readExport(path: string): AsyncGenerator<ReadRecord> {
  const hash = createHash('sha256');
  let lines = 0;
  for await (const line of linesOf(path)) {
    const record = parseRecord(line.subarray(0, -1), `line ${lines + 1}`);
    yield record.type === 'end'
      ? { record, before: { lines, sha256: hash.copy().digest('hex') } }
      : { record };
    hash.update(line);
    lines += 1;
  }
}

/** With their newlines; what follows the last newline is left out. */
async function* linesOf(path: string): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let held = 0;
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = piece.indexOf(10); at !== -1; at = piece.indexOf(10, from)) {
      const rest = piece.subarray(from, at + 1);
      yield pieces.length === 0 ? rest : Buffer.concat([...pieces, rest]);
      [pieces, held, from] = [[], 0, at + 1];
    }
    if (from < piece.length) pieces.push(piece.subarray(from));
    held += piece.length - from;
    if (held > MAX_LINE_BYTES) throw new UnusableExport(`it has a line of more than ${MAX_LINE_BYTES} bytes`);
  }
}
