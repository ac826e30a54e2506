/* A SHA-256 as people compare it: hex digits in groups of four, and words for the telephone. */
import type { HashView } from '../../../operator/views.ts';
import { t } from '../catalogue/messages.ts';
import { CopyButton } from './copy-button.tsx';

export function HashGroups({ hex }: { readonly hex: string }) {
  return (
    <p class="hash" translate={false}>
      {groups(hex).map((group, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a group is its place
        <span key={index}>{group}</span>
      ))}
    </p>
  );
}

export function HashWords({ words }: { readonly words: readonly string[] }) {
  return (
    <ol class="words" translate={false} lang="en">
      {words.map((word, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a word is its place
        <li key={index}>{word}</li>
      ))}
    </ol>
  );
}

/** Both, with a button that copies the digits. */
export function HashBox({ hash }: { readonly hash: HashView }) {
  return (
    <div class="stack">
      <div class="stack stack-tight">
        <span class="label">{t('hash.words')}</span>
        <HashWords words={hash.words} />
      </div>
      <div class="stack stack-tight">
        <div class="card-head">
          <span class="label">{t('hash.digits')}</span>
          <CopyButton text={hash.hex} what={t('hash.digits')} />
        </div>
        <HashGroups hex={hash.hex} />
      </div>
    </div>
  );
}

/** In a line of text: the digits, which may break anywhere between groups. */
export function Fingerprint({ hex }: { readonly hex: string }) {
  return (
    <span class="fingerprint" translate={false}>
      {groups(hex).join(' ')}
    </span>
  );
}

function groups(hex: string): readonly string[] {
  return hex.match(/.{1,4}/gs) ?? [];
}
