/* The node's time: "two minutes ago" is said by its clock, not by that of the reader's machine. */
import { signal } from '@preact/signals';

const TICK_MILLISECONDS = 5_000;
let ahead = 0;

/** Milliseconds since 1970 by the node's clock. */
export const now = signal(Date.now());

/** @param date of an answer that has just come */
export function setClock(date: string): void {
  const time = Date.parse(date);
  if (Number.isNaN(time)) return;
  ahead = time - Date.now();
  now.value = Date.now() + ahead;
}

export function startClock(): void {
  setInterval(() => {
    now.value = Date.now() + ahead;
  }, TICK_MILLISECONDS);
}
