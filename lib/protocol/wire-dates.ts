/**
 * Dates on the wire (FQ-P8). They carry no zone and are UTC.
 *
 * An original node takes every string that begins with `20` and matches `%Y-%m-%dT%H:%M:%S.%f`, at any depth of a
 * message, for a date, and writes it back with six digits of fraction, or with none when the fraction is zero. So
 * data that travelled through one may come back with other strings: compare or hash them in the form that
 * `normaliseWireDates` gives. Strings with `Z`, or without a fraction, travel unchanged.
 */
import type { Json } from '../json.ts';

const ORIGINAL_DATE = /^(20\d\d)-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})\.(\d{1,6})$/;
const ISO_DATE =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?$/;

/** As the original writes a date, except that the fraction is always there: without one it would not read a date. */
export function formatWireDate(date: Date): string {
  return `${date.toISOString().slice(0, 23)}000`;
}

/** Reads the original's dates, and every other ISO 8601 form with a day; null when it is none. */
export function parseWireDate(text: string): Date | null {
  const match = ISO_DATE.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = match;
  const utc = utcMilliseconds([year, month, day, hour, minute, second].map(Number));
  if (utc === null) return null;
  const milliseconds = Number(fraction.slice(0, 3).padEnd(3, '0'));
  return new Date(utc + milliseconds - zoneOffset(zone));
}

/** Whether an original node would take this string for a date. */
export function isOriginalDate(text: string): boolean {
  const match = ORIGINAL_DATE.exec(text);
  return match !== null && utcMilliseconds(match.slice(1, 7).map(Number)) !== null;
}

/** The value as it comes back from an original node: the form in which to compare and hash. Idempotent. */
export function normaliseWireDates(value: Json): Json {
  if (typeof value === 'string') return normaliseString(value);
  if (Array.isArray(value)) return value.map(normaliseWireDates);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, normaliseWireDates(item)]));
}

function normaliseString(text: string): string {
  if (!isOriginalDate(text)) return text;
  const [, year, month, day, hour, minute, second, fraction] = ORIGINAL_DATE.exec(
    text,
  ) as unknown as string[];
  const two = (part: string | undefined): string => String(part).padStart(2, '0');
  const micros = (fraction as string).padEnd(6, '0');
  const whole = `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
  return micros === '000000' ? whole : `${whole}.${micros}`;
}

/** Null when the calendar or the clock has no such moment. */
function utcMilliseconds(parts: number[]): number | null {
  const [year, month, day, hour, minute, second] = parts as [number, number, number, number, number, number];
  if (year < 1 || hour > 23 || minute > 59 || second > 59) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second, 0);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : null;
}

function zoneOffset(zone: string): number {
  if (zone === 'Z') return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone.startsWith('-') ? -minutes : minutes) * 60_000;
}
