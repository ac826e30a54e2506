/*
 * The console's words (one catalogue per language) and the language that is chosen. A message is a text with
 * {placeholders}, or one text per plural form, chosen by `count`. Every visible word comes from here, except what other
 * people or the node wrote; nothing here ever makes HTML.
 */
import { computed, signal } from '@preact/signals';
import { en } from './en.ts';
import { es } from './es.ts';

export type MessageKey = keyof typeof en;
export type Values = Readonly<Record<string, string | number>>;

export const LANGUAGES = { en: 'English', es: 'Español' } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES = { en, es } as const;
const REMEMBERED = 'conclave.language';

export const language = signal<Language>(initialLanguage());

const plurals = computed(() => new Intl.PluralRules(language.value));
const numbers = computed(() => new Intl.NumberFormat(language.value));

export function chooseLanguage(chosen: Language): void {
  language.value = chosen;
  localStorage.setItem(REMEMBERED, chosen);
}

export function isLanguage(text: string | null): text is Language {
  return text !== null && Object.hasOwn(LANGUAGES, text);
}

/** The message in the chosen language. A placeholder without a value stays visible, so that a mistake is seen. */
export function t(key: MessageKey, values: Values = {}): string {
  const message = CATALOGUES[language.value][key];
  const text = typeof message === 'string' ? message : plural(message, Number(values.count ?? 0));
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? numbers.value.format(value) : value;
  });
}

function plural(forms: { readonly one: string; readonly other: string }, count: number): string {
  return plurals.value.select(count) === 'one' ? forms.one : forms.other;
}

function initialLanguage(): Language {
  const remembered = localStorage.getItem(REMEMBERED);
  if (isLanguage(remembered)) return remembered;
  const wanted = navigator.languages.map((tag) => tag.split('-')[0] ?? '');
  return wanted.find(isLanguage) ?? 'en';
}
