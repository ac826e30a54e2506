/**
 * The 512-byte headers of tar archives (POSIX ustar), written in exactly one way and read strictly.
 *
 * Both directions are ours because both are matters of security: a published archive must not change with a library's
 * version, and an archive from elsewhere may use nothing but plain files and directories.
 */
export const BLOCK = 512;

/** EO-39: fixed, so that every authority writes the same bytes. */
export const FIXED_MTIME = 1_394_060_400;
const FIXED_UID = 1000;
const FIXED_GID = 100;

export interface TarEntry {
  /** Relative, with `/`; that of a directory does not end in one. */
  name: string;
  type: 'file' | 'directory';
  /** In bytes; 0 for directories. */
  size: number;
}

/** Why an archive is not accepted, or cannot be written; the message names the entry. */
export class ArchiveRefused extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'ArchiveRefused';
  }
}

// Where the fields of a header begin, and how long they are.
const NAME = [0, 100] as const;
const MODE = [100, 8] as const;
const UID = [108, 8] as const;
const GID = [116, 8] as const;
const SIZE = [124, 12] as const;
const MTIME = [136, 12] as const;
const CHECKSUM = [148, 8] as const;
const TYPE = 156;
const MAGIC = [257, 8] as const;
const PREFIX = [345, 155] as const;

const USTAR = 'ustar\x0000';
const GNU = 'ustar  \x00';
/** Eleven octal digits; beyond, GNU and POSIX readers understand a number in base 256. */
const MAX_OCTAL_SIZE = 8 ** 11 - 1;

/** The header of an entry (EO-39): mode 644 or 755, fixed owner and time, no names of users. */
export function writeHeader({ name, type, size }: TarEntry): Buffer {
  const header = Buffer.alloc(BLOCK);
  const [prefix, rest] = splitName(type === 'directory' ? `${name}/` : name);
  header.write(rest, NAME[0], 'utf8');
  header.write(prefix, PREFIX[0], 'utf8');
  writeOctal(header, MODE, type === 'directory' ? 0o755 : 0o644);
  writeOctal(header, UID, FIXED_UID);
  writeOctal(header, GID, FIXED_GID);
  writeSize(header, size);
  writeOctal(header, MTIME, FIXED_MTIME);
  header.write(type === 'directory' ? '5' : '0', TYPE, 'latin1');
  header.write(USTAR, MAGIC[0], 'latin1');
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, CHECKSUM[0], 'latin1');
  return header;
}

/**
 * The entry that a header describes; undefined for a block of zeros, which ends an archive. Throws `ArchiveRefused` for
 * everything but plain files and directories with safe names: links, devices, extended headers, paths that lead out.
 */
export function readHeader(header: Uint8Array): TarEntry | undefined {
  if (header.every((byte) => byte === 0)) return undefined;
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  const magic = bytes.toString('latin1', MAGIC[0], MAGIC[0] + MAGIC[1]);
  if (magic !== USTAR && magic !== GNU) throw new ArchiveRefused('it is not a tar archive (ustar)');
  if (readOctal(bytes, CHECKSUM) !== checksum(bytes))
    throw new ArchiveRefused('a header has a wrong checksum');
  const prefix = magic === USTAR ? readText(bytes, PREFIX) : '';
  const full = prefix === '' ? readText(bytes, NAME) : `${prefix}/${readText(bytes, NAME)}`;
  const type = bytes.toString('latin1', TYPE, TYPE + 1);
  if (!['0', '\0', '5'].includes(type)) {
    throw new ArchiveRefused(`${quote(full)} is neither a plain file nor a directory (type ${quote(type)})`);
  }
  const directory = type === '5';
  const name = full.endsWith('/') ? full.slice(0, -1) : full;
  if (full.endsWith('/') && !directory)
    throw new ArchiveRefused(`the file ${quote(full)} is named as a directory`);
  checkName(name);
  const size = readSize(bytes);
  if (directory && size !== 0) throw new ArchiveRefused(`the directory ${quote(name)} has content`);
  return { name, type: directory ? 'directory' : 'file', size };
}

/** The zeros that follow content, up to the next block. */
export function paddingOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/**
 * Throws `ArchiveRefused` unless a name is relative, plain, and means the same on every file system: no `.`, `..`, empty
 * parts, backslashes, colons, control or invisible characters.
 */
export function checkName(name: string): void {
  const refuse = (why: string): ArchiveRefused => new ArchiveRefused(`the name ${quote(name)} ${why}`);
  if (name === '') throw new ArchiveRefused('an entry has no name');
  if (Buffer.byteLength(name) > 255) throw refuse('is longer than 255 bytes');
  if (name.startsWith('/')) throw refuse('is absolute');
  if (/[\\:]|[\p{C}\p{Default_Ignorable_Code_Point}]/u.test(name) || name !== name.normalize('NFC')) {
    throw refuse('has characters that file systems read differently');
  }
  for (const part of name.split('/')) {
    if (part === '' || part === '.' || part === '..') throw refuse('does not stay below its directory');
    if (part !== part.trim() || part.endsWith('.')) throw refuse('has a part that some file systems shorten');
  }
}

/** A short quotation of something that a stranger wrote, safe to print. */
export function quote(text: string): string {
  const safe = JSON.stringify(text.slice(0, 80)).replace(/(?! )[\p{C}\p{Z}]/gu, '?');
  return text.length > 80 ? `${safe.slice(0, -1)}…"` : safe;
}

/** Names longer than 100 bytes are cut at a `/` into prefix and name. */
function splitName(name: string): [prefix: string, name: string] {
  if (Buffer.byteLength(name) <= NAME[1]) return ['', name];
  for (let at = name.indexOf('/'); at > 0 && at < name.length - 1; at = name.indexOf('/', at + 1)) {
    const [prefix, rest] = [name.slice(0, at), name.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= PREFIX[1] && Buffer.byteLength(rest) <= NAME[1]) return [prefix, rest];
  }
  throw new ArchiveRefused(`the name ${quote(name)} is too long for a tar archive`);
}

function writeOctal(header: Buffer, [at, length]: readonly [number, number], value: number): void {
  header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
}

function writeSize(header: Buffer, size: number): void {
  if (size <= MAX_OCTAL_SIZE) {
    writeOctal(header, SIZE, size);
  } else {
    header[SIZE[0]] = 0x80;
    header.writeBigUInt64BE(BigInt(size), SIZE[0] + 4);
  }
}

function readSize(header: Buffer): number {
  const [at, length] = SIZE;
  if (header[at] !== 0x80) return readOctal(header, SIZE);
  const high = header.subarray(at + 1, at + length - 8);
  const size = header.readBigUInt64BE(at + length - 8);
  if (high.some((byte) => byte !== 0) || size > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ArchiveRefused('a header has a size that no file has');
  }
  return Number(size);
}

function readOctal(header: Buffer, field: readonly [number, number]): number {
  const text = header.toString('latin1', field[0], field[0] + field[1]);
  const digits = /^ *([0-7]+)[ \0]*$/.exec(text)?.[1];
  if (digits === undefined) throw new ArchiveRefused('a header has a number that is not octal');
  return Number.parseInt(digits, 8);
}

function readText(header: Buffer, [at, length]: readonly [number, number]): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  const bytes = end < 0 ? field : field.subarray(0, end);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ArchiveRefused('a header has a name that is not UTF-8');
  }
}

/** The sum of the header's bytes, with spaces in the place of the sum itself. */
function checksum(header: Uint8Array): number {
  let sum = 0;
  for (const [at, byte] of header.entries()) {
    sum += at >= CHECKSUM[0] && at < CHECKSUM[0] + CHECKSUM[1] ? 0x20 : byte;
  }
  return sum;
}
