/* Something that the reader should know, beside or instead of what is shown: notes, failures, nothing there, not there yet. */
import type { ComponentChildren } from 'preact';
import { failureText } from '../catalogue/failures.ts';
import { t } from '../catalogue/messages.ts';
import type { RequestFailed } from '../live/api.ts';
import type { Tone } from './chip.tsx';
import { Icon, type IconName } from './icon.tsx';

const ICONS: Readonly<Record<Tone, IconName>> = {
  good: 'good',
  attention: 'attention',
  bad: 'attention',
  busy: 'information',
  idle: 'information',
};

export function Notice({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return (
    <div class={`notice tone-${tone}`}>
      <Icon name={ICONS[tone]} />
      <div class="stack stack-tight">{children}</div>
    </div>
  );
}

export function Empty(props: { readonly title: string; readonly text: string; readonly icon?: IconName }) {
  return (
    <div class="empty">
      <Icon name={props.icon ?? 'information'} />
      <h2>{props.title}</h2>
      <p>{props.text}</p>
    </div>
  );
}

interface ArrivingProps {
  readonly error: RequestFailed | undefined;
  readonly onRetry: () => void;
}

/** In the place of what has not come yet, or could not be had. */
export function Arriving({ error, onRetry }: ArrivingProps) {
  if (error === undefined) return <p class="muted arriving">{t('loading')}</p>;
  return (
    <Notice tone="bad">
      <p>{error.status === 404 ? t('error.not_found') : failureText(error)}</p>
      <p>
        <button type="button" class="button button-small" onClick={onRetry}>
          {t('error.retry')}
        </button>
      </p>
    </Notice>
  );
}
