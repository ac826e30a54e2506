/**
 * Unpacks a `.tar.gz` that somebody else made, into a directory that is new (EO-9, and the verifier). The original
 * extracted without looking at paths (EO 1B.6): here an archive writes nothing but plain files below that directory, no
 * name twice, and no more than the limits say, however small it arrives. What was written is removed after an error.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

import { ArchiveRefused, BLOCK, paddingOf, quote, readHeader, type TarEntry } from './tar-format.ts';

export interface ExtractLimits {
  /** Of the archive itself, compressed. */
  maxArchiveBytes: number;
  /** Of everything unpacked, headers included. */
  maxTotalBytes: number;
  maxFileBytes: number;
  maxEntries: number;
}

export const DEFAULT_EXTRACT_LIMITS: Readonly<ExtractLimits> = {
  maxArchiveBytes: 64 * 2 ** 30,
  maxTotalBytes: 128 * 2 ** 30,
  maxFileBytes: 64 * 2 ** 30,
  maxEntries: 10_000,
};

export interface ExtractOptions {
  limits?: Partial<ExtractLimits>;
  /** Which entries there may be at all; for example only `<session>/privInfo.xml`. All by default. */
  allow?: (entry: TarEntry) => boolean;
  /** Of the files written: 0600 for secrets (the default is 0644). */
  fileMode?: number;
  signal?: AbortSignal;
}

export interface Extracted {
  /** In the order of the archive; directories that have no entry of their own are not listed. */
  entries: TarEntry[];
  /** Of the archive's bytes as they arrived. */
  sha256: Buffer;
  bytes: number;
}

/**
 * Unpacks `archive` (a path, or a stream of its bytes) into `directory`, which must not exist. Throws `ArchiveRefused`
 * with the entry and the reason; then the directory does not exist either.
 */
export async function extractTarball(
  archive: string | Readable,
  directory: string,
  options: ExtractOptions = {},
): Promise<Extracted> {
  const limits = { ...DEFAULT_EXTRACT_LIMITS, ...options.limits };
  // A source may fail before anybody reads it; the pipeline then says so.
  if (typeof archive !== 'string') archive.on('error', () => {});
  await mkdir(directory, { mode: options.fileMode === 0o600 ? 0o700 : 0o755 });
  const unpacker = new Unpacker(directory, limits, options);
  const counter = new ArchiveBytes(limits.maxArchiveBytes);
  const gunzip = createGunzip();
  const source = typeof archive === 'string' ? createReadStream(archive) : archive;
  try {
    await pipeline(
      source,
      counter,
      gunzip,
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) await unpacker.take(chunk);
      },
      { signal: options.signal },
    );
    // The decompressor stops at the end of its stream and does not mind what follows.
    if (gunzip.bytesWritten !== counter.bytes)
      throw new ArchiveRefused('something follows the end of the archive');
    unpacker.end();
  } catch (reason) {
    await unpacker.close();
    await rm(directory, { recursive: true, force: true });
    throw isZlibError(reason)
      ? new ArchiveRefused(`it is not a complete gzip file (${reason.message})`)
      : reason;
  }
  return { entries: unpacker.entries, sha256: counter.digest(), bytes: counter.bytes };
}

function isZlibError(reason: unknown): reason is Error {
  const code = reason instanceof Error && 'code' in reason ? reason.code : undefined;
  return typeof code === 'string' && code.startsWith('Z_');
}

/** Counts and hashes the archive as it arrives. */
class ArchiveBytes extends Transform {
  readonly #hash = createHash('sha256');
  readonly #max: number;
  bytes = 0;

  constructor(max: number) {
    super();
    this.#max = max;
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error: Error | null, chunk?: Buffer) => void,
  ) {
    this.bytes += chunk.length;
    if (this.bytes > this.#max) return done(new ArchiveRefused(`it is larger than ${this.#max} bytes`));
    this.#hash.update(chunk);
    done(null, chunk);
  }

  digest(): Buffer {
    return this.#hash.digest();
  }
}

/** Where in the archive the next byte belongs. */
type Place =
  | { in: 'header' }
  | { in: 'content'; left: number; padding: number }
  | { in: 'padding'; left: number }
  | { in: 'end' };

class Unpacker {
  readonly entries: TarEntry[] = [];
  readonly #directory: string;
  readonly #limits: ExtractLimits;
  readonly #options: ExtractOptions;
  /** Names as file systems that ignore case compare them, and what they are. */
  readonly #names = new Map<string, { name: string; type: TarEntry['type']; listed: boolean }>();
  #place: Place = { in: 'header' };
  #header = Buffer.alloc(0);
  #zeroBlocks = 0;
  #total = 0;
  #file: FileHandle | undefined;

  constructor(directory: string, limits: ExtractLimits, options: ExtractOptions) {
    this.#directory = directory;
    this.#limits = limits;
    this.#options = options;
  }

  async take(chunk: Buffer): Promise<void> {
    this.#total += chunk.length;
    if (this.#total > this.#limits.maxTotalBytes) {
      throw new ArchiveRefused(`it unpacks to more than ${this.#limits.maxTotalBytes} bytes`);
    }
    for (let rest = chunk; rest.length > 0; ) rest = await this.#step(rest);
  }

  /** Throws unless the archive is complete. */
  end(): void {
    if (this.#place.in !== 'end') throw new ArchiveRefused('it ends in the middle');
  }

  async close(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
  }

  /** Takes some bytes from the beginning of `rest` and answers the others. */
  async #step(rest: Buffer): Promise<Buffer> {
    const place = this.#place;
    if (place.in === 'header') return this.#takeHeader(rest);
    if (place.in === 'content') return this.#takeContent(rest, place);
    const part = place.in === 'end' ? rest : rest.subarray(0, place.left);
    if (part.some((byte) => byte !== 0)) throw new ArchiveRefused('it has data where there must be zeros');
    if (place.in === 'padding') this.#pad(place.left - part.length);
    return rest.subarray(part.length);
  }

  async #takeHeader(rest: Buffer): Promise<Buffer> {
    const part = rest.subarray(0, BLOCK - this.#header.length);
    this.#header = Buffer.concat([this.#header, part]);
    if (this.#header.length === BLOCK) {
      const entry = readHeader(this.#header);
      this.#header = Buffer.alloc(0);
      if (entry === undefined) {
        this.#zeroBlocks += 1;
        if (this.#zeroBlocks === 2) this.#place = { in: 'end' };
      } else if (this.#zeroBlocks > 0) throw new ArchiveRefused('an entry follows the end of the archive');
      else await this.#open(entry);
    }
    return rest.subarray(part.length);
  }

  async #takeContent(rest: Buffer, place: { left: number; padding: number }): Promise<Buffer> {
    const part = rest.subarray(0, place.left);
    await this.#file!.writeFile(part);
    if (part.length === place.left) await this.#closeFile(place.padding);
    else this.#place = { in: 'content', left: place.left - part.length, padding: place.padding };
    return rest.subarray(part.length);
  }

  #pad(left: number): void {
    this.#place = left === 0 ? { in: 'header' } : { in: 'padding', left };
  }

  async #open(entry: TarEntry): Promise<void> {
    const { name, type, size } = entry;
    const { maxEntries, maxFileBytes } = this.#limits;
    if (this.entries.length >= maxEntries) throw new ArchiveRefused(`it has more than ${maxEntries} entries`);
    if (size > maxFileBytes)
      throw new ArchiveRefused(`the file ${quote(name)} is larger than ${maxFileBytes} bytes`);
    if (this.#options.allow?.(entry) === false)
      throw new ArchiveRefused(`${quote(name)} does not belong in this archive`);
    this.#register(entry);
    this.entries.push(entry);
    const path = join(this.#directory, ...name.split('/'));
    const secret = this.#options.fileMode === 0o600;
    await mkdir(type === 'directory' ? path : dirname(path), {
      recursive: true,
      mode: secret ? 0o700 : 0o755,
    });
    if (type === 'directory') return;
    // Exclusive: nothing that exists is followed or overwritten, whatever the names above have missed.
    this.#file = await open(path, 'wx', this.#options.fileMode ?? 0o644);
    if (size === 0) await this.#closeFile(0);
    else this.#place = { in: 'content', left: size, padding: paddingOf(size) };
  }

  /** Refuses a name that is there already, also in other letters, and a file where a directory is or must be. */
  #register({ name, type }: TarEntry): void {
    const parts = name.split('/');
    for (let length = 1; length <= parts.length; length += 1) {
      const part = parts.slice(0, length).join('/');
      const own = length === parts.length;
      const key = part.normalize('NFKC').toLowerCase().normalize('NFKC');
      const before = this.#names.get(key);
      const partType = own ? type : 'directory';
      if (before !== undefined && before.name !== part) {
        throw new ArchiveRefused(
          `${quote(before.name)} and ${quote(part)} are one name to some file systems`,
        );
      }
      // A directory may be implied by what is below it before or after it is listed; everything else comes once.
      if (
        before !== undefined &&
        (before.type !== partType || partType === 'file' || (own && before.listed))
      ) {
        throw new ArchiveRefused(`there are two entries ${quote(part)}`);
      }
      this.#names.set(key, { name: part, type: partType, listed: own || before?.listed === true });
    }
  }

  async #closeFile(padding: number): Promise<void> {
    const file = this.#file!;
    this.#file = undefined;
    await file.sync();
    await file.close();
    this.#pad(padding);
  }
}
