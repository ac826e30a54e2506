/*
 * Looks for secrets in whatever form a program may have written them: raw octets, hex, base64 at any alignment, the
 * number in decimal, an array of octets as JSON writes it, the text itself.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Shorter ones are found by chance. */
const SHORTEST = 12;
/** Spreads four octets over the bits of the filter. */
const MULTIPLIER = 0x9e3779b1;

export interface Found {
  readonly secret: string;
  readonly form: string;
  readonly where: string;
}

interface Needle {
  readonly secret: string;
  readonly form: string;
  readonly bytes: Buffer;
}

/** What octets look like when they are written down. */
export function formsOf(secret: Uint8Array): [form: string, bytes: Buffer][] {
  const octets = Buffer.from(secret);
  const text = (form: string, written: string): [string, Buffer] => [form, Buffer.from(written, 'latin1')];
  const hex = octets.toString('hex');
  return [
    ['octets', octets],
    text('hex', hex),
    text('hex in capitals', hex.toUpperCase()),
    text('decimal', BigInt(`0x${hex}`).toString()),
    text('JSON', [...octets].join(',')),
    text('JSON with spaces', [...octets].join(', ')),
    ...[0, 1, 2].flatMap((shift) => [
      text(`base64 at ${shift}`, base64At(octets, shift, 'base64')),
      text(`base64url at ${shift}`, base64At(octets, shift, 'base64url')),
    ]),
  ];
}

/** The characters of base64 that hang on nothing but the secret, when `shift` other octets are before it. */
function base64At(octets: Buffer, shift: number, encoding: 'base64' | 'base64url'): string {
  const text = Buffer.concat([Buffer.alloc(shift), octets]).toString(encoding);
  return text.slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + octets.length) * 8) / 6));
}

export class SecretSearch {
  readonly found: Found[] = [];
  /** By their first four octets, which are looked up at every place. */
  readonly #needles = new Map<number, Needle[]>();
  readonly #seen = new Set<string>();
  readonly #filter = new Uint8Array(1 << 21);

  /** How many octets were searched. */
  searched = 0;

  addOctets(secret: string, octets: Uint8Array): void {
    for (const [form, bytes] of formsOf(octets)) this.#add({ secret, form, bytes });
  }

  addText(secret: string, text: string): void {
    this.#add({ secret, form: 'text', bytes: Buffer.from(text) });
  }

  #add(needle: Needle): void {
    const { bytes } = needle;
    if (bytes.length < SHORTEST) return;
    const id = bytes.toString('latin1');
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    const start = bytes.readUInt32BE(0);
    const same = this.#needles.get(start);
    if (same === undefined) this.#needles.set(start, [needle]);
    else same.push(needle);
    const bit = Math.imul(start, MULTIPLIER) >>> 8;
    this.#filter[bit >>> 3]! |= 1 << (bit & 7);
  }

  look(where: string, bytes: Uint8Array): void {
    this.searched += bytes.length;
    const within = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const filter = this.#filter;
    let start = 0;
    for (let at = 0; at < within.length; at += 1) {
      start = (start << 8) | within[at]!;
      const bit = Math.imul(start, MULTIPLIER) >>> 8;
      if ((filter[bit >>> 3]! & (1 << (bit & 7))) === 0 || at < 3) continue;
      for (const { secret, form, bytes: needle } of this.#needles.get(start >>> 0) ?? [])
        if (isAt(within, at - 3, needle)) this.found.push({ secret, form, where });
    }
  }

  lookInText(where: string, text: string): void {
    this.look(where, Buffer.from(text));
  }

  /** Every file below a folder, and what is compressed in it. Files that vanish meanwhile are passed over. */
  async lookInFolder(name: string, folder: string): Promise<void> {
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = await readFile(path).catch(() => null);
      if (bytes === null) continue;
      const where = `${name}/${relative(folder, path)}`;
      this.look(where, bytes);
      if (path.endsWith('.gz')) this.look(`${where}, unpacked`, gunzipSync(bytes));
    }
  }
}

function isAt(within: Buffer, from: number, needle: Buffer): boolean {
  for (let at = 4; at < needle.length; at += 1) if (within[from + at] !== needle[at]) return false;
  return true;
}
