/**
 * Writes `tally.tar.gz` and `private_keys.tar.gz` (EO-39, EO-50): from files on disk to a file on disk, bit for bit the
 * same on every machine that has the same contents, and never whole in memory. Reading is in `tar-extract.ts`.
 *
 * Fixed: owner 1000:100 without names, modes 755 and 644, time 1394060400 (in the gzip header too), members sorted
 * by the bytes of their names, a header for each directory, two zero blocks at the end.
 */
import { createHash } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { type FileHandle, lstat, open, readdir, rename, rm } from 'node:fs/promises';
import { join, posix } from 'node:path';

import { compareCodePoints } from './canonical.ts';
import { gzipStored } from './gzip-stored.ts';
import { urlSafeBase64 } from './hash.ts';
import { ArchiveRefused, BLOCK, checkName, paddingOf, quote, writeHeader } from './tar-format.ts';

/** A member: a file or directory on disk (a directory with all that is below it), or bytes, under a name in the archive. */
export type TarballMember = { name: string; path: string } | { name: string; bytes: Uint8Array };

export interface WrittenTarball {
  /** Of the file. */
  bytes: number;
  sha256: Buffer;
}

type Source = { type: 'directory' } | { type: 'file'; path: string } | { type: 'file'; bytes: Uint8Array };

const READ_BYTES = 1 << 18;

/**
 * Writes the archive to `path`, durably, through `<path>.part`. Throws `ArchiveRefused` for names that no archive of ours
 * may have, and for links and devices among the sources.
 */
export async function writeTarball(
  path: string,
  members: readonly TarballMember[],
  signal?: AbortSignal,
): Promise<WrittenTarball> {
  const sources = await collect(members);
  const part = `${path}.part`;
  const file = await open(part, 'w', 0o644);
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of gzipStored(tarBytes(sources, signal))) {
      signal?.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.length;
      await file.writeFile(chunk);
    }
    await file.sync();
    await file.close();
    await rename(part, path);
    return { bytes, sha256: hash.digest() };
  } catch (reason) {
    await file.close().catch(() => undefined);
    await rm(part, { force: true });
    throw reason;
  }
}

/** `tally.tar.gz.sha256` (EO-40): URL-safe base64 with padding, and no newline. */
export function hashFileText({ sha256 }: Pick<WrittenTarball, 'sha256'>): string {
  return urlSafeBase64(sha256);
}

/** Every entry by its name, in order, with the directories above it. */
async function collect(members: readonly TarballMember[]): Promise<Map<string, Source>> {
  const found = new Map<string, Source>();
  for (const member of members) {
    checkName(member.name);
    for (let above = posix.dirname(member.name); above !== '.'; above = posix.dirname(above)) {
      if (found.get(above)?.type === 'file')
        throw new ArchiveRefused(`${quote(above)} is both a file and a directory`);
      found.set(above, { type: 'directory' });
    }
    if ('bytes' in member) addSource(found, member.name, { type: 'file', bytes: member.bytes });
    else await addPath(found, member.name, member.path);
  }
  return new Map([...found].sort(([left], [right]) => compareCodePoints(left, right)));
}

async function addPath(found: Map<string, Source>, name: string, path: string): Promise<void> {
  const status = await lstat(path);
  if (status.isFile()) return addSource(found, name, { type: 'file', path });
  if (!status.isDirectory())
    throw new ArchiveRefused(`${quote(path)} is neither a plain file nor a directory`);
  addSource(found, name, { type: 'directory' });
  for (const entry of await readdir(path, { withFileTypes: true })) await addEntry(found, name, path, entry);
}

async function addEntry(
  found: Map<string, Source>,
  name: string,
  path: string,
  entry: Dirent,
): Promise<void> {
  const entryName = `${name}/${entry.name}`;
  checkName(entryName);
  await addPath(found, entryName, join(path, entry.name));
}

function addSource(found: Map<string, Source>, name: string, source: Source): void {
  const before = found.get(name);
  if (before !== undefined && (before.type === 'file' || source.type === 'file')) {
    throw new ArchiveRefused(`there are two members ${quote(name)}`);
  }
  found.set(name, source);
}

async function* tarBytes(
  sources: ReadonlyMap<string, Source>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const [name, source] of sources) {
    signal?.throwIfAborted();
    if (source.type === 'directory') yield writeHeader({ name, type: 'directory', size: 0 });
    else if ('bytes' in source) {
      yield writeHeader({ name, type: 'file', size: source.bytes.length });
      yield source.bytes;
      yield Buffer.alloc(paddingOf(source.bytes.length));
    } else yield* fileEntry(name, source.path);
  }
  yield Buffer.alloc(2 * BLOCK);
}

async function* fileEntry(name: string, path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    yield writeHeader({ name, type: 'file', size });
    yield* exactly(file, size, path);
    yield Buffer.alloc(paddingOf(size));
  } finally {
    await file.close();
  }
}

/** The file's bytes; an error when it has other than `size` of them by the time they are read. */
async function* exactly(file: FileHandle, size: number, path: string): AsyncGenerator<Uint8Array> {
  let left = size;
  while (left > 0) {
    // A fresh buffer each time: whoever takes the chunk may still hold the one before.
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(Math.min(READ_BYTES, left)));
    if (bytesRead === 0) throw new ArchiveRefused(`${quote(path)} became shorter while it was read`);
    left -= bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
  const { bytesRead } = await file.read(Buffer.alloc(1));
  if (bytesRead > 0) throw new ArchiveRefused(`${quote(path)} became longer while it was read`);
}
