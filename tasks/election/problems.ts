/**
 * Collects **every** problem of a request, each with the path of the field and what to do (D31): the original stopped at
 * the first, printed it to its own log, and answered 202 all the same (EO 1B.6).
 *
 * The readers return `undefined` for a field that has a problem, after naming it; so the rules that need several fields
 * run on what there is, and one mistake never hides another. They bound everything: length, number, depth, size.
 */

import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';

export interface Problem {
  /** For example `questions[0].answers[1].id`; the empty path is the request itself. */
  path: string;
  /** What is wrong, and what to give instead. */
  message: string;
}

/** How many problems are listed: a hostile request must not grow its own refusal. */
const MAX_PROBLEMS = 50;
const MAX_JSON_DEPTH = 8;

export type Fields = { readonly [key: string]: unknown };

export interface TextRule {
  max: number;
  min?: number;
  /** Answer this when the field is absent or null, instead of naming a problem. */
  otherwise?: string;
  /** Cut longer texts to `max` code points instead of refusing them (EO-12). */
  cut?: boolean;
}

export interface NumberRule {
  min: number;
  max: number;
  otherwise?: number;
}

export class Problems {
  readonly #list: Problem[] = [];
  #more = 0;

  get list(): readonly Problem[] {
    return this.#list;
  }

  get none(): boolean {
    return this.#list.length === 0;
  }

  add(path: string, message: string): undefined {
    if (this.#list.length < MAX_PROBLEMS) this.#list.push({ path, message });
    else this.#more += 1;
    return undefined;
  }

  /** Throws `invalid_request` (400) that names them all, when there are any. */
  refuseIfAny(): void {
    if (this.none) return;
    const texts = this.#list.map(
      ({ path, message }) => `${path === '' ? 'the request' : `${path}:`} ${message}`,
    );
    if (this.#more > 0) texts.push(`and ${this.#more} more`);
    throw new ConclaveError('invalid_request', { problems: texts });
  }

  object(value: unknown, path: string): Fields | undefined {
    if (value === undefined) return this.add(path, 'is missing; give an object');
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.add(path, `is ${kindOf(value)}; give an object`);
    }
    return value as Fields;
  }

  array(value: unknown, path: string, { min, max }: { min: number; max: number }): unknown[] | undefined {
    if (!Array.isArray(value)) {
      return this.add(path, `${value === undefined ? 'is missing' : `is ${kindOf(value)}`}; give a list`);
    }
    if (value.length < min || value.length > max) {
      const many = min === max ? `exactly ${max}` : `${min} to ${max}`;
      return this.add(path, `has ${value.length} entries; give ${many}`);
    }
    return value;
  }

  text(value: unknown, path: string, rule: TextRule): string | undefined {
    if (value === undefined || value === null) {
      if (rule.otherwise !== undefined) return rule.otherwise;
      return this.add(path, `is missing; give a string of at most ${rule.max} characters`);
    }
    if (typeof value !== 'string') return this.add(path, `is ${kindOf(value)}; give a string`);
    const flaw = textFlaw(value);
    if (flaw !== undefined) return this.add(path, flaw);
    const points = value.length > rule.max ? [...value.slice(0, 2 * rule.max + 2)] : [];
    if (points.length > rule.max) {
      if (rule.cut) return points.slice(0, rule.max).join('');
      return this.add(path, `is longer than ${rule.max} characters; shorten it`);
    }
    if (value.trim().length < (rule.min ?? 0)) return this.add(path, 'is empty; give a text');
    return value;
  }

  integer(value: unknown, path: string, rule: NumberRule): number | undefined {
    if (value === undefined || value === null) {
      if (rule.otherwise !== undefined) return rule.otherwise;
      return this.add(path, `is missing; give a whole number from ${rule.min} to ${rule.max}`);
    }
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      return this.add(path, `is ${kindOf(value)}; give a whole number from ${rule.min} to ${rule.max}`);
    }
    if (value < rule.min || value > rule.max) {
      return this.add(path, `is ${value}; give a whole number from ${rule.min} to ${rule.max}`);
    }
    return value;
  }

  boolean(value: unknown, path: string, otherwise: boolean): boolean | undefined {
    if (value === undefined || value === null) return otherwise;
    return typeof value === 'boolean' ? value : this.add(path, `is ${kindOf(value)}; give true or false`);
  }

  oneOf<Value extends string>(
    value: unknown,
    path: string,
    allowed: readonly Value[],
    otherwise?: Value,
  ): Value | undefined {
    if ((value === undefined || value === null) && otherwise !== undefined) return otherwise;
    const found = allowed.find((each) => each === value);
    return found ?? this.add(path, `is ${quoted(value)}; give one of ${allowed.join(', ')}`);
  }

  /** An https URL without credentials or fragment. */
  httpsUrl(value: unknown, path: string, { allowHttp = false } = {}): string | undefined {
    const text = this.text(value, path, { min: 1, max: 2048 });
    if (text === undefined) return undefined;
    const url = URL.parse(text);
    const https = url?.protocol === 'https:' || (allowHttp && url?.protocol === 'http:');
    if (url === null || !https) return this.add(path, `is ${quoted(text)}; give an https:// URL`);
    if (url.username !== '' || url.password !== '')
      return this.add(path, 'has a user or password; leave them out');
    if (url.hash !== '') return this.add(path, 'has a fragment (#…); leave it out');
    return text;
  }

  /** Free-form JSON (EO-18): copied, bounded, and without keys that could reach a prototype. */
  json(value: unknown, path: string, maxBytes: number): Json | undefined {
    const before = this.#list.length + this.#more;
    const copy = this.#copyJson(value, path, 0);
    if (this.#list.length + this.#more > before) return undefined;
    if (Buffer.byteLength(JSON.stringify(copy)) > maxBytes) {
      return this.add(path, `is larger than ${maxBytes} bytes as JSON; make it smaller`);
    }
    return copy;
  }

  #copyJson(value: unknown, path: string, depth: number): Json {
    if (depth > MAX_JSON_DEPTH) {
      this.add(path, `is nested deeper than ${MAX_JSON_DEPTH} levels; flatten it`);
      return null;
    }
    if (typeof value === 'string') {
      const flaw = textFlaw(value);
      if (flaw !== undefined) this.add(path, flaw);
      return value;
    }
    if (value === null || typeof value === 'boolean') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    if (Array.isArray(value))
      return value.map((item, at) => this.#copyJson(item, `${path}[${at}]`, depth + 1));
    if (typeof value !== 'object') {
      this.add(path, `is ${kindOf(value)}; give JSON`);
      return null;
    }
    const copy: { [key: string]: Json } = {};
    for (const [key, member] of Object.entries(value)) {
      if (key === '__proto__' || textFlaw(key) !== undefined)
        this.add(path, `has a key ${quoted(key)}; remove it`);
      else copy[key] = this.#copyJson(member, `${path}.${key.slice(0, 40)}`, depth + 1);
    }
    return copy;
  }

  /**
   * Names keys that look like a mistyped known one: they would otherwise count as "not given" (a `treshold` of 2 would
   * silently become n of n). Other unknown keys are left out, as the original did.
   */
  mistyped(fields: Fields, path: string, known: readonly string[]): void {
    for (const key of Object.keys(fields).slice(0, 200)) {
      if (known.includes(key) || key.length > 60) continue;
      const near = known.find((name) => name.length > 3 && isNear(key.toLowerCase(), name));
      if (near !== undefined && fields[near] === undefined) {
        this.add(joined(path, key), `is unknown; did you mean ${near}?`);
      }
    }
  }
}

export function joined(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Why a string cannot be kept, hashed and shown alike everywhere; undefined when it can. */
function textFlaw(text: string): string | undefined {
  if (!text.isWellFormed()) return 'has half a surrogate pair, which is no character; remove it';
  if (text.includes('\0')) return 'has a NUL character; remove it';
  return undefined;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return `${quoted(value)}`;
}

/** A short quotation of something that a stranger sent. */
export function quoted(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Whether one insertion, removal, replacement or exchange of neighbours turns `a` into `b` (and a ≠ b). */
function isNear(a: string, b: string): boolean {
  if (a === b) return true;
  if (Math.abs(a.length - b.length) > 1) return false;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  if (
    a.slice(at + 1) === b.slice(at + 1) ||
    a.slice(at) === b.slice(at + 1) ||
    a.slice(at + 1) === b.slice(at)
  ) {
    return true;
  }
  return a[at] === b[at + 1] && a[at + 1] === b[at] && a.slice(at + 2) === b.slice(at + 2);
}
