/* Copies a text to the clipboard, and says so also to those who do not see it. */
import { useState } from 'preact/hooks';
import { t } from '../catalogue/messages.ts';
import { announce } from './announcer.tsx';
import { Icon } from './icon.tsx';

export function CopyButton({ text, what }: { readonly text: string; readonly what: string }) {
  const [copied, setCopied] = useState(false);
  if (navigator.clipboard === undefined) return null;
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => {
        setCopied(true);
        announce(t('copy.done'));
        setTimeout(() => setCopied(false), 2_000);
      },
      () => announce(t('copy.failed')),
    );
  };
  return (
    <button
      type="button"
      class="button button-small button-plain"
      onClick={copy}
      aria-label={t('copy.what', { what })}
    >
      <Icon name={copied ? 'good' : 'copy'} />
      {copied ? t('copy.done') : t('copy.copy')}
    </button>
  );
}
