/**
 * Where a proof directory's files are: in memory or on disk, by their names relative to the directory, synchronous
 * because all of it runs in a worker thread. Nothing outside the directory can be named.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { serialise, type Tree } from '../byte-tree/tree.ts';
import { Refusal } from '../refusal.ts';

export interface ProofFiles {
  /** Refuses with `file-missing`, or `file-too-large` above `limit` octets, before anything is read. */
  read(name: string, limit?: number): Uint8Array;
  /** Octets of the file; refuses with `file-missing`. */
  size(name: string): number;
  /** A tree is written piece by piece, so that its octets are never in memory at once. */
  write(name: string, content: Uint8Array | Tree): void;
  has(name: string): boolean;
  remove(name: string): void;
  /** All names, sorted. */
  list(): string[];
}

/** No file of a proof is larger; a list of a million wide ciphertexts is well below. */
export const maximalFileLength = 2 ** 31 - 1;

const namePattern = /^(?:[A-Za-z0-9_]+\/)?[A-Za-z0-9_]+(?:\.bt)?$/;

export function checkFileName(name: string): void {
  if (name.length > 200 || !namePattern.test(name)) {
    throw new Refusal('file-name-invalid', 'a proof directory has no file of this name');
  }
}

function checkSize(name: string, size: number, limit: number): void {
  if (size <= limit) return;
  throw new Refusal('file-too-large', `${name} has ${size} octets, more than ${limit}`);
}

export class MemoryProofFiles implements ProofFiles {
  readonly #files = new Map<string, Uint8Array>();

  read(name: string, limit = maximalFileLength): Uint8Array {
    const found = this.#files.get(name);
    if (found === undefined) throw new Refusal('file-missing', `${name} is missing`);
    checkSize(name, found.length, limit);
    return found;
  }

  size(name: string): number {
    return this.read(name).length;
  }

  write(name: string, content: Uint8Array | Tree): void {
    checkFileName(name);
    this.#files.set(name, typeof content === 'function' ? serialise(content) : content);
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  remove(name: string): void {
    this.#files.delete(name);
  }

  list(): string[] {
    return [...this.#files.keys()].sort();
  }
}

/** Small pieces are collected, large ones written as they are. */
class FileSink {
  readonly #file: number;
  readonly #collected = new Uint8Array(65_536);
  #length = 0;

  constructor(file: number) {
    this.#file = file;
  }

  write(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#collected.length) this.flush();
    if (bytes.length > this.#collected.length) writeAll(this.#file, bytes);
    else {
      this.#collected.set(bytes, this.#length);
      this.#length += bytes.length;
    }
  }

  flush(): void {
    writeAll(this.#file, this.#collected.subarray(0, this.#length));
    this.#length = 0;
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at);
}

export class DirectoryProofFiles implements ProofFiles {
  readonly #root: string;

  /** Made when the first file is written. */
  constructor(root: string) {
    this.#root = root;
  }

  read(name: string, limit = maximalFileLength): Uint8Array {
    checkSize(name, this.size(name), Math.min(limit, maximalFileLength));
    const octets = readFileSync(this.#path(name));
    return new Uint8Array(octets.buffer, octets.byteOffset, octets.length);
  }

  size(name: string): number {
    const status = lstatSync(this.#path(name), { throwIfNoEntry: false });
    if (status === undefined || !status.isFile()) throw new Refusal('file-missing', `${name} is missing`);
    return status.size;
  }

  /** Whole or not at all: written beside, flushed to disk, renamed. */
  write(name: string, content: Uint8Array | Tree): void {
    const path = this.#path(name);
    mkdirSync(dirname(path), { recursive: true });
    const partial = `${path}.partial`;
    const file = openSync(partial, 'w', 0o644);
    try {
      const sink = new FileSink(file);
      if (typeof content === 'function') content(sink);
      else sink.write(content);
      sink.flush();
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  }

  has(name: string): boolean {
    return existsSync(this.#path(name));
  }

  remove(name: string): void {
    rmSync(this.#path(name), { force: true });
  }

  /** Every entry that is not a directory, so that a foreign file is seen, whatever its name. */
  list(): string[] {
    if (!existsSync(this.#root)) return [];
    return readdirSync(this.#root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.#root.length).replace(/^\/+/, ''))
      .sort();
  }

  #path(name: string): string {
    checkFileName(name);
    return join(this.#root, name);
  }
}
