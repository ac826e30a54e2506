/** Files of lines, read and written as streams: no line longer than a bound, never a whole file in memory. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename } from 'node:fs/promises';

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const WRITE_BYTES = 1 << 17;

export interface Line {
  /** From 1. */
  number: number;
  /** Without the line end; null when it is longer than allowed. Valid until the next line is asked for. */
  bytes: Uint8Array | null;
}

/** The lines of a file, whose ends are LF or CRLF; empty lines are passed over but numbered. */
export async function* readLines(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line> {
  let number = 0;
  let parts: Uint8Array[] = [];
  let held = 0;
  let tooLong = false;
  const finish = (tail: Uint8Array): Line | undefined => {
    number += 1;
    let bytes = parts.length === 0 ? tail : Buffer.concat([...parts, tail]);
    const long = tooLong || bytes.length > maxBytes + 1;
    [parts, held, tooLong] = [[], 0, false];
    if (long) return { number, bytes: null };
    if (bytes.at(-1) === RETURN) bytes = bytes.subarray(0, -1);
    if (bytes.length > maxBytes) return { number, bytes: null };
    return bytes.length === 0 ? undefined : { number, bytes };
  };
  for await (const chunk of source) {
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const line = finish(chunk.subarray(from, end));
      if (line !== undefined) yield line;
      from = end + 1;
    }
    const rest = chunk.subarray(from);
    if (rest.length === 0 || tooLong) continue;
    held += rest.length;
    // A line beyond the bound is not kept, only waited out.
    if (held > maxBytes + 1) [parts, tooLong] = [[], true];
    else parts.push(Uint8Array.from(rest));
  }
  if (held > 0) {
    const line = finish(new Uint8Array());
    if (line !== undefined) yield line;
  }
}

/** Writes lines to `<path>.part`; `commit` makes them durable under their name. */
export class LineWriter {
  readonly path: string;
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  #waiting: string[] = [];
  #waitingBytes = 0;
  #lines = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<LineWriter> {
    return new LineWriter(path, await open(`${path}.part`, 'w', 0o600));
  }

  get lines(): number {
    return this.#lines;
  }

  /** Adds a line. Await the answer: it is where the writer waits for the disk. */
  async write(line: string): Promise<void> {
    this.#lines += 1;
    this.#waiting.push(line, '\n');
    this.#waitingBytes += line.length + 1;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#flush();
  }

  /** Ends the file and gives it its name. Answers the SHA-256 of its bytes. */
  async commit(): Promise<Buffer> {
    await this.#flush();
    await this.#file.sync();
    await this.#file.close();
    await rename(`${this.path}.part`, this.path);
    return this.#hash.digest();
  }

  /** Ends a file that is not to have its name; its `.part` is left to be overwritten or removed. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#waiting.join(''));
    [this.#waiting, this.#waitingBytes] = [[], 0];
    this.#hash.update(bytes);
    await this.#file.writeFile(bytes);
  }
}
