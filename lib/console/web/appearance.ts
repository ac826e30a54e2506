/* Light or dark: the system's choice until the reader makes one, which this browser remembers. */
import { effect, signal } from '@preact/signals';

export const APPEARANCES = ['system', 'light', 'dark'] as const;
export type Appearance = (typeof APPEARANCES)[number];

const REMEMBERED = 'conclave.appearance';

export const appearance = signal<Appearance>(
  APPEARANCES.find((one) => one === localStorage.getItem(REMEMBERED)) ?? 'system',
);

export function chooseAppearance(chosen: Appearance): void {
  appearance.value = chosen;
  localStorage.setItem(REMEMBERED, chosen);
}

/** Shows the choice on the page's root, where the design tokens look for it. */
export function showAppearance(): void {
  effect(() => {
    const { dataset } = document.documentElement;
    if (appearance.value === 'system') delete dataset.theme;
    else dataset.theme = appearance.value;
  });
}
