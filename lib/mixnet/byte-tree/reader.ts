/**
 * Byte trees, read: a strict cursor over one serialised tree (VF 1).
 *
 * The reader says what it expects; anything else is a `Refusal`. It never allocates by a length field: counts and
 * lengths are compared with the octets that are really there, since every child takes at least five.
 */
import { Refusal } from '../refusal.ts';

const headerLength = 5;

export class ByteTreeReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** `what` names the input in refusals, e.g. the file. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  /** Octets not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** Is the next tree a leaf? */
  peekLeaf(): boolean {
    return this.#bytes[this.#at] === 1;
  }

  /** Enters a node and returns its number of children, which must be `expected` if given. */
  node(expected?: number): number {
    const count = this.#header(0, 'a node');
    if (count * headerLength > this.remaining) {
      this.#refuse(
        'byte-tree-truncated',
        `a node announces ${count} children, only ${this.remaining} octets follow`,
      );
    }
    if (expected !== undefined && count !== expected) {
      this.#refuse('byte-tree-wrong-length', `a node has ${count} children where ${expected} are expected`);
    }
    return count;
  }

  /** The data of a leaf (a view, not a copy), which must have `expected` octets if given. */
  leaf(expected?: number): Uint8Array {
    const length = this.#header(1, 'a leaf');
    if (expected !== undefined && length !== expected) {
      this.#refuse('byte-tree-wrong-length', `a leaf has ${length} octets where ${expected} are expected`);
    }
    return this.raw(length);
  }

  /** The next `length` octets as they are: used for runs of equal-sized children, which the taker must check. */
  raw(length: number): Uint8Array {
    if (length > this.remaining) {
      this.#refuse('byte-tree-truncated', `${length} octets are announced, only ${this.remaining} follow`);
    }
    const out = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return out;
  }

  /** `count` leaves of `length` octets each, headers included, as they are. */
  leaves(count: number, length: number): Uint8Array {
    const [step, from] = [headerLength + length, this.#at];
    if (count * step > this.remaining) this.raw(count * step);
    const head = [1, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff];
    const bytes = this.#bytes;
    for (let at = from; at < from + count * step; at += step) {
      for (let j = 0; j < headerLength; j++) {
        if (bytes[at + j] === head[j]) continue;
        this.#at = at;
        this.leaf(length);
      }
    }
    return this.raw(count * step);
  }

  booleans(expected?: number): boolean[] {
    const data = this.leaf(expected);
    return Array.from(data, (octet) => {
      if (octet > 1) this.#refuse('boolean-not-canonical', `a boolean is ${octet}, neither 0 nor 1`);
      return octet === 1;
    });
  }

  /** A four-octet non-negative integer. */
  int(): number {
    const data = this.leaf(4);
    const value = new DataView(data.buffer, data.byteOffset, 4).getInt32(0);
    if (value < 0) this.#refuse('text-not-canonical', `an integer is negative: ${value}`);
    return value;
  }

  text(maximum = 4096): string {
    const data = this.leaf();
    if (data.length > maximum) this.#refuse('byte-tree-too-large', `a text of ${data.length} octets`);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
    } catch {
      return this.#refuse('text-not-canonical', 'a text is not UTF-8');
    }
  }

  /** Must be called last: nothing may follow the tree. */
  end(): void {
    if (this.remaining !== 0) {
      this.#refuse('byte-tree-trailing-bytes', `${this.remaining} octets follow the end of the tree`);
    }
  }

  #header(tag: 0 | 1, expected: string): number {
    const at = this.#at;
    if (this.remaining < headerLength)
      this.#refuse('byte-tree-truncated', `ends where ${expected} is expected`);
    const found = this.#bytes[at];
    if (found !== 0 && found !== 1) this.#refuse('byte-tree-unknown-tag', `tag ${found} at octet ${at}`);
    if (found !== tag) this.#refuse('byte-tree-wrong-kind', `not ${expected} at octet ${at}`);
    const length = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + at + 1, 4).getInt32(0);
    if (length < 0) this.#refuse('byte-tree-too-large', `a length of 2^31 or more at octet ${at}`);
    this.#at += headerLength;
    return length;
  }

  #refuse(reason: ConstructorParameters<typeof Refusal>[0], text: string): never {
    throw new Refusal(reason, `${this.#what}: ${text}`);
  }
}

/** Reads one whole tree with `read` and insists that nothing follows. */
export function readWhole<T>(bytes: Uint8Array, what: string, read: (reader: ByteTreeReader) => T): T {
  const reader = new ByteTreeReader(bytes, what);
  const value = read(reader);
  reader.end();
  return value;
}
