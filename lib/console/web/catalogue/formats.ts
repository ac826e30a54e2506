/* Dates, durations, numbers and sizes in the words of the chosen language (Intl). Dates are in the reader's own time zone, which is named. */
import { computed } from '@preact/signals';
import { language } from './messages.ts';

const dates = computed(
  () => new Intl.DateTimeFormat(language.value, { dateStyle: 'medium', timeStyle: 'short' }),
);
const precise = computed(
  () => new Intl.DateTimeFormat(language.value, { dateStyle: 'full', timeStyle: 'long' }),
);
const relative = computed(() => new Intl.RelativeTimeFormat(language.value, { numeric: 'auto' }));
const numbers = computed(() => new Intl.NumberFormat(language.value));
const percents = computed(
  () => new Intl.NumberFormat(language.value, { style: 'percent', maximumFractionDigits: 1 }),
);

const UNITS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

export function formatDate(date: Date): string {
  return Number.isNaN(date.getTime()) ? '' : dates.value.format(date);
}

/** With weekday, seconds and time zone. */
export function formatDatePrecisely(date: Date): string {
  return Number.isNaN(date.getTime()) ? '' : precise.value.format(date);
}

/** "in 3 hours", "2 minutes ago". */
export function formatRelative(date: Date, now: number): string {
  const seconds = (date.getTime() - now) / 1000;
  if (Number.isNaN(seconds)) return '';
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1)!;
  return relative.value.format(Math.round(seconds / size), unit);
}

/** @param milliseconds of a duration: "1.4 s", "3 min 20 s", "2 h 5 min". */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  const part = (value: number, unit: string, digits = 0) =>
    new Intl.NumberFormat(language.value, {
      style: 'unit',
      unit,
      unitDisplay: 'short',
      maximumFractionDigits: digits,
    }).format(value);
  if (seconds < 1) return part(Math.round(seconds * 1000), 'millisecond');
  if (seconds < 60) return part(seconds, 'second', 1);
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  if (minutes < 60) return `${part(minutes, 'minute')} ${part(rest, 'second')}`;
  return `${part(Math.floor(minutes / 60), 'hour')} ${part(minutes % 60, 'minute')}`;
}

export function formatNumber(number: number): string {
  return numbers.value.format(number);
}

/** @param fraction 0.25 for 25 %. */
export function formatPercent(fraction: number): string {
  return percents.value.format(fraction);
}

export function formatBytes(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
  let value = bytes;
  let index = 0;
  while (value >= 1000 && index < units.length - 1) {
    value /= 1000;
    index += 1;
  }
  return new Intl.NumberFormat(language.value, {
    style: 'unit',
    unit: units[index]!,
    maximumFractionDigits: value < 10 && index > 0 ? 1 : 0,
  }).format(value);
}
