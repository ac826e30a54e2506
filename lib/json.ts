/**
 * Strict, bounded reading of JSON that a peer sent. Every reader of a message must see the same value in it, so what
 * JavaScript's own parser would change in silence is refused:
 *
 * - bytes that are not UTF-8 (they would become U+FFFD);
 * - an object that has a key twice (readers differ in which one counts);
 * - an integer that this node would write with other digits than it read, as most beyond ±2^53, or a number beyond
 *   the doubles (big integers travel as strings);
 * - nesting deeper than `maxDepth` (it would exhaust the stack of whoever walks the value).
 *
 * A key `__proto__` is an own property like any other: `JSON.parse` does not touch prototypes.
 */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const MAX_JSON_DEPTH = 100;

/** Why a text is not JSON that this node accepts; becomes the error `invalid_json`. */
export class JsonRefused extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'JsonRefused';
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Throws `JsonRefused`. The size is bounded by whoever read the bytes. */
export function parseJson(bytes: Uint8Array, maxDepth: number = MAX_JSON_DEPTH): Json {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new JsonRefused('it is not UTF-8');
  }
  scan(text, maxDepth);
  try {
    return JSON.parse(text) as Json;
  } catch (reason) {
    throw new JsonRefused((reason as Error).message);
  }
}

/** One pass over the text for what `JSON.parse` does not refuse; grammar is left to `JSON.parse`. */
function scan(text: string, maxDepth: number): void {
  /** The keys so far of each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  let keyExpected = false;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (keyExpected) {
        addKey(open.at(-1) as Set<string>, text.slice(at, end));
        keyExpected = false;
      }
      at = end;
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (open.length === maxDepth) throw new JsonRefused(`it is nested deeper than ${maxDepth} levels`);
      open.push(code === OPEN_BRACE ? new Set() : null);
      keyExpected = code === OPEN_BRACE;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      open.pop();
      keyExpected = false;
    } else if (code === COMMA) {
      keyExpected = open.length > 0 && open.at(-1) !== null;
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      at = checkNumber(text, at);
      continue;
    }
    at += 1;
  }
}

/** The position after the closing quote of the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    at += code === BACKSLASH ? 2 : 1;
  }
  throw new JsonRefused('a string does not end');
}

function addKey(keys: Set<string>, literal: string): void {
  let key = literal.slice(1, -1);
  if (key.includes('\\')) {
    try {
      key = JSON.parse(literal) as string;
    } catch {
      throw new JsonRefused('a key is not a string');
    }
  }
  if (keys.has(key)) throw new JsonRefused(`it has the key ${JSON.stringify(key.slice(0, 64))} twice`);
  keys.add(key);
}

const NUMBER = /[-+.0-9eE]+/y;

/** The position after the number that begins at `start`. */
function checkNumber(text: string, start: number): number {
  NUMBER.lastIndex = start;
  const literal = NUMBER.exec(text)?.[0] ?? '';
  if (literal.length > 15 || /[eE]/.test(literal)) {
    const value = Number(literal);
    if (!Number.isFinite(value)) throw new JsonRefused(`the number ${literal.slice(0, 40)} is out of range`);
    if (/^-?\d+$/.test(literal) && String(value) !== literal) {
      throw new JsonRefused(`the integer ${literal.slice(0, 40)} would be changed; write it as a string`);
    }
  }
  return start + literal.length;
}
