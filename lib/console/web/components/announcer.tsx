/* What happens without a change of page, said to screen readers. One polite region for the whole console. */
import { signal } from '@preact/signals';

const announcement = signal('');
let clear: ReturnType<typeof setTimeout> | undefined;

export function announce(text: string): void {
  announcement.value = text;
  clearTimeout(clear);
  // The same text twice is said twice.
  clear = setTimeout(() => {
    announcement.value = '';
  }, 4_000);
}

export function Announcer() {
  return (
    <div class="visually-hidden" role="status" aria-live="polite">
      {announcement.value}
    </div>
  );
}
