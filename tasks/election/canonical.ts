/**
 * One text for one JSON value: what is hashed, signed, compared between authorities and published must not depend
 * on key order, on the program that wrote it, or on having travelled through a peer.
 *
 * Two forms: `canonicalJson` (compact; dates as the wire leaves them) is for hashes, `publishedJson` (EO-39) for files
 * that people and other programs read. Neither ever drops a value silently: what JSON cannot hold is an error.
 */
import { createHash } from 'node:crypto';

import type { Json } from '../../lib/json.ts';
import { normaliseWireDates } from '../../lib/protocol/wire-dates.ts';

const MAX_DEPTH = 64;

/** Compact JSON: keys sorted by code point, no spaces, wire dates normalised at any depth. */
export function canonicalJson(value: unknown): string {
  return write(value, CANONICAL, 0);
}

/** EO-39: indent 4, sorted keys, separators `,` and `: `, characters unescaped; no newline at the end. */
export function publishedJson(value: unknown): string {
  return write(value, PUBLISHED, 0);
}

/** Compact JSON with sorted keys and every string as it is: the lines of `ciphertexts_json` (EO-33). */
export function compactJson(value: unknown): string {
  return write(value, COMPACT, 0);
}

/** Lower-case hex SHA-256 of the canonical JSON. */
export function canonicalHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value), 'utf8').digest('hex');
}

interface Style {
  indent: string;
  colon: string;
  /** Write dates as an original peer gives them back. */
  wireDates?: true;
}

const COMPACT: Style = { indent: '', colon: ':' };
const CANONICAL: Style = { ...COMPACT, wireDates: true };
const PUBLISHED: Style = { indent: '    ', colon: ': ' };

function write(value: unknown, style: Style, depth: number): string {
  if (depth > MAX_DEPTH) throw new RangeError(`JSON nested deeper than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} is not a JSON number`);
    return JSON.stringify(value);
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new TypeError('a string with half a surrogate pair has no UTF-8 form');
    return JSON.stringify(style.wireDates ? normaliseWireDates(value) : value);
  }
  if (Array.isArray(value)) {
    return block(
      '[',
      value.map((item) => write(item, style, depth + 1)),
      ']',
      style,
      depth,
    );
  }
  if (typeof value === 'object' && isPlain(value)) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([left], [right]) => compareCodePoints(left, right))
      .map(([key, member]) => `${writeKey(key)}${style.colon}${write(member, style, depth + 1)}`);
    return block('{', members, '}', style, depth);
  }
  throw new TypeError(`a ${typeof value} has no JSON form`);
}

function writeKey(key: string): string {
  if (!key.isWellFormed()) throw new TypeError('a key with half a surrogate pair has no UTF-8 form');
  return JSON.stringify(key);
}

function block(open: string, parts: string[], close: string, { indent }: Style, depth: number): string {
  if (parts.length === 0) return open + close;
  if (indent === '') return open + parts.join(',') + close;
  const margin = `\n${indent.repeat(depth)}`;
  return `${open}${parts.map((part) => `${margin}${indent}${part}`).join(',')}${margin}${close}`;
}

function isPlain(value: object): value is { [key: string]: Json } {
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
}

/** Orders strings by code point, as other languages do (JavaScript's own order is by UTF-16 unit). */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at += 1) {
    let a = left.charCodeAt(at);
    let b = right.charCodeAt(at);
    if (a === b) continue;
    // Surrogates stand for the code points above U+FFFF: they come after the units E000…FFFF.
    const aboveBmp = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff;
    if (aboveBmp(a)) a += 0x10000;
    if (aboveBmp(b)) b += 0x10000;
    return a < b ? -1 : 1;
  }
  return left.length - right.length;
}
