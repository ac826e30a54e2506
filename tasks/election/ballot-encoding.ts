/**
 * What a voter chose in one question, as the bytes that one group element carries, and back.
 *
 * A plaintext is one line of text: the version `1`; the number of the selection, in base 94 over the printable ASCII
 * characters `!`…`~`, padded to the width that the question needs; then, for each write-in that was chosen, a tab and
 * its text in UTF-8. So every program that prints the messages in group elements as text (Verificatum's `vmnc -plain`
 * among them) prints votes without loss, one a line. The first byte is never zero: as a big-endian integer, the form that
 * ballots of multiplicative groups use, a plaintext is unambiguous too.
 *
 * Selections are numbered without gaps: by size, blank first when `min` is 0; within a size by the combinatorial number
 * system (sets) or in mixed radix (rankings). Every choice has exactly one encoding; whatever else arrives is invalid,
 * with a reason, and never an exception: plaintexts are what strangers encrypted.
 *
 * The original's encoding differs: one mixed-radix *number* with a leading digit for "spoiled on purpose", a
 * digit per answer (base 2, or max+1 for rankings) and a base-256 digit per write-in byte. That has many numbers for
 * one choice and needs a digit for every answer; and a ballot made for it is not valid here, nor one of ours there.
 */
import {
  countsBySize,
  rankArrangement,
  rankSubset,
  unrankArrangement,
  unrankSubset,
} from './combinations.ts';
import { isRanked, isWriteIn, type Question } from './election.ts';

export const ENCODING_VERSION = '1';

/** The least room, in bytes, that each write-in of a ballot must have when the election is requested. */
export const MIN_WRITE_IN_BYTES = 8;

const FIRST_DIGIT = 0x21;
const BASE = 94n;
const SEPARATOR = 0x09;

/** A vote in one question: ids in order (rankings) or ascending (sets); no ids is a blank vote. */
export interface Choice {
  answers: readonly number[];
  /** The text for each chosen answer that is a write-in; in the order of `answers`. */
  writeIns: readonly { id: number; text: string }[];
}

/** Why a plaintext is no vote. The codes are published in results and so are part of the format. */
export const INVALID_REASONS = {
  undecodable: 'the group element encodes no text',
  empty: 'the plaintext is empty',
  unknown_version: 'the version is not one that this election uses',
  too_long: 'the plaintext is longer than a group element of the election holds',
  not_text: 'the plaintext is not UTF-8',
  bad_digit: 'the selection has a character that is no digit',
  wrong_length: 'the selection has too few digits, or something follows it',
  no_such_selection: 'no selection that the question allows has this number',
  write_in_missing: 'a chosen write-in has no text',
  write_in_unexpected: 'there is a text for which no write-in was chosen',
  write_in_not_canonical: 'a write-in is empty, not in normal form, or has characters that show nothing',
  write_in_repeated: 'two write-ins of one ballot have the same text',
} as const;
export type InvalidReason = keyof typeof INVALID_REASONS;

export type Decoded = { valid: true; choice: Choice } | { valid: false; reason: InvalidReason };

/**
 * Whether every vote of a question fits into `capacity` bytes: undefined, or what does not and what to do. Checked when
 * the election is requested, so that no voter is the first to notice.
 */
export function fitsCapacity(question: Question, capacity: number): string | undefined {
  const plan = planSelections(question, capacity);
  if (plan === undefined) {
    return (
      `a vote needs more than the ${capacity} bytes that an element of the group holds; ` +
      'lower max, leave answers out, or choose a larger group'
    );
  }
  const writeIns = Math.min(question.answers.filter(isWriteIn).length, question.max);
  const least = 1 + plan.width + writeIns * (1 + MIN_WRITE_IN_BYTES);
  if (writeIns > 0 && least > capacity) {
    return (
      `a vote with ${writeIns} write-in(s) needs ${least} bytes (${MIN_WRITE_IN_BYTES} for each text), but an element ` +
      `of the group holds ${capacity}; allow fewer write-ins or choose a larger group`
    );
  }
  return undefined;
}

/** How the selections of a question are numbered. */
interface Plan {
  /** The number of the first selection of each size. */
  offsets: Map<number, bigint>;
  total: bigint;
  /** The digits that number all selections: as few as possible. */
  width: number;
}

/** Undefined when the selections do not fit into `capacity` bytes. */
function planSelections(question: Question, capacity: number): Plan | undefined {
  const bound = BASE ** BigInt(Math.max(0, capacity - 1));
  const ordered = isRanked(question.tally_type);
  const counts = countsBySize(question.answers.length, question.max, ordered, bound);
  const offsets = new Map<number, bigint>();
  let total = 0n;
  for (let size = question.min; size <= question.max; size += 1) {
    const count = counts[size];
    if (count === undefined) return undefined;
    offsets.set(size, total);
    total += count;
  }
  if (total > bound) return undefined;
  let width = 1;
  for (let reach = BASE; reach < total; reach *= BASE) width += 1;
  return width < capacity ? { offsets, total, width } : undefined;
}

/** The text of a write-in in the one form that is encoded: NFC, without leading, trailing or repeated spaces. */
export function normaliseWriteIn(text: string): string {
  return text
    .normalize('NFC')
    .replace(/[\p{Z}\s]+/gu, ' ')
    .trim();
}

const UNFIT = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

function isCanonicalWriteIn(text: string): boolean {
  return text !== '' && text.isWellFormed() && text === normaliseWriteIn(text) && !UNFIT.test(text);
}

/** The big-endian integer of a plaintext: what stands in `plaintexts_json`. */
export function integerOfPlaintext(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

/** The shortest bytes of an integer: the plaintext that it stands for. */
export function plaintextOfInteger(integer: bigint): Uint8Array {
  if (integer < 0n) throw new RangeError('a plaintext is no negative number');
  const hex = integer === 0n ? '' : integer.toString(16);
  return new Uint8Array(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
}

/** Writes and reads the votes of one question, for elements that hold `capacity` bytes. */
export class QuestionCodec {
  /** The digits of the selection: every plaintext is at least one byte longer than this. */
  readonly width: number;
  /** The ids of the answers whose text the voter gives. */
  readonly writeInIds: ReadonlySet<number>;
  readonly #question: Question;
  readonly #capacity: number;
  readonly #ranked: boolean;
  readonly #plan: Plan;

  /** Throws RangeError when the question does not fit; see `fitsCapacity`. */
  constructor(question: Question, capacity: number) {
    const plan = planSelections(question, capacity);
    if (plan === undefined) throw new RangeError(fitsCapacity(question, capacity));
    this.#question = question;
    this.#capacity = capacity;
    this.#ranked = isRanked(question.tally_type);
    this.#plan = plan;
    this.writeInIds = new Set(question.answers.filter(isWriteIn).map(({ id }) => id));
    this.width = plan.width;
  }

  /** How many different selections the question allows, write-in texts aside. */
  get selections(): bigint {
    return this.#plan.total;
  }

  /**
   * The bytes of a vote. Throws RangeError, with what to change, when the question does not allow the choice or when it
   * does not fit.
   */
  encode(choice: Choice): Uint8Array {
    const answers = this.#ranked
      ? [...choice.answers]
      : choice.answers.toSorted((left, right) => left - right);
    this.#checkAnswers(answers);
    const parts = [Buffer.from(ENCODING_VERSION + toDigits(this.#rank(answers), this.width))];
    for (const text of this.#writeInTexts(answers, choice)) {
      parts.push(Buffer.from([SEPARATOR]), Buffer.from(text));
    }
    const bytes = Buffer.concat(parts);
    const over = bytes.length - this.#capacity;
    if (over > 0)
      throw new RangeError(`the vote is ${over} bytes too long; shorten the text of the write-in`);
    return new Uint8Array(bytes);
  }

  /** The vote that bytes encode, or why they encode none. Never throws, whatever the bytes. */
  decode(plaintext: Uint8Array): Decoded {
    if (plaintext.length === 0) return invalid('empty');
    if (plaintext.length > this.#capacity) return invalid('too_long');
    if (plaintext[0] !== ENCODING_VERSION.charCodeAt(0)) return invalid('unknown_version');
    const end = 1 + this.width;
    if (plaintext.length < end) return invalid('wrong_length');
    const number = fromDigits(plaintext.subarray(1, end));
    if (number === undefined) return invalid('bad_digit');
    if (number >= this.#plan.total) return invalid('no_such_selection');
    return this.#decodeWriteIns(this.#unrank(number), plaintext.subarray(end));
  }

  #decodeWriteIns(answers: number[], rest: Uint8Array): Decoded {
    const ids = answers.filter((id) => this.writeInIds.has(id));
    if (rest.length === 0) {
      return ids.length > 0
        ? invalid('write_in_missing')
        : { valid: true, choice: { answers, writeIns: [] } };
    }
    if (rest[0] !== SEPARATOR) return invalid('wrong_length');
    if (ids.length === 0) return invalid('write_in_unexpected');
    const decoded = fromUtf8(rest.subarray(1));
    if (decoded === undefined) return invalid('not_text');
    const texts = decoded.split('\t');
    if (texts.length < ids.length) return invalid('write_in_missing');
    if (texts.length > ids.length) return invalid('write_in_unexpected');
    if (!texts.every(isCanonicalWriteIn)) return invalid('write_in_not_canonical');
    if (new Set(texts).size < texts.length) return invalid('write_in_repeated');
    return { valid: true, choice: { answers, writeIns: ids.map((id, at) => ({ id, text: texts[at]! })) } };
  }

  #checkAnswers(answers: readonly number[]): void {
    const { min, max } = this.#question;
    const n = this.#question.answers.length;
    const unknown = answers.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= n);
    if (unknown !== undefined) throw new RangeError(`there is no answer ${unknown}`);
    if (new Set(answers).size < answers.length)
      throw new RangeError('an answer is chosen twice; choose it once');
    if (answers.length < min || answers.length > max) {
      throw new RangeError(`${answers.length} answers are chosen; choose ${min} to ${max}`);
    }
  }

  #writeInTexts(answers: readonly number[], { writeIns }: Choice): string[] {
    const ids = answers.filter((id) => this.writeInIds.has(id));
    const stray = writeIns.find(({ id }) => !ids.includes(id));
    if (stray !== undefined)
      throw new RangeError(`the answer ${stray.id} has a text, but is no chosen write-in`);
    if (writeIns.length > ids.length) throw new RangeError('a write-in has two texts; give one');
    const texts = ids.map((id) => {
      const given = writeIns.find((writeIn) => writeIn.id === id);
      if (given === undefined) throw new RangeError(`the write-in ${id} has no text; give one`);
      const text = normaliseWriteIn(given.text);
      if (isCanonicalWriteIn(text)) return text;
      throw new RangeError(`the text of the write-in ${id} is empty or has invisible characters; retype it`);
    });
    if (new Set(texts).size < texts.length)
      throw new RangeError('two write-ins have the same text; change one');
    return texts;
  }

  #rank(answers: readonly number[]): bigint {
    const rank = this.#ranked ? rankArrangement(answers, this.#question.answers.length) : rankSubset(answers);
    return this.#plan.offsets.get(answers.length)! + rank;
  }

  #unrank(number: bigint): number[] {
    let size = this.#question.min;
    while (size < this.#question.max && this.#plan.offsets.get(size + 1)! <= number) size += 1;
    const rest = number - this.#plan.offsets.get(size)!;
    const n = this.#question.answers.length;
    return this.#ranked ? unrankArrangement(rest, n, size) : unrankSubset(rest, n, size);
  }
}

function invalid(reason: InvalidReason): Decoded {
  return { valid: false, reason };
}

function toDigits(number: bigint, width: number): string {
  let text = '';
  for (let rest = number, at = 0; at < width; at += 1, rest /= BASE) {
    text = String.fromCharCode(FIRST_DIGIT + Number(rest % BASE)) + text;
  }
  return text;
}

function fromDigits(bytes: Uint8Array): bigint | undefined {
  let number = 0n;
  for (const byte of bytes) {
    const digit = byte - FIRST_DIGIT;
    if (digit < 0 || digit >= Number(BASE)) return undefined;
    number = number * BASE + BigInt(digit);
  }
  return number;
}

function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
