/**
 * Remembers in which line of a file a text was seen, for millions of texts: 24 bytes a slot, no objects.
 *
 * A text is kept as the first 128 bits of its HMAC under a key that lives as long as the table: nobody can
 * prepare two texts that the table takes for one, and chance does not (2⁻⁸⁰ for ten million texts).
 */
import { createHmac, randomBytes } from 'node:crypto';

const WORDS = 4;
const FIRST_CAPACITY = 1 << 10;
const MAX_CAPACITY = 1 << 28;

export class LineTable {
  readonly #key = randomBytes(32);
  #capacity = FIRST_CAPACITY;
  #prints = new Uint32Array(WORDS * FIRST_CAPACITY);
  /** Line numbers; 0 is an empty slot. */
  #lines = new Float64Array(FIRST_CAPACITY);
  #size = 0;

  /** How many different texts it knows. */
  get size(): number {
    return this.#size;
  }

  /** The line that was last set for a text. */
  get(text: string): number | undefined {
    const line = this.#lines[this.#slotOf(this.#printOf(text))]!;
    return line === 0 ? undefined : line;
  }

  /** Sets the line (≥ 1) of a text and answers the one that it had before. */
  set(text: string, line: number): number | undefined {
    const print = this.#printOf(text);
    const slot = this.#slotOf(print);
    const before = this.#lines[slot]!;
    this.#lines[slot] = line;
    if (before !== 0) return before;
    this.#prints.set(print, WORDS * slot);
    this.#size += 1;
    if (this.#size * 5 > this.#capacity * 3) this.#grow();
    return undefined;
  }

  #printOf(text: string): Uint32Array {
    const digest = createHmac('sha256', this.#key).update(text, 'utf8').digest();
    return Uint32Array.from({ length: WORDS }, (_, word) => digest.readUInt32LE(4 * word));
  }

  /** The slot that has the print, or the empty one where it belongs. */
  #slotOf(print: Uint32Array): number {
    const mask = this.#capacity - 1;
    let slot = print[0]! & mask;
    while (this.#lines[slot] !== 0 && !this.#has(slot, print)) slot = (slot + 1) & mask;
    return slot;
  }

  #has(slot: number, print: Uint32Array): boolean {
    for (let word = 0; word < WORDS; word += 1) {
      if (this.#prints[WORDS * slot + word] !== print[word]) return false;
    }
    return true;
  }

  #grow(): void {
    const [prints, lines] = [this.#prints, this.#lines];
    this.#capacity *= 2;
    if (this.#capacity > MAX_CAPACITY) throw new RangeError('more texts than the table can hold');
    this.#prints = new Uint32Array(WORDS * this.#capacity);
    this.#lines = new Float64Array(this.#capacity);
    for (const [slot, line] of lines.entries()) {
      if (line === 0) continue;
      const print = prints.subarray(WORDS * slot, WORDS * (slot + 1));
      const place = this.#slotOf(print);
      this.#prints.set(print, WORDS * place);
      this.#lines[place] = line;
    }
  }
}
